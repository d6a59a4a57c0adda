"""The front end of the seal loop: from pins to a class of measurement."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..interface import LOOP_NOT_MEASURED, StateClass
from .classifier import Classifier
from .pattern import DrivenPattern
from .sigma_delta import COUNT_MV, SigmaDelta

__all__ = ["FrontEnd", "Sensor"]


class Sensor(enum.Enum):
    """How the loop voltage is sensed; by these names the chip is built."""

    #: A comparator with a fixed threshold tells *sealed* and *open*. No millivolts.
    COMPARATOR = "comparator"
    #: A comparator within a sigma-delta converter: millivolts and all classes.
    SIGMA_DELTA = "sigma-delta"


class FrontEnd(wiring.Component):
    """Senses the loop, and with `pattern` drives it and checks what returns.

    What the build leaves out costs nothing: without a pattern the drive is always on and there is no
    *mismatch*; a comparator measures no voltage.

    *Timing:* a comparator's class follows the pin by two cycles (three with the pattern); for a converter see
    `SigmaDelta`. While `blind`, class and voltage stay what they were before.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz. sensor: a `Sensor`. pattern: whether the drive carries a pattern.

    Members
    -------
    cmp: the comparator's pin, asynchronous. fb: feedback of the converter, else 0.
    drive: voltage on the first electrode plate. tick_ms: strobe.
    baseline_mv: voltage learned, see `is_learned`.
    class_, millivolts: the newest measurement. measured: strobe, it is new; with a comparator, `tick_ms`.
    blind: the drive is off, or has not been on for long enough.
    sealable: what was measured may be taken for sealed.

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
                "tick_ms": In(1),
                "baseline_mv": In(16),
                "class_": Out(StateClass),
                "millivolts": Out(16, init=LOOP_NOT_MEASURED),
                "measured": Out(1),
                "blind": Out(1),
                "sealable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # What the sensor says: its readings, and the class of the last one that was not blind.
        self._valid = Signal()
        self._reads_open = Signal()
        self._noise = Signal()
        self._class = Signal(StateClass)
        self._in_range = Signal()
        if self._sensor == Sensor.SIGMA_DELTA:
            self._convert(m)
        else:
            self._compare(m)
        mismatch = self._drive(m)
        m.d.comb += [
            self.class_.eq(Mux(mismatch, StateClass.MISMATCH, self._class)),
            self.sealable.eq(self._in_range & ~mismatch),
        ]
        return m

    def _compare(self, m):
        above = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.cmp, above)
        m.d.comb += [
            self.measured.eq(self.tick_ms),
            self._valid.eq(1),
            self._reads_open.eq(~above),
            self._in_range.eq(self._class == StateClass.SEALED),
        ]
        domain = m.d.sync if self._pattern else m.d.comb
        with m.If(~self.blind):
            domain += self._class.eq(Mux(above, StateClass.SEALED, StateClass.OPEN))

    def _convert(self, m):
        converter = m.submodules.converter = SigmaDelta(self._clock_hz)
        classifier = m.submodules.classifier = Classifier()
        m.d.sync += self.measured.eq(classifier.valid)
        m.d.comb += [
            converter.cmp.eq(self.cmp),
            self.fb.eq(converter.fb),
            classifier.measured_mv.eq(converter.millivolts),
            classifier.step.eq(converter.step),
            classifier.place.eq(converter.place),
            classifier.hold.eq(self.blind),
            classifier.baseline_mv.eq(self.baseline_mv),
            self.millivolts.eq(classifier.millivolts),
            self._valid.eq(classifier.valid),
            self._reads_open.eq(classifier.reads_open),
            self._noise.eq((converter.millivolts // COUNT_MV)[0]),
            self._class.eq(classifier.class_),
            self._in_range.eq(classifier.in_range),
        ]

    def _drive(self, m):
        """Whether what returns is not what was sent."""
        if not self._pattern:
            m.d.comb += self.drive.eq(1)
            return 0
        pattern = m.submodules.pattern = DrivenPattern()
        m.d.comb += [
            pattern.tick_ms.eq(self.tick_ms),
            pattern.valid.eq(self._valid),
            pattern.reads_open.eq(self._reads_open),
            pattern.noise.eq(self._noise),
            self.drive.eq(pattern.drive),
            self.blind.eq(pattern.blind),
        ]
        return pattern.mismatch
