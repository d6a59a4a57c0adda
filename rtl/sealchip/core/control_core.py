"""The control core keeps identity, log, records and time: a processor, and what its program works on."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import IDENTITY
from ..sense.loop_event import LoopEvent, entry_bytes
from ..signatures import (
    CoreCommand,
    CoreStatus,
    FlashPins,
    LogCommand,
    NotifierFeed,
    PublicRead,
    RestoredBaseline,
    Ticks,
)
from . import firmware
from .crc16 import SerialCrc
from .firmware import layout
from .processor import Processor
from .spi import SpiByte

__all__ = ["ControlCore"]

#: How many seconds can wait to be counted, and one more: longer than the flash takes for anything.
_SECONDS = 8
_PUBLIC_BYTES = 256
# Where identity and time begin no bit of a byte's number is set: the two can be joined instead of added.
assert layout.Public.IDENTITY % 128 == layout.Public.CLOCK % 8 == 0
assert IDENTITY.size <= 128

#: Ports at which the processor waits for the byte under way. Their numbers alone are compared, so an input
#: waits where an output has its number, and the other way round, which does no harm.
_OF_FLASH = (layout.In.FLASH, layout.Out.EXCHANGE, layout.Out.FLASH)


class ControlCore(wiring.Component):
    """Reads identity and event log from flash, then logs events, makes and signs records, keeps the time.

    One thing is done at a time (`firmware/main.py`); `docs/architecture.md` has the layout of the flash.
    Each command holds, with all that belongs to it, until its `done`.

    *Public memory:* the last record made (`interface.RECORD`) at `layout.Public.RECORD`, uptime and time (ss
    mm hh DD MM YY, FF until set), the identity without key and password. A byte follows its address one cycle
    later, unless something was published in between: a reader that needs the byte raises `reading` in the
    cycle of the address. While `hold` uptime and time stay as they are; it must be low once in seven seconds.

    Parameters
    ----------
    baud : the baud rate while there is no identity, or when its feature word is not in the table.
    flash_base : where the seal's part of the flash begins; `ValueError` when the log does not begin at a
        multiple of its size there.
    program : words and memory, the firmware unless given.

    Members
    -------
    ticks : the time.
    i : events; one is `ready` when it stands in flash.
    flash : the flash's pins.
    status : what is known of identity and log.
    restored : the baseline from before this power-up.
    rate : the number of the baud rate, slowest first.
    seed : a number that differs between seals.
    reporter, slave : their commands; `right` and `found` are the same.
    public : two readers of the public memory; the first one has the port while it is active.
    hold : see above.
    feed : the notifier's.

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
                "ticks": In(Ticks),
                "i": In(stream.Signature(LoopEvent)),
                "flash": Out(FlashPins),
                "status": Out(CoreStatus),
                "restored": Out(RestoredBaseline),
                "rate": Out(3),
                "seed": Out(16),
                "reporter": In(LogCommand),
                "slave": In(CoreCommand),
                "public": In(PublicRead).array(2),
                "hold": In(1),
                "feed": Out(NotifierFeed),
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
        reading = self._publish(m, processor)
        self._feed(m)
        requests = self._requests(m, processor, strobes)
        self._hold_status(m, processor, strobes)

        inputs = {
            layout.In.REQUESTS: requests,
            layout.In.FLASH: m.submodules.spi.o,
            layout.In.DATA: self.slave.content,
            layout.In.COMMAND: self.slave.command,
            layout.In.VALUE: self.slave.value,
            layout.In.STATUS: status,
            layout.In.EVENT: Array(entry_bytes(self.i.payload))[processor.x[:3]],
        }
        with m.Switch(number):
            for port, value in inputs.items():
                with m.Case(port):
                    m.d.comb += processor.i.eq(value)
        m.d.comb += [
            processor.hold.eq(reading | (m.submodules.spi.busy & number.matches(*_OF_FLASH))),
            self.slave.position.eq(processor.x),
            self.slave.right.eq(processor.a[0]),
            self.reporter.found.eq(processor.a[0]),
        ]
        return m

    def _flash(self, m, processor, strobes):
        """Connect the flash's pins, and the CRC of what goes over them; return `layout.In.STATUS`."""
        spi = m.submodules.spi = SpiByte()
        crc = m.submodules.crc = SerialCrc()
        select, sums, appends, writes = Signal(), Signal(), Signal(), Signal()
        tick = Signal()
        with m.If(strobes[layout.Out.FLASH]):
            m.d.sync += Cat(select, sums, appends, writes).eq(processor.a)
        with m.If(self.ticks.ms):
            m.d.sync += tick.eq(1)
        with m.Elif(strobes[layout.Out.TICK]):
            m.d.sync += tick.eq(0)
        m.d.comb += [
            spi.start.eq(strobes[layout.Out.EXCHANGE]),
            spi.i.eq(processor.a),
            spi.cipo.eq(self.flash.cipo),
            self.flash.sck.eq(spi.sck),
            self.flash.cs_n.eq(~select),
            self.flash.copi.eq(Mux(appends, crc.o, spi.copi)),
            crc.clear.eq(~sums),
            crc.valid.eq(spi.shifts),
            crc.i.eq(Mux(writes, self.flash.copi, spi.received)),
        ]
        return Cat(tick, crc.ok, self.slave.spoiled, self.hold)

    def _publish(self, m, processor):
        """Connect the memory that others read; return whether one of them needs what it reads."""
        m.submodules.public = public = Memory(shape=8, depth=_PUBLIC_BYTES, init=[])
        write = public.write_port()
        m.d.comb += [
            write.addr.eq(processor.address),
            write.data.eq(processor.a),
            write.en.eq(processor.publish),
        ]
        first, second = self.public
        for address, *bytes_ in (
            (Mux(first.active, first.address, second.address), first.byte, second.byte),
            (self.feed.identity_address | layout.Public.IDENTITY, self.feed.identity_byte),
            (self.feed.clock_index | layout.Public.CLOCK, self.feed.clock_byte),
        ):
            read = public.read_port()
            # Never both at once, as in `EventQueue`.
            m.d.comb += [read.en.eq(~write.en), read.addr.eq(address)]
            m.d.comb += [byte.eq(read.data) for byte in bytes_]
        return first.reading | second.reading | self.feed.identity_reading

    def _feed(self, m):
        """Connect what the notifier needs beside the public memory."""
        event = self.i.payload
        m.d.comb += [
            self.feed.valid.eq(self.i.valid & self.i.ready & self.status.identity_valid),
            self.feed.kind.eq(event.kind),
            self.feed.state.eq(event.state),
            self.feed.tick_s.eq(self.ticks.s),
        ]

    def _requests(self, m, processor, strobes):
        """Collect what waits to be done; return `layout.In.REQUESTS`."""
        seconds = Signal(range(_SECONDS))
        counted = strobes[layout.Out.SECOND]
        with m.If(self.ticks.s & ~counted):
            m.d.sync += seconds.eq(seconds + 1)
        with m.Elif(counted & ~self.ticks.s):
            m.d.sync += seconds.eq(seconds - 1)
        m.d.comb += [
            self.i.ready.eq(strobes[layout.Out.EVENT]),
            self.reporter.done.eq(strobes[layout.Out.ANSWER] & ~processor.a[1]),
            self.slave.done.eq(strobes[layout.Out.ANSWER] & processor.a[1]),
            self.slave.lock_tick.eq(strobes[layout.Out.LOCK_TICK]),
        ]
        reporter, slave = self.reporter, self.slave
        second = (seconds != 0) & ~self.hold
        return Cat(second, self.i.valid, reporter.oldest, reporter.acknowledge, slave.start)

    def _hold_status(self, m, processor, strobes):
        """Hold what the program has put out until it puts out something else."""
        a, it, baseline_mv = processor.a, self.status, self.restored.baseline_mv
        counting = Signal()
        clock_set = Signal()
        status = Cat(it.identity_ready, it.identity_valid, it.log_ready, it.pending, clock_set, counting)
        m.d.comb += [
            self.restored.valid.eq(it.log_ready),
            self.feed.clock_valid.eq(clock_set),
            self.feed.clock_free.eq(~counting & ~processor.publish & ~self.hold),
        ]
        for port, value in (
            (layout.Out.STATUS, status.eq(a)),
            (layout.Out.BAUD, [self.rate.eq(a), self.seed.eq(0)]),
            (layout.Out.SEED, self.seed.eq(self.seed.rotate_left(5) ^ a)),
            (layout.Out.BASELINE, baseline_mv.eq(Cat(a, baseline_mv))),
        ):
            with m.If(strobes[port]):
                m.d.sync += value
