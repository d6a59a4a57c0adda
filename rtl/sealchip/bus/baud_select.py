"""The rate of the RS485 bus: the identity's, or one that a request 17H has set for a while."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..signatures import RateChange

__all__ = ["BaudSelect"]


class BaudSelect(wiring.Component):
    """Gives the stored rate until `change` brings another one into force, and that one until `revert`.

    *Timing:* the rate changes in the cycle after the strobe; of both in one cycle `change.take` counts.

    Members
    -------
    stored : the number of the identity's rate, slowest first.
    change : the rate that 17H asks for.
    revert : strobe, the stored rate comes into force again.
    rate : the number of the rate in force.

    Guarantees: `verif/blocks/test_baud_select.py::test_baud_select`.
    """

    stored: In(3)
    change: In(RateChange)
    revert: In(1)
    rate: Out(3)

    def elaborate(self, platform):
        m = Module()
        changed, number = Signal(), Signal(3)
        m.d.comb += self.rate.eq(Mux(changed, number, self.stored))
        with m.If(self.change.take):
            m.d.sync += [changed.eq(1), number.eq(self.change.number)]
        with m.Elif(self.revert):
            m.d.sync += changed.eq(0)
        return m
