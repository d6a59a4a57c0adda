"""Theorems about characters: 8E1 as DL/T 645-2007 wants it, sent and received."""

from amaranth.hdl import Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem

from sealchip.uart_tx import Transmitter

#: One bit of 600 baud at the fastest clock, 48 MHz: no chip has a larger divisor.
DIVISOR_MAX = 80_000
CHARACTER_BITS = 11
#: What follows a character on the line.
IDLE = C((1 << CHARACTER_BITS) - 1, CHARACTER_BITS)


def character(byte):
    """8E1: start bit, eight data bits, even parity, stop bit; the first one lowest."""
    parity = 0
    for n in range(8):
        parity ^= byte[n]
    return Cat(0, byte, parity & 1, 1)


@theorem(k=1, reach=91, parameters="any divisor from 8 to 80 000 that rests while `busy`, any `abort`")
def transmitter_sends_8e1(m: Module) -> list[Value]:
    """Each byte is sent as one whole 8E1 character from the cycle after its transfer on, every bit exactly
    `divisor` cycles long, unless aborted; else the line is idle. `busy`, `ready` and `sample` say so.
    """
    tx = Transmitter(DIVISOR_MAX)
    dut = Subject(m, tx)
    m.d.comb += [
        Assume((tx.divisor >= 8) & (tx.divisor <= DIVISOR_MAX)),
        Assume(~(tx.busy & past(m, tx.busy)) | (tx.divisor == past(m, tx.divisor))),
    ]

    # Reference: the character, and where in it the line is.
    sending = Signal()
    bits = Signal(CHARACTER_BITS)
    bit, cycle = Signal(range(CHARACTER_BITS)), Signal(range(DIVISOR_MAX))
    bit_ends = cycle == tx.divisor - 1
    character_ends = bit_ends & (bit == CHARACTER_BITS - 1)
    with m.If(sending):
        m.d.sync += cycle.eq(cycle + 1)
        with m.If(bit_ends):
            m.d.sync += [cycle.eq(0), bit.eq(bit + 1)]
        with m.If(character_ends):
            m.d.sync += sending.eq(0)
    with m.If(tx.i.valid & tx.i.ready):
        m.d.sync += [sending.eq(1), bits.eq(character(tx.i.payload)), bit.eq(0), cycle.eq(0)]
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
            Assert(bit < CHARACTER_BITS),
            Assert(cycle < tx.divisor),
            Assert(dut.signal("time") == cycle),
            Assert(dut.signal("left") == CHARACTER_BITS - bit),
            Assert(ahead == (Cat(bits, IDLE) >> bit)[:CHARACTER_BITS]),
        ]
    m.d.comb += [
        Cover(past(m, sending & character_ends) & sending),
        Cover(past(m, tx.abort & sending & (bit == 5))),
    ]
    return [tx.divisor == 8, tx.i.valid & (tx.i.payload == 0xA5), ~tx.abort | (bit == 5)]
