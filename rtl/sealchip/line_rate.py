"""The rate of the RS485 pair: the identity's, or one that 17H has set for a while."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import BAUD_FEATURE

__all__ = ["LineRate", "rate_number"]


def rate_number(m, word):
    """Whether `word` is a baud feature word, and the rate's number in `BAUD_FEATURE`, slowest first."""
    known, number = Signal(), Signal(range(len(BAUD_FEATURE)))
    with m.Switch(word):
        for place, feature in enumerate(BAUD_FEATURE):
            with m.Case(feature):
                m.d.comb += [known.eq(1), number.eq(place)]
    return known, number


class LineRate(wiring.Component):
    """The stored rate until `take` brings that of `word` into force; from then on that one until `revert`.

    *Timing:* the rate changes in the cycle behind the strobe. *Errors:* a word that is none is not taken.

    Members
    -------
    stored: number of the identity's rate. word: baud feature word of 17H; known: it is one.
    take, revert: strobes. rate: number of the rate in force.

    Guarantees: `verif/chip/test_provisioning.py::test_line_rate`.
    """

    stored: In(3)
    word: In(8)
    known: Out(1)
    take: In(1)
    revert: In(1)
    rate: Out(3)

    def elaborate(self, platform):
        m = Module()
        changed, number = Signal(), Signal(3)
        known, wanted = rate_number(m, self.word)
        m.d.comb += [self.known.eq(known), self.rate.eq(Mux(changed, number, self.stored))]
        with m.If(self.take & known):
            m.d.sync += [changed.eq(1), number.eq(wanted)]
        with m.Elif(self.revert):
            m.d.sync += changed.eq(0)
        return m
