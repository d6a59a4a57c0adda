"""From millivolts to a class of the loop, by fixed limits and by a window around the learned voltage."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import LOOP_NOT_MEASURED, StateClass
from .sigma_delta import FULL_SCALE_MV

__all__ = [
    "NO_BASELINE_MV",
    "OPEN_LEAVE_MV",
    "OPEN_MV",
    "SEALED_MAX_MV",
    "SEALED_MIN_MV",
    "Classifier",
    "is_learned",
]

#: Below the first one the loop becomes *open*; it stays *open* up to the second one.
OPEN_MV, OPEN_LEAVE_MV = 500, 700
#: Only within these limits a loop may be sealed; without a baseline they are the window.
SEALED_MIN_MV, SEALED_MAX_MV = 3000, 5250

_PLACES = 16
#: No baseline. As the value after reset it costs fewer inverters than FFFF, by which the log means the same.
NO_BASELINE_MV = 1 << (_PLACES - 1)


def is_learned(baseline_mv):
    """Return whether this is a baseline: the highest bit is set in no voltage, but in the log's FFFF."""
    return ~baseline_mv[-1]


class Classifier(wiring.Component):
    """Assigns a class to each measurement; *sealed* is within 1/16 of the baseline.

    Hysteresis: a loop that is not *sealed* becomes so only within 3/64, and *open* is left at 700 mV.

    A measurement stands for sixteen steps, so its bits are compared with all limits at once, one place in
    each step, the lowest first. That takes a few flip-flops where parallel comparators would take a carry
    chain for every limit. The window is around the baseline as it was when the previous measurement was
    classed.

    *Timing:* `class_`, `millivolts` and `in_range` belong to one measurement and change in the cycle after
    `valid`. They keep their values while `hold`.

    Members
    -------
    measured_mv : a measurement, which does not change from place 0 to place 15.
    step : strobe, compare the bit at `place`.
    place : counts from 0 to 15.
    hold : the measurement was not taken under the usual conditions; read while `valid`.
    baseline_mv : the voltage of the sealed loop, see `is_learned`.
    valid : strobe with place 15, the measurement has been compared.
    reads_open : `measured_mv` is that of an open loop; right while `valid`.
    class_ : the class, *unknown* until the first measurement.
    millivolts : the voltage that was classed, FFFF until the first measurement.
    in_range : that voltage is within 3000 to 5250 mV.

    Guarantees: `verif/blocks/test_sense_classes.py::test_classes_against_model`,
    `test_every_limit_to_the_millivolt`, `test_a_new_baseline_holds_for_whole_measurements`.
    """

    measured_mv: In(range(FULL_SCALE_MV + 1))
    step: In(1)
    place: In(range(_PLACES))
    hold: In(1)
    baseline_mv: In(_PLACES)
    valid: Out(1)
    reads_open: Out(1)
    class_: Out(StateClass)
    millivolts: Out(16, init=LOOP_NOT_MEASURED)
    in_range: Out(1)

    def elaborate(self, platform):
        m = Module()
        last = self.place == _PLACES - 1
        m.d.comb += self.valid.eq(self.step & last)

        def kept(name, following):
            """Return a bit that is carried from place to place."""
            bit = Signal(name=name)
            with m.If(self.step):
                m.d.sync += bit.eq(following(bit))
            return bit

        def less(name, a, b):
            """Return whether the lower places of `a` are less than those of `b`.

            The highest place at which the numbers differ decides, so each place with a difference overrides
            those before it. After the last place the bit is cleared for the next measurement.
            """
            return kept(name, lambda before: Mux(a ^ b, b, before) & ~last)

        def plus(name, a, b):
            """Return this bit of a sum. The highest bits are 0, so no carry reaches the next measurement."""
            carry = kept(name, lambda before: (a & b) | (before & (a | b)))
            return a ^ b ^ carry

        def constant(millivolts):
            return Const(millivolts, _PLACES).bit_select(self.place, 1)

        bit = self.measured_mv.bit_select(self.place, 1)
        leaves = Mux(self.class_ == StateClass.OPEN, constant(OPEN_LEAVE_MV), constant(OPEN_MV))
        m.d.comb += self.reads_open.eq(less("opens", bit, leaves))
        below_range = less("below_range", bit, constant(SEALED_MIN_MV))
        above_range = less("above_range", constant(SEALED_MAX_MV), bit)

        # The baseline b moves down by a bit a step: the present places of b, b/16, b/32 and b/64 are then
        # always the same bits of the register, and 3/64 is the sum of the last two.
        baseline = Signal(_PLACES, init=NO_BASELINE_MV)
        with m.If(self.step):
            m.d.sync += baseline.eq(Mux(last, self.baseline_mv, baseline >> 1))
        inner = plus("inner", baseline[5], baseline[6])
        margin = Mux(self.class_ == StateClass.SEALED, baseline[4], inner)
        below_window = less("below_window", plus("lower", bit, margin), baseline[0])
        above_window = less("above_window", plus("upper", baseline[0], margin), bit)

        learned = is_learned(baseline[:1])  # in the last place this is the highest bit of b
        with m.If(self.valid & ~self.hold):
            m.d.sync += [
                self.millivolts.eq(self.measured_mv),
                self.in_range.eq(~below_range & ~above_range),
                self.class_.eq(StateClass.SEALED),
            ]
            with m.If(self.reads_open):
                m.d.sync += self.class_.eq(StateClass.OPEN)
            with m.Elif(Mux(learned, below_window, below_range)):
                m.d.sync += self.class_.eq(StateClass.LOW)
            with m.Elif(Mux(learned, above_window, above_range)):
                m.d.sync += self.class_.eq(StateClass.HIGH)
        return m
