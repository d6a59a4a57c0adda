"""Theorems about the driver: it is on exactly for each frame, and its own characters are not received."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value

from sealchip.bus.baud_tick import RATE_BITS
from sealchip.bus.driver_watchdog import LIMIT_MS, DriverWatchdog
from sealchip.bus.transceiver import PARITY, START, STOP, Transceiver
from sealchip.interface import BAUD_FEATURE
from verif.formal.theorem import Subject, past, theorem
from verif.formal.uart import CHARACTER_BITS, DIVISOR_MAX, character


def assume_divisor(m: Module, bus: Transceiver) -> None:
    """Assume any divisor that a real chip has; it is constant while a character or a frame is under way."""
    m.d.comb += [
        Assume((bus.divisor >= 8) & (bus.divisor <= DIVISOR_MAX)),
        Assume(bus.divisor == AnyConst(len(bus.divisor))),
    ]


@theorem(k=1, reach=101, parameters="any constant divisor from 8 to 80 000, anything on the bus")
def driver_is_on_for_each_frame_exactly(m: Module) -> list[Value]:
    """The driver is on from the cycle after a frame is offered: for half a bit of idle line, then for the
    characters of its bytes without a gap. It goes off, with the line idle, at the end of the last stop bit,
    which `done` marks; or at a bit that differs on the bus in its middle, or in the cycle in which no next
    byte is offered, both of which `broken` marks.
    """
    bus = Transceiver(DIVISOR_MAX)
    dut = Subject(m, bus)
    assume_divisor(m, bus)

    # Reference: cycles of idle line so far, this one too, the character, and whether it is the last.
    on, sending, last = Signal(), Signal(), Signal()
    led = Signal(range(DIVISOR_MAX + 1))
    bits = Signal(CHARACTER_BITS)
    bit, cycle = Signal(range(CHARACTER_BITS)), Signal(range(DIVISOR_MAX))
    bit_ends = cycle == bus.divisor - 1
    character_ends = sending & bit_ends & (bit == CHARACTER_BITS - 1)
    level = Mux(sending, bits.bit_select(bit, 1), 1)
    lead = bus.divisor >> 1
    clash = sending & (cycle == lead) & (bus.ro != level)
    ready = on & ~last & Mux(sending, character_ends, led == lead)
    broken = clash | (ready & ~bus.i.valid)
    with m.If(~on):
        m.d.sync += [on.eq(bus.i.valid), led.eq(1), last.eq(0)]
    with m.Elif(led != lead):
        m.d.sync += led.eq(led + 1)
    with m.If(sending):
        m.d.sync += cycle.eq(cycle + 1)
        with m.If(bit_ends):
            m.d.sync += [cycle.eq(0), bit.eq(bit + 1)]
        with m.If(character_ends):
            m.d.sync += [sending.eq(0), on.eq(~last)]
    with m.If(bus.i.valid & ready):
        m.d.sync += [sending.eq(1), bit.eq(0), cycle.eq(0)]
        m.d.sync += [bits.eq(character(bus.i.payload.data)), last.eq(bus.i.payload.last)]
    with m.If(broken):
        m.d.sync += [on.eq(0), sending.eq(0)]

    m.d.comb += [
        Assert(bus.de == on),
        Assert(bus.di == level),
        Assert(bus.i.ready == ready),
        Assert(bus.sent.done == (character_ends & last)),
        Assert(bus.sent.broken == broken),
    ]

    # Invariants: the registers follow from the reference. What has been sent was read back, bit by bit.
    time, parity = dut.signal("time"), dut.signal("parity")
    m.d.comb += [
        Assert(on | ~sending),
        Assert(~last | sending | ~on),
        Assert(~on | (dut.signal("running") == sending)),
        Assert(~on | (dut.signal("last") == last)),
        Assert(~on | sending | ((led <= lead) & (time == led))),
    ]
    read = Mux(bit == 0, 0, bit - (cycle <= lead))[: len(bit)]  # bits after the start bit
    with m.If(sending):
        m.d.comb += [
            Assert(bit < CHARACTER_BITS),
            Assert(cycle < bus.divisor),
            Assert(time == cycle),
            Assert(dut.signal("bit") == (bit + START)[:4]),
            Assert(bits == character(bits[1:9])),
        ]
        for n in range(CHARACTER_BITS):
            with m.If(read == n):
                whole = bits[1:9].rotate_right(min(n, 8))
                m.d.comb += [Assert(parity == bits[1 : 1 + n].xor())] if n < 10 else []
                m.d.comb += Assert(bus.received.data == whole)

    m.d.comb += [Cover(bus.sent.done), Cover(clash), Cover(ready & ~bus.i.valid)]
    payload = bus.i.payload
    return [
        bus.divisor == 8,
        (bus.i.valid == (payload.last | ~sending)) & (payload.data == 0x16),
        (bus.ro == level) | (bit == 5),
    ]


@theorem(k=1, reach=40, parameters="any divisor in any cycle, anything on the bus")
def never_drives_after_a_collision(m: Module) -> list[Value]:
    """In the cycle after a frame is given up the driver is off and the line idle, and both stay so until a
    frame is offered again.
    """
    bus = Transceiver(DIVISOR_MAX)
    Subject(m, bus)
    broken = Signal()
    with m.If(bus.sent.broken):
        m.d.sync += broken.eq(1)
    with m.Elif(bus.i.valid):
        m.d.sync += broken.eq(0)
    m.d.comb += [
        Assert(~broken | (~bus.de & bus.di)),
        Cover(past(m, broken) & broken),
    ]
    return [bus.divisor == 8]


@theorem(k=1, reach=88, parameters="any constant divisor from 8 to 80 000, anything on the bus")
def only_others_are_heard(m: Module) -> list[Value]:
    """A received character is reported only if the driver has been off since the falling edge of its start
    bit, ten and a half bits ago.
    """
    bus = Transceiver(DIVISOR_MAX)
    dut = Subject(m, bus)
    assume_divisor(m, bus)

    # Reference: how long the driver has been off, in bits and cycles.
    bits, cycles = Signal(range(CHARACTER_BITS + 1)), Signal(len(bus.divisor))
    since, half = Cat(cycles, bits), bus.divisor >> 1
    with m.If(bus.de):
        m.d.sync += since.eq(0)
    with m.Elif(bits != CHARACTER_BITS):
        m.d.sync += cycles.eq(cycles + 1)
        with m.If(cycles == bus.divisor - 1):
            m.d.sync += [cycles.eq(0), bits.eq(bits + 1)]
    begun = Cat(half[: len(cycles)], Const(CHARACTER_BITS - 1, len(bits)))
    m.d.comb += Assert(~bus.received.valid | (~bus.de & (since >= begun)))

    # Invariant: the count does not exceed the time that has passed, unless the receiver is muted.
    time, bit = dut.signal("time"), dut.signal("bit")
    m.d.comb += Assert((cycles < bus.divisor) & (bits <= CHARACTER_BITS))
    with m.If(dut.signal("running")):
        m.d.comb += Assert(time < bus.divisor)
        m.d.comb += Assert((bit >= START) | (bit == PARITY) | ((bit == STOP) & (bus.de | (time <= half))))
        with m.If(~bus.de & ~dut.signal("muted")), m.Switch(bit):
            for n in range(CHARACTER_BITS):
                with m.Case((START + n) % 16):
                    m.d.comb += Assert(since >= Cat(time, Const(n, len(bits))))

    m.d.comb += Cover(bus.received.valid & ~bus.received.error)
    return [bus.divisor == 8, ~bus.i.valid, bus.ro == ((since == 0) | (bits >= 10))]


@theorem(
    k=1,
    reach=90,
    parameters="any divisor in any cycle, anything on the bus, any stream of bytes, ticks at any time",
)
def driver_on_time_is_bounded(m: Module) -> list[Value]:
    """Whatever the transceiver is given to send, the pin is high for no longer than 1280 ticks at 600 baud,
    and for half as many at each next rate. After that it stays low until there has been nothing to send.
    """
    bus, watchdog = Transceiver(DIVISOR_MAX), DriverWatchdog()
    Subject(m, bus, "bus")
    dut = Subject(m, watchdog, "watchdog", driven=(watchdog.wanted, watchdog.busy))
    m.d.comb += [
        watchdog.wanted.eq(bus.de),
        watchdog.busy.eq(bus.i.valid),
        Assume(watchdog.rate < len(BAUD_FEATURE)),
        Assume(watchdog.rate == AnyConst(len(watchdog.rate))),
    ]

    # Reference: ticks during which the pin has been high, and whether that was too long.
    on_ms, over = Signal(range(LIMIT_MS + 2)), Signal()
    limit = (LIMIT_MS >> watchdog.rate)[: len(on_ms)]
    with m.If(~watchdog.de):
        m.d.sync += on_ms.eq(0)
    with m.Elif(watchdog.ticks.ms):
        m.d.sync += on_ms.eq(on_ms + 1)
    with m.If(~bus.de & ~bus.i.valid):
        m.d.sync += over.eq(0)
    with m.Elif(watchdog.expired):
        m.d.sync += over.eq(1)
    m.d.comb += [
        Assert(~watchdog.de | (bus.de & (on_ms < limit) & ~over)),
        Assert(~watchdog.wanted | watchdog.de | watchdog.expired),
        # Invariants
        Assert(~over | watchdog.expired),
        Cover(over & past(m, watchdog.ticks.ms)),
    ]
    with m.Switch(watchdog.rate):
        for rate in range(len(BAUD_FEATURE)):
            with m.Case(rate):
                worn = Cat(dut.signal("ticks")[: RATE_BITS - rate], dut.signal("worn"))
                m.d.comb += Assert(~watchdog.de | (on_ms <= worn))
    return [bus.divisor == 8, bus.ro == bus.di, watchdog.ticks.ms & (watchdog.rate == 5)]
