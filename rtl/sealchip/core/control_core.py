"""What the chip keeps: identity, event log, records and time. A processor, and what its program works on."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import IDENTITY, LOOP_NOT_MEASURED
from ..sense.loop_event import LoopEvent, entry_bytes
from . import firmware
from .crc16 import SerialCrc
from .firmware import layout
from .processor import Processor
from .spi import SpiByte

__all__ = ["ControlCore"]

#: Seconds that wait to be counted: longer than the flash takes for anything.
_SECONDS = 8
_PUBLIC_BYTES = 256
#: What waits for the byte under way. (And whatever else has the same number; that does no harm.)
_OF_FLASH = (layout.In.FLASH, layout.Out.EXCHANGE, layout.Out.FLASH)


class ControlCore(wiring.Component):
    """Reads identity and event log from flash, then logs events, makes and signs records, keeps the time.

    One thing is done at a time (`firmware/main.py`); `docs/architecture.md` tells how things stand in flash.
    Each command holds, with all that belongs to it, until its `done`, in whose cycle `right` says whether
    there is such an entry, or whether the slave's command was accepted.

    *Public memory:* the last record made (`interface.RECORD`) at `layout.Public.RECORD`, uptime and time (ss
    mm hh DD MM YY, FF until set), the identity without key and password. A byte follows its address one cycle
    later, unless something was published in between: who needs it then says so with `reading`, in the cycle
    of the address. While `hold` uptime and time stay as they are; it must be low once in seven seconds.

    Parameters
    ----------
    baud: baud rate while there is no identity, or when its feature word is not in the table.
    flash_base: where the seal's part of the flash begins; `ValueError` when the log does not begin at a
    multiple of its size there. program: words and memory, the firmware unless given.

    Members
    -------
    tick_ms, tick_s: time. i: events; one is `ready` when it stands in flash.
    flash_sck, flash_cs_n, flash_copi, flash_cipo: the flash.
    identity_ready: the identity has been read. identity_valid: a slot was right, the seal has an address.
    log_ready: the log is restored. pending: there are unacknowledged events. clock_set: the time is right.
    rate: number of the baud rate, slowest first. seed: differs between seals.
    baseline_mv: of the newest event at power-up, from `log_ready` on; FFFF without one.
    oldest, acknowledge, reporter_done: make the record of the oldest unacknowledged event; acknowledge it.
    slave, command, value, slave_done: `layout.Command`, of what `layout.In.VALUE` says.
    position, content, spoiled: the request's DATA, one cycle later; it may be another's.
    right: see above. lock_tick: strobe every 128 seconds.
    address, byte; gsm_address, gsm_byte; clock_index, clock_byte: public memory, and of the time alone.
    reading, hold: see above. clock_free: the time can be read.

    Guarantees: `verif/blocks/test_control_core.py`, and of the program `verif/blocks/test_firmware_log.py`,
    `verif/blocks/test_firmware_identity.py`, `verif/blocks/test_firmware_record.py`,
    `verif/blocks/test_firmware_calendar.py`; proofs: `verif/formal/firmware.py`, and of
    what it does for slave and reporter `verif/formal/bus.py::an_entry_leaves_only_when_told`, of the
    pins `verif/formal/control_core.py::the_pins_keep_mode_0`.
    """

    def __init__(self, baud, flash_base=0, program=None):
        self._words, self._memory = program or firmware.build(flash_base, baud)
        super().__init__(
            {
                "tick_ms": In(1),
                "tick_s": In(1),
                "i": In(stream.Signature(LoopEvent)),
                "flash_sck": Out(1),
                "flash_cs_n": Out(1),
                "flash_copi": Out(1),
                "flash_cipo": In(1),
                "identity_ready": Out(1),
                "identity_valid": Out(1),
                "log_ready": Out(1),
                "pending": Out(1),
                "clock_set": Out(1),
                "rate": Out(3),
                "seed": Out(16),
                "baseline_mv": Out(16, init=LOOP_NOT_MEASURED),
                "oldest": In(1),
                "acknowledge": In(1),
                "reporter_done": Out(1),
                "slave": In(1),
                "command": In(3),
                "value": In(8),
                "slave_done": Out(1),
                "position": Out(6),
                "content": In(8),
                "spoiled": In(1),
                "right": Out(1),
                "lock_tick": Out(1),
                "address": In(8),
                "byte": Out(8),
                "reading": In(1),
                "gsm_address": In(range(IDENTITY.size)),
                "gsm_byte": Out(8),
                "clock_index": In(3),
                "clock_byte": Out(8),
                "clock_free": Out(1),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        processor = m.submodules.processor = Processor(self._words, self._memory)
        number = processor.address[:4]
        ours = [port for port in layout.Out if port not in (layout.Out.X, layout.Out.RETURN)]
        strobes = {port: Signal(name=f"out_{port.name.lower()}") for port in ours}
        for port, strobe in strobes.items():
            m.d.comb += strobe.eq(processor.out & (number == port))
        status = self._flash(m, processor, strobes)
        self._publish(m, processor)
        requests = self._requests(m, processor, strobes)
        self._hold_status(m, processor, strobes)

        inputs = {
            layout.In.REQUESTS: requests,
            layout.In.FLASH: m.submodules.spi.o,
            layout.In.DATA: self.content,
            layout.In.COMMAND: self.command,
            layout.In.VALUE: self.value,
            layout.In.STATUS: status,
            layout.In.EVENT: Array(entry_bytes(self.i.payload))[processor.x[:3]],
        }
        with m.Switch(number):
            for port, value in inputs.items():
                with m.Case(port):
                    m.d.comb += processor.i.eq(value)
        m.d.comb += [
            processor.hold.eq(self.reading | (m.submodules.spi.busy & number.matches(*_OF_FLASH))),
            self.position.eq(processor.x),
            self.right.eq(processor.a[0]),
        ]
        return m

    def _flash(self, m, processor, strobes):
        """The flash's pins, and what the CRC says of what went over them. Returns `layout.In.STATUS`."""
        spi = m.submodules.spi = SpiByte()
        crc = m.submodules.crc = SerialCrc()
        select, sums, appends, writes = Signal(), Signal(), Signal(), Signal()
        tick = Signal()
        with m.If(strobes[layout.Out.FLASH]):
            m.d.sync += Cat(select, sums, appends, writes).eq(processor.a)
        with m.If(self.tick_ms):
            m.d.sync += tick.eq(1)
        with m.Elif(strobes[layout.Out.TICK]):
            m.d.sync += tick.eq(0)
        m.d.comb += [
            spi.start.eq(strobes[layout.Out.EXCHANGE]),
            spi.i.eq(processor.a),
            spi.cipo.eq(self.flash_cipo),
            self.flash_sck.eq(spi.sck),
            self.flash_cs_n.eq(~select),
            self.flash_copi.eq(Mux(appends, crc.o, spi.copi)),
            crc.clear.eq(~sums),
            crc.valid.eq(spi.shifts),
            crc.i.eq(Mux(writes, self.flash_copi, spi.received)),
        ]
        return Cat(tick, crc.ok, self.spoiled, self.hold)

    def _publish(self, m, processor):
        """The memory that others read."""
        m.submodules.public = public = Memory(shape=8, depth=_PUBLIC_BYTES, init=[])
        write = public.write_port()
        m.d.comb += [
            write.addr.eq(processor.address),
            write.data.eq(processor.a),
            write.en.eq(processor.publish),
        ]
        addresses = {
            "byte": self.address,
            "gsm_byte": self.gsm_address | layout.Public.IDENTITY,
            "clock_byte": self.clock_index | layout.Public.CLOCK,
        }
        for name, address in addresses.items():
            read = public.read_port()
            # Never both at once, as in `EventQueue`.
            m.d.comb += [read.en.eq(~write.en), read.addr.eq(address), getattr(self, name).eq(read.data)]

    def _requests(self, m, processor, strobes):
        """What waits to be done: `layout.In.REQUESTS`."""
        seconds = Signal(range(_SECONDS))
        counted = strobes[layout.Out.SECOND]
        with m.If(self.tick_s & ~counted):
            m.d.sync += seconds.eq(seconds + 1)
        with m.Elif(counted & ~self.tick_s):
            m.d.sync += seconds.eq(seconds - 1)
        m.d.comb += [
            self.i.ready.eq(strobes[layout.Out.EVENT]),
            self.reporter_done.eq(strobes[layout.Out.ANSWER] & ~processor.a[1]),
            self.slave_done.eq(strobes[layout.Out.ANSWER] & processor.a[1]),
            self.lock_tick.eq(strobes[layout.Out.LOCK_TICK]),
        ]
        return Cat((seconds != 0) & ~self.hold, self.i.valid, self.oldest, self.acknowledge, self.slave)

    def _hold_status(self, m, processor, strobes):
        """What the program says of itself, and holds until it says otherwise."""
        a = processor.a
        counting = Signal()
        status = Cat(
            self.identity_ready, self.identity_valid, self.log_ready, self.pending, self.clock_set, counting
        )
        m.d.comb += self.clock_free.eq(~counting & ~processor.publish & ~self.hold)
        for port, value in (
            (layout.Out.STATUS, status.eq(a)),
            (layout.Out.BAUD, [self.rate.eq(a), self.seed.eq(0)]),
            (layout.Out.SEED, self.seed.eq(self.seed.rotate_left(5) ^ a)),
            (layout.Out.BASELINE, self.baseline_mv.eq(Cat(a, self.baseline_mv))),
        ):
            with m.If(strobes[port]):
                m.d.sync += value
