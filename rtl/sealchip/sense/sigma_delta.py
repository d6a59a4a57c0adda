"""A first-order sigma-delta converter, made of a comparator, one pin, a resistor and a capacitor.

    loop voltage ── divider ──┐
                              ├─ comparator ── `cmp`
            ┌──── C to ground ┤
            └─ R ─────────────┴───── `fb`

The feedback keeps the capacitor at the (divided) loop voltage, so the share of ones in `fb` is that voltage
over the supply of the pin. A sinc² filter averages it: two sums, with weights that are overlapping triangles,
are smaller than integrators and combs. The triangles have steps of 32 samples, which costs 4 mV of accuracy
and saves five bits of each sum.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COUNT_MV", "FULL_SCALE_MV", "OVERSAMPLING", "STEP", "SigmaDelta", "modulator_divisor"]

#: Samples of one frame; a measurement weighs two frames. Half as many would leave 64 mV of ripple near 0 V.
OVERSAMPLING = 256
#: How many samples have the same weight.
STEP = 32
#: The loop voltage at which `fb` is constantly 1.
FULL_SCALE_MV = 8192
_GREATEST = OVERSAMPLING * OVERSAMPLING // STEP
#: A measurement is a multiple of this.
COUNT_MV = FULL_SCALE_MV // _GREATEST
#: For how many samples a measurement stands.
_PLACES = 16

#: The lowest rate of the modulator. The RC that smooths its feedback fits rates up to twice as high.
_MODULATOR_HZ = 307_200


def modulator_divisor(clock_hz):
    """Return the clock cycles of one sample: the power of two that makes the modulator 307.2 to 614.4 kHz."""
    return 1 << (clock_hz // _MODULATOR_HZ).bit_length() - 1


class SigmaDelta(wiring.Component):
    """Measures the loop voltage in millivolts, one measurement every 256 samples.

    Circuit: R = 22 kΩ, C = 100 nF (2.2 ms), divider 14.8 kΩ to 10.0 kΩ for a pin supply of 3.3 V, so that
    full scale is 8192 mV. The same parts fit every clock: the modulator runs at 307.2 to 614.4 kHz.

    *Timing:* a measurement covers the 512 samples before it (0.8 to 1.7 ms), of which the middle ones weigh
    most. It stands for the following 16 samples, each of which ends with a `step`. The first one after reset
    is too low. While the capacitor still follows a jump of the loop, `fb` is constant: a rise from 0 to 4.5 V
    reads as full scale for 1.8 ms, and a fall reads as 0 until the capacitor has followed.

    *Metastability:* `cmp` is sampled by one flip-flop, which is used one sample, at least 1.6 µs, later.

    *Accuracy:* ±50 mV from 0 to 5.5 V, with up to 4 mV of offset at the comparator and 3 mV rms of noise at
    the loop. An error of the pin's supply comes on top in proportion; in a learned window it cancels.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz.

    Members
    -------
    cmp : the comparator's pin, asynchronous; 1 means that the loop is above the capacitor.
    fb : the feedback pin.
    step : strobe at the end of each sample for which the measurement stands.
    place : the number of that sample, from 0 to 15.
    millivolts : the measurement, 0 to 8192, a multiple of 4.

    Guarantees: `verif/blocks/test_sense_converter.py::test_filter_is_two_triangles`,
    `test_every_voltage_is_measured`, `test_error_over_the_range`, `test_a_step_needs_the_stated_time`,
    `test_real_parts`.
    """

    def __init__(self, clock_hz):
        self._divisor = modulator_divisor(clock_hz)
        super().__init__(
            {
                "cmp": In(1),
                "fb": Out(1),
                "step": Out(1),
                "place": Out(range(_PLACES)),
                "millivolts": Out(range(FULL_SCALE_MV + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(2 * OVERSAMPLING * self._divisor))
        k = count[-9:]  # number of the sample
        sample = count % self._divisor == self._divisor - 1
        step, odd = k[5:8], k[8]  # of this frame; whether the frame is the second of two
        m.d.sync += count.eq(count + 1)
        m.d.comb += [self.place.eq(k), self.step.eq(sample & (k[:8] < _PLACES))]
        with m.If(sample):
            m.d.sync += self.fb.eq(self.cmp)

        # The weights of a sum rise in one frame and fall in the next: in step j a sample weighs j, then 8 -
        # j. In the first step of a new pair of frames the weight is 0, so the sum stands, is read and is
        # cleared.
        sums = [Signal(range(_GREATEST + 1), name=f"sum{number}") for number in range(2)]
        for falls, total in zip((odd, ~odd), sums, strict=True):
            with m.If(sample & self.fb):
                # 8 - j is ~j + 1. The one goes in as a carry: both numbers have one more bit at the bottom.
                carried = Cat(Const(1), total) + Cat(falls, step ^ falls.replicate(len(step)))
                m.d.sync += total.eq(carried[1:])
            with m.If(self.step & (self.place == _PLACES - 1) & ~falls):
                m.d.sync += total.eq(0)
        m.d.comb += self.millivolts.eq(COUNT_MV * Mux(odd, sums[1], sums[0]))
        return m
