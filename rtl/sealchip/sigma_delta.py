"""First-order sigma-delta converter out of a comparator, one pin, a resistor and a capacitor.

    loop voltage ── divider ──┐
                              ├─ comparator ── `cmp`
            ┌──── C to ground ┤
            └─ R ─────────────┴───── `fb`

The feedback keeps the capacitor at the (divided) loop voltage, so the share of ones in `fb` is that voltage
over the supply of the pin. A sinc² filter takes it from there: two overlapping triangles of weights instead
of integrators and combs, for the same result with half the registers.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FULL_SCALE_MV", "OVERSAMPLING", "SigmaDelta", "modulator_divisor"]

#: Samples of one frame; a measurement weighs two frames. Half of them would leave ripple of 64 mV near 0 V.
OVERSAMPLING = 256
#: Loop voltage at which `fb` is constantly 1. The greatest sum is 2^16, so a millivolt is 8 counts.
FULL_SCALE_MV = 8192
_COUNTS_PER_MV = OVERSAMPLING**2 // FULL_SCALE_MV

_MODULATOR_HZ = 307_200


def modulator_divisor(clock_hz):
    """Clock cycles of one sample: the most that keep the modulator at 307.2 kHz or above."""
    return max(1, clock_hz // _MODULATOR_HZ)


class SigmaDelta(wiring.Component):
    """Measures the loop voltage in millivolts, one measurement every 256 samples.

    Circuit: R = 22 kΩ, C = 100 nF (2.2 ms), divider 14.8 kΩ to 10.0 kΩ for a pin supply of 3.3 V, so that
    full scale is 8192 mV. The same parts fit every clock: the modulator runs at 307.2 to 614.4 kHz.

    *Timing:* a measurement covers the 512 samples before it (0.8 to 1.7 ms), the middle ones weighing most.
    The first one after reset is too low. While the capacitor still follows a step, `fb` stands still:
    a rise from 0 to 4.5 V reads as full scale for 1.8 ms, a fall reads as 0 until the capacitor is there.

    *Metastability:* `cmp` is sampled by one flip-flop, used one sample, at least 1.6 µs, later.

    *Accuracy:* ±50 mV from 0 to 5.5 V, with up to 4 mV of offset at the comparator and 3 mV rms of noise at
    the loop. An error of the pin's supply comes on top in proportion; in a learned window it cancels.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz.

    Members
    -------
    cmp: the comparator's pin, asynchronous; 1 = the loop is above the capacitor. fb: the feedback pin.
    millivolts: 0 to 8192, right in the cycle of `valid` only. valid: strobe.

    Guarantees: `verif/chip/test_sense_converter.py::test_filter_is_two_triangles`,
    `test_every_voltage_is_measured`, `test_error_over_the_range`, `test_a_step_needs_the_stated_time`,
    `test_real_parts`.
    """

    def __init__(self, clock_hz):
        self._divisor = modulator_divisor(clock_hz)
        super().__init__(
            {"cmp": In(1), "fb": Out(1), "valid": Out(1), "millivolts": Out(range(FULL_SCALE_MV + 1))}
        )

    def elaborate(self, platform):
        m = Module()
        phase = Signal(range(self._divisor))
        sample = phase == self._divisor - 1
        m.d.sync += phase.eq(Mux(sample, 0, phase + 1))

        # Sample k of a frame weighs k for the measurement after it, 256 - k for the one at its end.
        k = Signal(range(OVERSAMPLING))
        rising = Signal(range(OVERSAMPLING * (OVERSAMPLING - 1) // 2 + 1))
        falling = Signal(range(OVERSAMPLING**2 + 1))
        first = k == 0
        m.d.comb += [self.valid.eq(sample & first), self.millivolts.eq(falling // _COUNTS_PER_MV)]
        with m.If(sample):
            m.d.sync += [self.fb.eq(self.cmp), k.eq(k + 1)]
            with m.If(first):
                m.d.sync += [falling.eq(rising + Mux(self.fb, OVERSAMPLING, 0)), rising.eq(0)]
            with m.Elif(self.fb):
                m.d.sync += [falling.eq(falling + OVERSAMPLING - k), rising.eq(rising + k)]
        return m
