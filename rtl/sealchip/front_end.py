"""Front ends of the seal loop: from pins to a class of measurement.

Every front end has the members `cmp` (In), `drive`, `class_`, `millivolts` (Out): the sigma-delta
converter and the driven pattern take the comparator's place without a change elsewhere.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .interface import LOOP_NOT_MEASURED, StateClass

__all__ = ["ComparatorFrontEnd"]


class ComparatorFrontEnd(wiring.Component):
    """One comparator: loop voltage above the threshold is *sealed*, else *open*. No millivolts.

    *Timing:* two cycles of synchroniser.

    Members
    -------
    cmp: the comparator's pin, asynchronous. drive: voltage on the first electrode plate, always on.
    class_: class of the present measurement. millivolts: `LOOP_NOT_MEASURED`.

    Guarantees: `verif/chip/test_chip_report.py::test_opening_and_closing_are_reported`.
    """

    cmp: In(1)
    drive: Out(1, init=1)
    class_: Out(StateClass)
    millivolts: Out(16, init=LOOP_NOT_MEASURED)

    def elaborate(self, platform):
        m = Module()
        above = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.cmp, above)
        with m.If(above):
            m.d.comb += self.class_.eq(StateClass.SEALED)
        with m.Else():
            m.d.comb += self.class_.eq(StateClass.OPEN)
        return m
