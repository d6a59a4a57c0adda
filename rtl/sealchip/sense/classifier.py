"""From millivolts to a class of the loop: absolute limits, then a window around the learned voltage."""

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

#: Below it the loop is *open*; it stays so up to the second one.
OPEN_MV, OPEN_LEAVE_MV = 500, 700
#: A loop may be sealed within these limits only; without a baseline they are the window.
SEALED_MIN_MV, SEALED_MAX_MV = 3000, 5250

_PLACES = 16
#: A baseline that is none; a register that begins so has hardly an inverter.
NO_BASELINE_MV = 1 << (_PLACES - 1)


def is_learned(baseline_mv):
    """Whether a baseline is one: no voltage has the highest bit. In the log FFFF is none."""
    return ~baseline_mv[-1]


class Classifier(wiring.Component):
    """Classes each measurement; *sealed* is baseline ± 1/16.

    Hysteresis: a loop that is not *sealed* becomes it within ± 3/64 only; *open* is left at 700 mV.

    A voltage is compared bit by bit with all limits at once, the lowest bit first. The window is around the
    baseline as it was when the measurement before was classed.

    *Timing:* `class_`, `millivolts` and `in_range` belong to one measurement and change in the cycle after
    `valid`. They keep their values while `hold`.

    Members
    -------
    measured_mv: a measurement. step: strobe, its bit `place` is to be compared: from 0 to 15, and the voltage
    the same all the while. hold: it was not taken under the usual conditions; looked at while `valid`.
    baseline_mv: voltage of the sealed loop; none if it is not `is_learned`.
    valid: strobe, with place 15: the measurement has been compared.
    reads_open: whether `measured_mv` is that of an open loop, right while `valid`.
    class_: *unknown* until the first measurement. millivolts: FFFF until then.
    in_range: within 3000 to 5250 mV.

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
            """A bit that goes from place to place."""
            bit = Signal(name=name)
            with m.If(self.step):
                m.d.sync += bit.eq(following(bit))
            return bit

        def less(name, a, b):
            """Whether the number whose bits are `a` is less than that of `b`, without this place."""
            return kept(name, lambda before: Mux(a ^ b, b, before) & ~last)

        def plus(name, a, b):
            """This bit of a sum. The highest bits are 0, so nothing is carried into the next measurement."""
            carry = kept(name, lambda before: (a & b) | (before & (a | b)))
            return a ^ b ^ carry

        def constant(millivolts):
            return Const(millivolts, _PLACES).bit_select(self.place, 1)

        bit = self.measured_mv.bit_select(self.place, 1)
        leaves = Mux(self.class_ == StateClass.OPEN, constant(OPEN_LEAVE_MV), constant(OPEN_MV))
        m.d.comb += self.reads_open.eq(less("opens", bit, leaves))
        below_range = less("below_range", bit, constant(SEALED_MIN_MV))
        above_range = less("above_range", constant(SEALED_MAX_MV), bit)

        # The baseline moves down, so that this place of b, b/16, b/32 and b/64 is always the same bit of it.
        baseline = Signal(_PLACES, init=NO_BASELINE_MV)
        with m.If(self.step):
            m.d.sync += baseline.eq(Mux(last, self.baseline_mv, baseline >> 1))
        inner = plus("inner", baseline[5], baseline[6])
        margin = Mux(self.class_ == StateClass.SEALED, baseline[4], inner)
        below_window = less("below_window", plus("lower", bit, margin), baseline[0])
        above_window = less("above_window", plus("upper", baseline[0], margin), bit)

        learned = is_learned(baseline[:1])  # in the last place its highest bit
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
