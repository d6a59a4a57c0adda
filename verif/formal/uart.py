"""Theorems about characters, sent and received: 8E1 as DL/T 645-2007 wants it, 8N1 for a GSM module."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem

from sealchip.uart_rx import Receiver
from sealchip.uart_tx import Transmitter

#: One bit of 600 baud at the fastest clock, 48 MHz: no chip has a larger divisor.
DIVISOR_MAX = 80_000
CHARACTER_BITS = 11
WITHOUT_PARITY = CHARACTER_BITS - 1
#: What follows a character on the line.
IDLE = C((1 << CHARACTER_BITS) - 1, CHARACTER_BITS)


def character(byte, length=CHARACTER_BITS):
    """Start bit, eight data bits, even parity if `length` has room, stop bit; the first one lowest."""
    parity = 0
    for n in range(8):
        parity ^= byte[n]
    return Cat(0, byte, parity & 1, 1) if has_parity(length) else Cat(0, byte, 1)


def has_parity(length):
    """Whether characters of that many bits have a parity bit."""
    return length == CHARACTER_BITS


def _sends(m: Module, length: int) -> list[Value]:
    tx = Transmitter(DIVISOR_MAX, parity=has_parity(length))
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
    with m.If(tx.abort):
        m.d.sync += sending.eq(0)

    m.d.comb += [
        Assert(tx.o == Mux(sending, bits.bit_select(bit, 1), 1)),
        Assert(tx.busy == sending),
        Assert(tx.i.ready == (~sending | character_ends)),
        Assert(tx.sample == (sending & (cycle == tx.divisor >> 1))),
    ]

    # Invariants: the registers are those of the place in the character.
    ahead = Cat(dut.signal("o"), dut.signal("shift"))
    with m.If(sending):
        m.d.comb += [
            Assert(bit < length),
            Assert(cycle < tx.divisor),
            Assert(dut.signal("time") == cycle),
            Assert(dut.signal("left") == length - bit),
            Assert(ahead == (Cat(bits, IDLE) >> bit)[:length]),
        ]
    m.d.comb += [
        Cover(past(m, sending & character_ends) & sending),
        Cover(past(m, tx.abort & sending & (bit == 5))),
    ]
    return [tx.divisor == 8, tx.i.valid & (tx.i.payload == 0xA5), ~tx.abort | (bit == 5)]


TRANSMITTED = "any divisor from 8 to 80 000 that rests while `busy`, any `abort`"


@theorem(k=1, reach=91, parameters=TRANSMITTED)
def transmitter_sends_8e1(m: Module) -> list[Value]:
    """Each byte is sent as one whole 8E1 character from the cycle after its transfer on, every bit exactly
    `divisor` cycles long, unless aborted; else the line is idle. `busy`, `ready` and `sample` say so.
    """
    return _sends(m, CHARACTER_BITS)


@theorem(k=1, reach=83, parameters=TRANSMITTED)
def transmitter_sends_8n1(m: Module) -> list[Value]:
    """Without parity the same holds of 8N1 characters."""
    return _sends(m, WITHOUT_PARITY)


def _takes(m: Module, length: int) -> list[Value]:
    rx = Receiver(DIVISOR_MAX, parity=has_parity(length))
    dut = Subject(m, rx, driven=(rx.i,))
    m.d.comb += Assume((rx.divisor >= 8) & (rx.divisor <= DIVISOR_MAX))
    m.d.comb += Assume(rx.divisor == AnyConst(len(rx.divisor)))

    last = length - 1  # the stop bit

    # The sender. `slot` and `cycle` are the time since the character began, counted in our own bits; `bit` is
    # what the line has, another one than `slot` only near the edge between the two.
    begins, advances = AnySeq(1), AnySeq(1)
    was_sending, was_slot, was_cycle = Signal(), Signal(4), Signal(range(DIVISOR_MAX))
    was_bit, was_byte = Signal(4), Signal(8)
    sending = begins | was_sending
    slot, cycle = Mux(begins, 0, was_slot), Mux(begins, 0, was_cycle)
    bit = Mux(begins, 0, was_bit + (was_sending & advances))[:4]
    byte = Mux(begins, AnySeq(8), was_byte)
    # 40 times the deviation that is allowed of the edges before and behind `slot`.
    times = Array(n * rx.divisor + 40 for n in range(length + 1))
    late = (bit + 1 == slot) & (40 * cycle < times[slot])
    early = (bit == slot + 1) & (40 * (rx.divisor - cycle) <= times[slot + 1])
    may_begin = (was_slot == last) & (40 * (rx.divisor - was_cycle) <= times[length])
    m.d.comb += [
        Assume(~begins | ~was_sending | may_begin),
        Assume(~sending | (bit <= last)),
        Assume(~sending | (bit == slot) | late | early),
        rx.i.eq(~sending | character(byte, length).bit_select(bit, 1)),
    ]
    slot_ends = cycle == rx.divisor - 1
    m.d.sync += [
        was_sending.eq(sending & ~((slot == last) & slot_ends)),
        was_slot.eq(slot + slot_ends),
        was_cycle.eq(Mux(slot_ends, 0, cycle + 1)),
        was_bit.eq(bit),
        was_byte.eq(byte),
    ]

    half = rx.divisor >> 1
    m.d.comb += Assert(rx.valid == (sending & (slot == last) & (cycle == half)))
    m.d.comb += Assert(~rx.valid | ((rx.data == byte) & ~rx.error))

    # Invariants: what the receiver has by then.
    state, time, count = dut.fsm(), dut.signal("time"), dut.signal("bit")
    sampled = slot + (cycle > half)  # the start bit is one of them
    in_start = sending & (sampled == 0) & (cycle != 0)
    in_bits = sending & (sampled >= 1) & (sampled <= last)
    m.d.comb += [
        Assert(~was_sending | ((was_slot <= last) & (was_cycle < rx.divisor))),
        Assert(~was_sending | (was_slot != 0) | (was_cycle != 0)),
        Assert(state.ongoing("start") == in_start),
        Assert(state.ongoing("bits") == in_bits),
        Assert(~state.ongoing("break")),
    ]
    with m.If(in_start | in_bits):
        m.d.comb += Assert(time == Mux(in_bits & (cycle > half), rx.divisor, 0) + half + 1 - cycle)
    with m.If(in_start):
        m.d.comb += [Assert(count == 0), Assert(~dut.signal("parity"))]
    with m.If(in_bits):
        m.d.comb += Assert(count == sampled - 1)
    for n in range(last):
        bits = character(byte, length)[1 : 1 + n]
        with m.If(in_bits & (count == n)):
            if has_parity(length):
                m.d.comb += Assert(dut.signal("parity") == bits.xor())
            m.d.comb += Assert(rx.data[8 - min(n, 8) :] == bits[:8])

    m.d.comb += [Cover(rx.valid & (byte == 0xA5)), Cover(begins & was_sending), Cover(late), Cover(early)]
    return [
        rx.divisor == 8,
        byte == 0xA5,
        (bit == slot) | (slot == last - 1),
        begins == (~was_sending | may_begin),
    ]


@theorem(k=1, reach=100, parameters="any constant divisor from 8 to 80 000")
def receiver_takes_every_byte(m: Module) -> list[Value]:
    """Of a line with nothing but 8E1 characters, whatever their bytes and the pauses between them, each byte
    is told once, without an error, in the middle of its stop bit; though each edge may be early or late by up
    to one cycle and 2.5 % of the time since the character began.
    """
    return _takes(m, CHARACTER_BITS)


@theorem(k=1, reach=92, parameters="any constant divisor from 8 to 80 000")
def receiver_takes_every_8n1_byte(m: Module) -> list[Value]:
    """Without parity the same holds of 8N1 characters."""
    return _takes(m, WITHOUT_PARITY)
