"""The front end of the seal loop, from the pins to measurements and their classes."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, ValueLike
from amaranth.lib import enum, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..interface import StateClass
from ..signatures import Measurement, Ticks
from .classifier import Classifier
from .pattern import DrivenPattern
from .sigma_delta import COUNT_MV, SigmaDelta

__all__ = ["FrontEnd", "Sensor"]


class _Sensed(NamedTuple):
    """What a sensor reports: its readings, and the class of the last one that was not blind."""

    #: Strobe: `reads_open` is whether this reading is that of an open loop.
    valid: ValueLike
    reads_open: ValueLike
    #: A bit that cannot be foreseen.
    noise: ValueLike
    class_: ValueLike
    #: What was classed lies where a loop may be sealed.
    in_range: ValueLike


class Sensor(enum.Enum):
    """How the loop voltage is sensed; a chip is built with one of these names."""

    #: A comparator with a fixed threshold distinguishes *sealed* and *open*, without millivolts.
    COMPARATOR = "comparator"
    #: A comparator within a sigma-delta converter gives millivolts and all classes.
    SIGMA_DELTA = "sigma-delta"


class FrontEnd(wiring.Component):
    """Senses the loop, and with `pattern` drives it and checks what returns.

    Parts that a build leaves out cost nothing: without a pattern the drive is always on and *mismatch* never
    comes; with a comparator no voltage is measured.

    *Timing:* a comparator's class follows the pin by two cycles (three with the pattern); for a converter see
    `SigmaDelta`. While `blind`, class and voltage stay as they were.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz.
    sensor : a `Sensor`.
    pattern : whether the drive carries a pattern.

    Members
    -------
    cmp : the comparator's pin, asynchronous.
    fb : the feedback pin of the converter; 0 with a comparator.
    drive : the voltage on the first electrode plate.
    ticks : the time.
    baseline_mv : the voltage learned at sealing, see `is_learned`.
    measurement : the newest measurement.

    Guarantees: `verif/blocks/test_sense_front_end.py`; proof:
    `verif/formal/sense.py::sealed_only_while_the_pattern_returns`.
    """

    def __init__(self, clock_hz, sensor=Sensor.COMPARATOR, *, pattern=False):
        self._clock_hz, self._sensor, self._pattern = clock_hz, sensor, pattern
        super().__init__(
            {
                "cmp": In(1),
                "fb": Out(1),
                "drive": Out(1),
                "ticks": In(Ticks),
                "baseline_mv": In(16),
                "measurement": Out(Measurement),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sensed = self._convert(m) if self._sensor == Sensor.SIGMA_DELTA else self._compare(m)
        mismatch = self._drive(m, sensed)
        m.d.comb += [
            self.measurement.class_.eq(Mux(mismatch, StateClass.MISMATCH, sensed.class_)),
            self.measurement.sealable.eq(sensed.in_range & ~mismatch),
        ]
        return m

    def _compare(self, m):
        """Sense the loop by the comparator alone."""
        above = Signal()
        class_ = Signal(StateClass)
        m.submodules.synchroniser = FFSynchronizer(self.cmp, above)
        m.d.comb += self.measurement.new.eq(self.ticks.ms)
        # Without the pattern nothing is ever blind, so the class needs no register.
        domain = m.d.sync if self._pattern else m.d.comb
        with m.If(~self.measurement.blind):
            domain += class_.eq(Mux(above, StateClass.SEALED, StateClass.OPEN))
        return _Sensed(
            valid=1, reads_open=~above, noise=0, class_=class_, in_range=class_ == StateClass.SEALED
        )

    def _convert(self, m):
        """Sense the loop by the converter and the classifier."""
        converter = m.submodules.converter = SigmaDelta(self._clock_hz)
        classifier = m.submodules.classifier = Classifier()
        m.d.sync += self.measurement.new.eq(classifier.valid)
        m.d.comb += [
            converter.cmp.eq(self.cmp),
            self.fb.eq(converter.fb),
            classifier.measured_mv.eq(converter.millivolts),
            classifier.step.eq(converter.step),
            classifier.place.eq(converter.place),
            classifier.hold.eq(self.measurement.blind),
            classifier.baseline_mv.eq(self.baseline_mv),
            self.measurement.millivolts.eq(classifier.millivolts),
        ]
        return _Sensed(
            valid=classifier.valid,
            reads_open=classifier.reads_open,
            # The lowest bit of a measurement that is not always 0.
            noise=(converter.millivolts // COUNT_MV)[0],
            class_=classifier.class_,
            in_range=classifier.in_range,
        )

    def _drive(self, m, sensed):
        """Drive the loop; return whether what comes back is not what was sent."""
        if not self._pattern:
            m.d.comb += self.drive.eq(1)
            return 0
        pattern = m.submodules.pattern = DrivenPattern()
        m.d.comb += [
            pattern.tick_ms.eq(self.ticks.ms),
            pattern.valid.eq(sensed.valid),
            pattern.reads_open.eq(sensed.reads_open),
            pattern.noise.eq(sensed.noise),
            self.drive.eq(pattern.drive),
            self.measurement.blind.eq(pattern.blind),
        ]
        return pattern.mismatch
