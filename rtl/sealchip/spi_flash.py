"""SPI NOR flash controller: read, program, erase; the common command set of 25-series flashes."""

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .crc16 import SerialCrc
from .spi import SpiByte
from .timing import at_least

__all__ = ["FlashCommands", "FlashOp", "SpiFlash"]


class FlashOp(enum.Enum, shape=2):
    """What the flash is asked to do."""

    #: Read `length` bytes (03h).
    READ = 0
    #: Write enable, program `length` bytes within one page (06h, 02h), wait for the flash.
    PROGRAM = 1
    #: Write enable, erase the 4 KiB sector (06h, 20h), wait for the flash.
    ERASE = 2


_READ, _PROGRAM, _ERASE = 0x03, 0x02, 0x20
_WRITE_ENABLE, _READ_STATUS, _WAKE = 0x06, 0x05, 0xAB

#: Milliseconds from power-up to the first command; data sheets say up to 10 ms.
POWER_UP_MS = 10
#: Milliseconds from the release from deep power-down to the next command; data sheets say 3 to 35 µs.
_WAKE_MS = 1
#: Seconds for which a flash must be deselected between two commands.
DESELECTED = 100e-9

#: The controller's side of one operation; see `SpiFlash`.
FlashCommands = wiring.Signature(
    {
        "op": In(FlashOp),
        "address": In(24),
        "length": In(8),
        "start": In(1),
        "done": Out(1),
        "index": Out(8),
        "o": Out(8),
        "strobe": Out(1),
        "i": In(8),
        "sum": In(1),
        "skip": In(1),
        "sum_ok": Out(1),
    }
)


class SpiFlash(wiring.Component):
    """Runs one operation at a time on the flash.

    `bus.start` holds, with `op`, `address` and `length` (at least 1), until `done` strobes. After reset
    the controller first waits until the flash has powered up, releases it from deep power-down, in which
    an FPGA leaves its configuration flash, and waits until it is awake.

    *Data:* byte `index` is taken from `i` (programming) two cycles after `index` has changed; `strobe` says
    that it has been exchanged, with `o` (reading). While `sum` is high, the bytes of the CRC over all bytes
    before are programmed in place of `i`. `sum_ok` says that the bytes read end in their CRC, those left out
    during which `skip` is high; it is right while `done` and until the next `start`.
    *Timing:* 18 cycles a byte; after a write the status is polled until the flash
    is ready; between commands the flash is deselected for 100 ns or longer.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz.

    Members
    -------
    bus: operations. tick_ms: strobe every millisecond. sck, cs_n, copi, cipo: the pins.

    Guarantees: `verif/chip/test_flash.py::test_spi_flash`, `test_spi_flash_programs`,
    `test_spi_flash_erases`, `test_spi_flash_sums`, `test_every_clock_deselects_for_100_ns`; proofs:
    `verif/formal/spi.py::the_pins_keep_mode_0`, `verif/formal/spi.py::nothing_is_written_unasked`.
    """

    def __init__(self, clock_hz):
        self._deselected = at_least(clock_hz, DESELECTED)
        super().__init__(
            {
                "bus": Out(FlashCommands),
                "tick_ms": In(1),
                "sck": Out(1),
                "cs_n": Out(1, init=1),
                "copi": Out(1),
                "cipo": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spi = m.submodules.spi = SpiByte()
        crc = m.submodules.crc = SerialCrc()
        bus = self.bus
        address_byte = Signal(2, init=2)
        # `i` may come from a memory, one cycle behind `index`: a byte starts only when `index` has rested.
        rested = Signal()
        waited = Signal(range(max(POWER_UP_MS + 1, self._deselected)))
        reads = bus.op == FlashOp.READ
        erases = bus.op == FlashOp.ERASE

        def wait(state, length, then, when=1):
            """State that lasts `length` cycles, of those in which `when` is 1."""
            with m.State(state), m.If(when):
                m.d.sync += waited.eq(waited + 1)
                with m.If(waited == length - 1):
                    m.d.sync += waited.eq(0)
                    m.next = then

        def byte(state, value, then):
            """State that exchanges one byte with the flash selected; `then` says how to go on."""
            with m.State(state):
                m.d.sync += [self.cs_n.eq(0), rested.eq(~spi.done)]
                m.d.comb += [spi.i.eq(value), spi.start.eq(~self.cs_n & rested)]
                with m.If(spi.done):
                    then()

        def go(state):
            def then():
                m.next = state

            return then

        def deselect(state):
            def then():
                m.d.sync += self.cs_n.eq(1)
                m.next = state

            return then

        def after_address():
            m.d.sync += address_byte.eq(address_byte - 1)
            with m.If(address_byte == 0):
                m.d.sync += address_byte.eq(2)
                go("data")()
                with m.If(erases):
                    deselect("written")()

        def after_data():
            m.d.comb += bus.strobe.eq(1)
            following = (bus.index + 1)[:8]
            m.d.sync += bus.index.eq(following)
            with m.If(following == bus.length):
                m.d.sync += bus.index.eq(0)
                deselect("written")()
                with m.If(reads):
                    deselect("end")()

        def after_status():
            with m.If(~spi.o[0]):
                deselect("end")()

        # A write is three commands: write enable, the write itself, and the status until it is done.
        with m.FSM(name="state") as fsm:
            # The first tick comes at any time, so one more is waited for.
            wait("power-up", POWER_UP_MS + 1, "wake", when=self.tick_ms)
            byte("wake", C(_WAKE, 8), deselect("waking"))
            wait("waking", _WAKE_MS + 1, "idle", when=self.tick_ms)
            with m.State("idle"):
                with m.If(bus.start):
                    m.next = "command"
                    with m.If(~reads):
                        m.next = "enable"
            byte("enable", C(_WRITE_ENABLE, 8), deselect("enabled"))
            wait("enabled", self._deselected, "command")
            byte("command", Mux(reads, _READ, Mux(erases, _ERASE, _PROGRAM)), go("address"))
            byte("address", bus.address.word_select(address_byte, 8), after_address)
            byte("data", Mux(reads, 0, bus.i), after_data)
            wait("written", self._deselected, "poll")
            byte("poll", C(_READ_STATUS, 8), go("status"))
            byte("status", C(0, 8), after_status)
            wait("end", self._deselected, "done")
            with m.State("done"):
                m.d.comb += bus.done.eq(1)
                m.next = "idle"
            in_data = fsm.ongoing("data")

        m.d.comb += [
            self.sck.eq(spi.sck),
            self.copi.eq(Mux(in_data & bus.sum, crc.o, spi.copi)),
            spi.cipo.eq(self.cipo),
            bus.o.eq(spi.o),
            crc.clear.eq(fsm.ongoing("command")),
            crc.valid.eq(spi.shifts & in_data & ~bus.skip),
            bus.sum_ok.eq(crc.ok),
            crc.i.eq(Mux(reads, spi.o[0], self.copi)),
        ]
        return m
