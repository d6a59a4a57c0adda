"""SPI NOR flash controller: read, program, erase; the common command set of 25-series flashes."""

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .spi import SpiByte
from .timing import cycles

__all__ = ["FlashCommands", "FlashOp", "SpiFlash"]


class FlashOp(enum.Enum, shape=2):
    """What the flash is asked to do."""

    #: Read `length` bytes (03h).
    READ = 0
    #: Write enable, program `length` bytes within one page (06h, 02h), wait for the flash.
    PROGRAM = 1
    #: Write enable, erase the 4 KiB sector (06h, 20h), wait for the flash.
    ERASE = 2


_COMMAND = {FlashOp.READ: 0x03, FlashOp.PROGRAM: 0x02, FlashOp.ERASE: 0x20}
_WRITE_ENABLE, _READ_STATUS, _WAKE = 0x06, 0x05, 0xAB

#: Seconds until a flash takes commands after its release from deep power-down; data sheets say 3 to 35 µs.
_WAKE_TIME = 100e-6

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
    }
)


class SpiFlash(wiring.Component):
    """Runs one operation at a time on the flash.

    `bus.start` holds, with `op`, `address` and `length` (at least 1), until `done` strobes. After reset
    the controller first waits until the flash has powered up, releases it from deep power-down, in which
    an FPGA leaves its configuration flash, and waits until it is awake.

    *Data:* byte `index` is taken from `i` (programming) two cycles after `index` has changed; `strobe` says
    that it has been exchanged, with `o` (reading). *Timing:* 18 cycles a byte; after a write the status is
    polled until the flash is ready.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz. power_up: time in seconds that the flash needs after power-up.

    Members
    -------
    bus: operations. sck, cs_n, copi, cipo: the pins.

    Guarantees: `verif/chip/test_flash.py::test_spi_flash`, `test_spi_flash_programs`,
    `test_spi_flash_erases`; the whole in `verif/chip/test_chip.py`.
    """

    def __init__(self, clock_hz, power_up=0.010):
        self._power_up = cycles(clock_hz, power_up)
        self._wake = cycles(clock_hz, _WAKE_TIME, tolerance=0.05)
        super().__init__(
            {
                "bus": Out(FlashCommands),
                "sck": Out(1),
                "cs_n": Out(1, init=1),
                "copi": Out(1),
                "cipo": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spi = m.submodules.spi = SpiByte()
        bus = self.bus
        wait = Signal(range(max(self._power_up, self._wake)), init=self._power_up - 1)
        address_byte = Signal(2, init=2)
        last = bus.index == bus.length - 1
        # `i` may come from a memory, one cycle behind `index`: a byte starts only when `index` has rested.
        index = Signal.like(bus.index)

        m.d.comb += [
            self.sck.eq(spi.sck),
            self.copi.eq(spi.copi),
            spi.cipo.eq(self.cipo),
            bus.o.eq(spi.o),
        ]

        def byte(state, value, then):
            """State that exchanges one byte with the flash selected; `then` says how to go on."""
            with m.State(state):
                m.d.sync += self.cs_n.eq(0)
                m.d.comb += [spi.i.eq(value), spi.start.eq(~self.cs_n & (bus.index == index))]
                m.d.sync += index.eq(bus.index)
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

        def after_wake():
            m.d.sync += wait.eq(self._wake - 1)
            deselect("waking")()

        def after_address():
            m.d.sync += address_byte.eq(address_byte - 1)
            with m.If(address_byte == 0):
                m.d.sync += address_byte.eq(2)
                go("data")()
                with m.If(bus.op == FlashOp.ERASE):
                    deselect("gap")()

        def after_data():
            m.d.comb += bus.strobe.eq(1)
            m.d.sync += bus.index.eq(bus.index + 1)
            with m.If(last):
                m.d.sync += bus.index.eq(0)
                deselect("gap")()
                with m.If(bus.op == FlashOp.READ):
                    deselect("done")()

        def after_status():
            with m.If(~spi.o[0]):
                deselect("done")()

        command = Signal(8)
        with m.Switch(bus.op):
            for op, code in _COMMAND.items():
                with m.Case(op):
                    m.d.comb += command.eq(code)

        # A write is three commands: write enable, the write itself, and the status until it is done.
        with m.FSM(name="state"):
            with m.State("power-up"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "wake"
            byte("wake", C(_WAKE, 8), after_wake)
            with m.State("waking"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "idle"
            with m.State("idle"):
                with m.If(bus.start):
                    m.next = "command"
                    with m.If(bus.op != FlashOp.READ):
                        m.next = "enable"
            byte("enable", C(_WRITE_ENABLE, 8), deselect("enabled"))
            with m.State("enabled"):
                m.next = "command"
            byte("command", command, go("address"))
            byte("address", bus.address.word_select(address_byte, 8), after_address)
            byte("data", Mux(bus.op == FlashOp.READ, 0, bus.i), after_data)
            with m.State("gap"):
                m.next = "poll"
            byte("poll", C(_READ_STATUS, 8), go("status"))
            byte("status", C(0, 8), after_status)
            with m.State("done"):
                m.d.comb += bus.done.eq(1)
                m.next = "idle"
        return m
