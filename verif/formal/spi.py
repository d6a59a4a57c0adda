"""Theorems about the flash's pins: the rules of SPI, and no write that nobody asked for."""

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem, unchanged
from sealchip.spi_flash import DESELECTED, FlashOp, SpiFlash

from sealchip.timing import at_least

ANY_USER = (
    "48 MHz, any flash; operations hold until done, `sum` while a byte is exchanged; 100 ns between ticks"
)
WRITE_ENABLE, PROGRAM, ERASE = 0x06, 0x02, 0x20


def surroundings(m: Module, clock_hz: int) -> tuple[SpiFlash, Subject]:
    """The controller with a user that holds what it asks for."""
    flash = SpiFlash(clock_hz)
    dut = Subject(m, flash)
    bus = flash.bus
    asks = past(m, bus.start & ~bus.done)
    same = (unchanged(m, it) for it in (bus.op, bus.address, bus.length))
    held = Value.cast(bus.start)
    for it in same:
        held &= it
    m.d.comb += [
        Assume(~asks | held),
        Assume(~asks | past(m, bus.strobe) | unchanged(m, bus.sum)),
        Assume(~bus.start | Value.cast(bus.op).matches(*FlashOp)),
    ]
    return flash, dut


def exchanging(m: Module, flash: SpiFlash, dut: Subject) -> Value:
    """Whether a byte is on its way, and the invariants of that."""
    active, half = dut.signal("active", "spi"), dut.signal("half", "spi")
    state = dut.fsm()
    selected = ("wake", "enable", "command", "address", "data", "poll", "status")
    operating = (*selected[1:], "enabled", "written", "end", "done")
    in_byte = Signal()
    for name in selected:
        with m.If(state.ongoing(name)):
            m.d.comb += in_byte.eq(1)
    for name in ("power-up", "waking", "idle", "enabled", "written", "end", "done"):
        m.d.comb += Assert(~state.ongoing(name) | flash.cs_n)
    for name in ("address", "data", "status"):
        m.d.comb += Assert(~state.ongoing(name) | ~flash.cs_n)
    for name in operating:
        m.d.comb += Assert(~state.ongoing(name) | flash.bus.start)
    m.d.comb += [
        Assert(flash.sck == (active & half[0])),
        Assert(~active | (~flash.cs_n & in_byte)),
        Assert(flash.cs_n | in_byte),
    ]
    return active


@theorem(k=1, reach=80, parameters=ANY_USER, smaller={"clock_hz": 1_000_000})
def the_pins_keep_mode_0(m: Module, clock_hz: int = 48_000_000) -> None:
    """SCK is low while the flash is deselected and in the cycles in which CS# changes; what is sent does not
    change with SCK's rising edge nor while SCK is high; and CS# is high for 100 ns or longer.
    """
    flash, dut = surroundings(m, clock_hz)
    exchanging(m, flash, dut)
    gap = at_least(clock_hz, DESELECTED)
    high = Signal(range(gap + 2), init=gap + 1)  # for how many cycles CS# has been high
    with m.If(~flash.cs_n):
        m.d.sync += high.eq(0)
    with m.Elif(high <= gap):
        m.d.sync += high.eq(high + 1)
    before = past(m, flash.cs_n, init=1)
    m.d.comb += [
        Assert(~flash.cs_n | ~flash.sck),
        Assert((flash.cs_n == before) | ~flash.sck),
        Assert(~flash.sck | unchanged(m, flash.copi)),
        Assert(flash.cs_n | ~before | (high >= gap)),
        Cover(flash.sck & flash.copi),
    ]
    ticked = Signal.like(high)  # for how many cycles there has been no tick
    m.d.sync += ticked.eq(Mux(flash.tick_ms, 0, ticked + (ticked <= gap)))
    m.d.comb += Assume(~flash.tick_ms | (ticked >= gap))

    # Invariants: a pause has lasted as long as it is counted.
    state, waited = dut.fsm(), dut.signal("waited")
    for name in ("enabled", "written", "end"):
        m.d.comb += Assert(~state.ongoing(name) | ((high >= waited) & (waited < gap)))
    for name in ("idle", "done", "wake", "enable", "command", "poll"):
        m.d.comb += Assert(~(state.ongoing(name) & flash.cs_n) | (high >= gap))
    waits = Signal()
    for name in ("power-up", "waking", "enabled", "written", "end"):
        with m.If(state.ongoing(name)):
            m.d.comb += waits.eq(1)
    m.d.comb += [
        Assert(waits | (waited == 0)),
        Assert(~state.ongoing("power-up") | (high >= gap)),
        Assert(~state.ongoing("waking") | (waited == 0) | ((waited == 1) & (high >= ticked))),
    ]


@theorem(k=1, reach=130, parameters=ANY_USER, smaller={"clock_hz": 1_000_000})
def nothing_is_written_unasked(m: Module, clock_hz: int = 48_000_000) -> list[Value]:
    """The first byte after the flash has been selected is that of a program or an erase only while the user
    asks for just that, and only when the flash was selected before it for a write enable and nothing else.
    """
    flash, dut = surroundings(m, clock_hz)
    active = exchanging(m, flash, dut)
    spi, bus, state = dut.part("spi"), flash.bus, dut.fsm()
    begins = spi.start & ~active

    # Reference: whether this is the first byte since CS# fell; the bytes of the selection before.
    first, enabled = Signal(init=1), Signal()
    with m.If(flash.cs_n):
        m.d.sync += first.eq(1)
    with m.Elif(begins):
        m.d.sync += [first.eq(0), enabled.eq(first & (spi.i == WRITE_ENABLE))]
    asked = bus.start & (
        (bus.op == FlashOp.PROGRAM) & (spi.i == PROGRAM) | (bus.op == FlashOp.ERASE) & (spi.i == ERASE)
    )
    writes = (spi.i == PROGRAM) | (spi.i == ERASE)
    m.d.comb += [
        Assert(~(begins & first & writes) | (enabled & asked)),
        Cover(begins & first & writes),
    ]
    # Invariants
    opens = ("wake", "enable", "command", "poll")
    for name in opens:
        m.d.comb += Assert(~state.ongoing(name) | (first == ~active))
    for name in ("address", "data", "status"):
        m.d.comb += Assert(~state.ongoing(name) | ~first)
    wants = bus.op != FlashOp.READ
    m.d.comb += [
        Assert(~state.ongoing("enabled") | enabled),
        Assert(~(state.ongoing("enable") & ~first) | enabled),
        Assert(~(state.ongoing("command") & first & wants) | enabled),
        Assert(~(active & state.ongoing("enable")) | ~first),
        Assert(~(state.ongoing("enable") | state.ongoing("enabled")) | wants),
    ]
    return [flash.tick_ms & bus.start & (bus.op == FlashOp.ERASE)]
