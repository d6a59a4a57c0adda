"""From millivolts to a class of the loop: absolute limits, then a window around the learned voltage."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import LOOP_NOT_MEASURED, StateClass
from .sigma_delta import FULL_SCALE_MV

__all__ = ["OPEN_LEAVE_MV", "OPEN_MV", "SEALED_MAX_MV", "SEALED_MIN_MV", "Classifier", "is_learned"]

#: Below it the loop is *open*; it stays so up to the second one.
OPEN_MV, OPEN_LEAVE_MV = 500, 700
#: A loop may be sealed within these limits only; without a baseline they are the window.
SEALED_MIN_MV, SEALED_MAX_MV = 3000, 5250

_CENTRE, _MARGIN = (SEALED_MIN_MV + SEALED_MAX_MV) // 2, (SEALED_MAX_MV - SEALED_MIN_MV) // 2


def is_learned(baseline_mv):
    """Whether a baseline is one; FFFF is none, and no voltage has the highest bit."""
    return ~baseline_mv[-1]


class Classifier(wiring.Component):
    """Classes each measurement; *sealed* is baseline ± 1/16.

    Hysteresis: a loop that is not *sealed* becomes it within ± 3/64 only; *open* is left at 700 mV.

    *Timing:* `class_`, `millivolts` and `in_range` belong to one measurement and change in the cycle after
    `valid`. They keep their values while `hold`. `reads_open` is combinational.

    Members
    -------
    measured_mv, valid: a measurement. hold: it was not taken under the usual conditions.
    baseline_mv: voltage of the sealed loop, FFFF = none.
    reads_open: whether `measured_mv` is that of an open loop.
    class_: *unknown* until the first measurement. millivolts: FFFF until then.
    in_range: within 3000 to 5250 mV.

    Guarantees: `verif/chip/test_sense_classes.py::test_classes_against_model`,
    `test_every_limit_to_the_millivolt`.
    """

    measured_mv: In(range(FULL_SCALE_MV + 1))
    valid: In(1)
    hold: In(1)
    baseline_mv: In(16)
    reads_open: Out(1)
    class_: Out(StateClass)
    millivolts: Out(16, init=LOOP_NOT_MEASURED)
    in_range: Out(1)

    def elaborate(self, platform):
        m = Module()
        measured, baseline = self.measured_mv, self.baseline_mv
        inner = (baseline >> 5) + (baseline >> 6)
        outer = baseline >> 4
        margin = Signal(range(FULL_SCALE_MV // 4))
        deviation = Signal(range(-2 * FULL_SCALE_MV, 2 * FULL_SCALE_MV))
        m.d.comb += [
            self.reads_open.eq(measured < Mux(self.class_ == StateClass.OPEN, OPEN_LEAVE_MV, OPEN_MV)),
            margin.eq(Mux(self.class_ == StateClass.SEALED, outer, inner)),
            deviation.eq(measured - baseline),
        ]
        with m.If(~is_learned(baseline)):
            m.d.comb += [margin.eq(_MARGIN), deviation.eq(measured - _CENTRE)]

        with m.If(self.valid & ~self.hold):
            m.d.sync += [
                self.millivolts.eq(measured),
                self.in_range.eq((measured >= SEALED_MIN_MV) & (measured <= SEALED_MAX_MV)),
                self.class_.eq(StateClass.SEALED),
            ]
            with m.If(self.reads_open):
                m.d.sync += self.class_.eq(StateClass.OPEN)
            with m.Elif(deviation < -margin):
                m.d.sync += self.class_.eq(StateClass.LOW)
            with m.Elif(deviation > margin):
                m.d.sync += self.class_.eq(StateClass.HIGH)
        return m
