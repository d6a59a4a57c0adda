"""Theorems about sending and receiving characters: 8E1 as DL/T 645-2007 requires, 8N1 for a GSM module."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value

from sealchip.bus.transceiver import START, Transceiver
from sealchip.gsm.uart_rx import Receiver
from sealchip.gsm.uart_tx import Transmitter
from verif.formal.theorem import Subject, past, theorem

#: One bit of 600 baud at the fastest clock, 48 MHz: no chip has a larger divisor.
DIVISOR_MAX = 80_000
CHARACTER_BITS = 11
WITHOUT_PARITY = CHARACTER_BITS - 1
#: What follows a character on the line.
IDLE = C((1 << CHARACTER_BITS) - 1, CHARACTER_BITS)


def character(byte, length=CHARACTER_BITS):
    """Return start bit, eight data bits, even parity if `length` has room, stop bit; the first is lowest."""
    parity = 0
    for n in range(8):
        parity ^= byte[n]
    return Cat(0, byte, parity & 1, 1) if has_parity(length) else Cat(0, byte, 1)


def has_parity(length):
    """Return whether characters of that many bits have a parity bit."""
    return length == CHARACTER_BITS


@theorem(k=1, reach=83, parameters="any divisor from 8 to 80 000 that rests while `busy`")
def transmitter_sends_8n1(m: Module) -> list[Value]:
    """Each byte is sent as one whole 8N1 character that begins in the cycle after the byte's transfer and has
    bits of exactly `divisor` cycles; otherwise the line is idle. `busy` and `ready` follow the character.
    """
    tx, length = Transmitter(DIVISOR_MAX), WITHOUT_PARITY
    dut = Subject(m, tx)
    m.d.comb += [
        Assume((tx.divisor >= 8) & (tx.divisor <= DIVISOR_MAX)),
        Assume(~(tx.busy & past(m, tx.busy)) | (tx.divisor == past(m, tx.divisor))),
    ]

    # Reference: the character, and where in it the line is.
    sending = Signal()
    bits = Signal(length)
    bit, cycle = Signal(range(length)), Signal(range(DIVISOR_MAX))
    bit_ends = cycle == tx.divisor - 1
    character_ends = bit_ends & (bit == length - 1)
    with m.If(sending):
        m.d.sync += cycle.eq(cycle + 1)
        with m.If(bit_ends):
            m.d.sync += [cycle.eq(0), bit.eq(bit + 1)]
        with m.If(character_ends):
            m.d.sync += sending.eq(0)
    with m.If(tx.i.valid & tx.i.ready):
        m.d.sync += [sending.eq(1), bits.eq(character(tx.i.payload, length)), bit.eq(0), cycle.eq(0)]

    m.d.comb += [
        Assert(tx.o == Mux(sending, bits.bit_select(bit, 1), 1)),
        Assert(tx.busy == sending),
        Assert(tx.i.ready == (~sending | character_ends)),
    ]

    # Invariants: the registers are those of the place in the character.
    ahead = Cat(dut.signal("o"), dut.signal("shift"), 1)
    with m.If(sending):
        m.d.comb += [
            Assert(bit < length),
            Assert(cycle < tx.divisor),
            Assert(dut.signal("time") == cycle),
            Assert(dut.signal("left") == length - bit),
            Assert(ahead == (Cat(bits, IDLE) >> bit)[:length]),
        ]
    m.d.comb += Cover(past(m, sending & character_ends) & sending)
    return [tx.divisor == 8, tx.i.valid & (tx.i.payload == 0xA5)]


class Talker:
    """Sends only characters on `line`, any bytes with any pauses; each edge may be early or late by up to
    one cycle and 2.5 % of the time since the character began.
    """

    def __init__(self, m: Module, divisor: Value, line: Value, length: int) -> None:
        m.d.comb += [
            Assume((divisor >= 8) & (divisor <= DIVISOR_MAX)),
            Assume(divisor == AnyConst(len(divisor))),
        ]
        self.last = last = length - 1  # the stop bit
        # `slot` and `cycle` are the time since the character began, counted in the receiver's bits; `bit` is
        # what the line has, which differs from `slot` only near the edge between the two.
        self.begins, advances = AnySeq(1), AnySeq(1)
        was_sending, was_slot, was_cycle = Signal(), Signal(4), Signal(range(DIVISOR_MAX))
        was_bit, was_byte = Signal(4), Signal(8)
        self.was_sending = was_sending
        self.sending = sending = self.begins | was_sending
        self.slot = slot = Mux(self.begins, 0, was_slot)
        self.cycle = cycle = Mux(self.begins, 0, was_cycle)
        self.bit = bit = Mux(self.begins, 0, was_bit + (was_sending & advances))[:4]
        self.byte = byte = Mux(self.begins, AnySeq(8), was_byte)
        # 40 times the deviation that is allowed of the edges before and after `slot`.
        times = Array(n * divisor + 40 for n in range(length + 1))
        self.late = late = (bit + 1 == slot) & (40 * cycle < times[slot])
        self.early = early = (bit == slot + 1) & (40 * (divisor - cycle) <= times[slot + 1])
        may_begin = (was_slot == last) & (40 * (divisor - was_cycle) <= times[length])
        m.d.comb += [
            Assume(~self.begins | ~was_sending | may_begin),
            Assume(~sending | (bit <= last)),
            Assume(~sending | (bit == slot) | late | early),
            line.eq(~sending | character(byte, length).bit_select(bit, 1)),
        ]
        slot_ends = cycle == divisor - 1
        m.d.sync += [
            was_sending.eq(sending & ~((slot == last) & slot_ends)),
            was_slot.eq(slot + slot_ends),
            was_cycle.eq(Mux(slot_ends, 0, cycle + 1)),
            was_bit.eq(bit),
            was_byte.eq(byte),
        ]
        self.before = ~was_sending | character(was_byte, length).bit_select(was_bit, 1)  # of the line

        # Invariants
        m.d.comb += [
            Assert(~was_sending | ((was_slot <= last) & (was_cycle < divisor))),
            Assert(~was_sending | (was_slot != 0) | (was_cycle != 0)),
            Assert(~was_sending | (was_slot != last) | (was_cycle <= divisor >> 1) | (was_bit == last)),
        ]
        m.d.comb += [Cover(self.begins & was_sending), Cover(late), Cover(early)]
        self.example = [
            divisor == 8,
            byte == 0xA5,
            (bit == slot) | (slot == last - 1),
            self.begins == (~was_sending | may_begin),
        ]

    def is_told(self, m: Module, rx: Receiver | Transceiver) -> None:
        """Assert that each byte is reported once, without an error, in the middle of its stop bit."""
        told = self.sending & (self.slot == self.last) & (self.cycle == rx.divisor >> 1)
        m.d.comb += [
            Assert(rx.received.valid == told),
            Assert(~rx.received.valid | ((rx.received.data == self.byte) & ~rx.received.error)),
            Cover(rx.received.valid & (self.byte == 0xA5)),
        ]


@theorem(k=1, reach=92, parameters="any constant divisor from 8 to 80 000")
def receiver_takes_every_byte(m: Module) -> list[Value]:
    """On a line that carries only 8N1 characters, with any bytes and any pauses, each byte is reported once,
    without an error, in the middle of its stop bit. This holds even if each edge is early or late by up to
    one cycle and 2.5 % of the time since the character began.
    """
    rx = Receiver(DIVISOR_MAX)
    dut = Subject(m, rx, driven=(rx.i,))
    it = Talker(m, rx.divisor, rx.i, WITHOUT_PARITY)
    it.is_told(m, rx)

    # Invariants: the receiver's registers hold what has been received by then.
    state, time, count = dut.fsm(), dut.signal("time"), dut.signal("bit")
    half = rx.divisor >> 1
    sampled = it.slot + (it.cycle > half)  # the start bit is one of them
    in_start = it.sending & (sampled == 0) & (it.cycle != 0)
    in_bits = it.sending & (sampled >= 1) & (sampled <= it.last)
    m.d.comb += [
        Assert(state.ongoing("start") == in_start),
        Assert(state.ongoing("bits") == in_bits),
        Assert(~state.ongoing("break")),
    ]
    with m.If(in_start | in_bits):
        m.d.comb += Assert(time == Mux(in_bits & (it.cycle > half), rx.divisor, 0) + half + 1 - it.cycle)
    with m.If(in_start):
        m.d.comb += Assert(count == 0)
    with m.If(in_bits):
        m.d.comb += Assert(count == sampled - 1)
    for n in range(it.last):
        with m.If(in_bits & (count == n)):
            m.d.comb += Assert(rx.received.data[8 - min(n, 8) :] == it.byte[: min(n, 8)])
    return it.example


@theorem(k=1, reach=100, parameters="any constant divisor from 8 to 80 000; nothing to send")
def transceiver_takes_every_byte(m: Module) -> list[Value]:
    """The same holds for the bus and 8E1 characters."""
    bus = Transceiver(DIVISOR_MAX)
    dut = Subject(m, bus, driven=(bus.ro, bus.i.valid))
    it = Talker(m, bus.divisor, bus.ro, CHARACTER_BITS)
    it.is_told(m, bus)

    # Invariants: the counters are those of the time since the character began.
    running, half = dut.signal("running"), bus.divisor >> 1
    inside = it.sending & ((it.slot != 0) | (it.cycle != 0)) & ((it.slot != it.last) | (it.cycle <= half))
    sampled = it.slot - (it.cycle <= half)  # after the start bit
    m.d.comb += [
        Assert(~bus.de & ~dut.signal("muted")),
        Assert(dut.signal("high") == it.before),
        Assert(running == inside),
    ]
    with m.If(running):
        m.d.comb += [
            Assert(dut.signal("time") == it.cycle),
            Assert(dut.signal("bit") == (it.slot + START)[:4]),
        ]
    with m.Else():
        m.d.comb += Assert(bus.idle)
    with m.If(running & (it.slot == 0)):
        m.d.comb += Assert(~dut.signal("parity"))
    bits = character(it.byte)[1:]
    for n in range(it.last):
        with m.If(running & (it.slot != 0) & (sampled == n)):
            m.d.comb += [
                Assert(dut.signal("parity") == bits[:n].xor()),
                Assert(bus.received.data[8 - min(n, 8) :] == bits[: min(n, 8)]),
            ]
    return it.example
