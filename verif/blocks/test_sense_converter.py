"""Tests of the sigma-delta converter against its analogue parts."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sealchip.sense.sigma_delta import OVERSAMPLING, SigmaDelta, modulator_divisor
from verif.benches.block import Bench, examples
from verif.models.analogue import Capacitor, Parts, convert, measurements

SLOW, FAST = 307_200, 12_000_000
BENCHES = {clock_hz: Bench(SigmaDelta, clock_hz) for clock_hz in (SLOW, FAST)}

#: After so many frames a measurement depends no longer on the start: the capacitor has settled, and both of
#: its frames came after that.
SETTLED = 3
TOLERANCE_MV = 50
#: A comparator with 4 mV at its pin has this offset.
OFFSET_MV = 10


#: A frame's measurement stands for so many samples after it.
STANDS = 16


def measured(clock_hz, compare, frames):
    """Return the measurements of the first `frames` frames; `compare(fb)` is called before each sample."""
    dut, result = BENCHES[clock_hz].dut, []
    divisor = modulator_divisor(clock_hz)

    async def testbench(ctx):
        for sample in range(frames * OVERSAMPLING + STANDS):
            ctx.set(dut.cmp, compare(ctx.get(dut.fb)))
            place = sample % OVERSAMPLING
            for cycle in range(divisor):
                assert ctx.get(dut.step) == (cycle == divisor - 1 and place < STANDS)
                if place == 0 and cycle == 0:
                    result.append(ctx.get(dut.millivolts))
                if place < STANDS:
                    assert (ctx.get(dut.place), ctx.get(dut.millivolts)) == (place, result[-1])
                await ctx.tick()

    BENCHES[clock_hz].run(testbench)
    return result


@examples(4)
@example(seed=0, share=1.0)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.0, 0.01, 0.5, 1.0]))
def test_filter_is_two_triangles(seed, share):
    """Every measurement is the sum of 512 samples under a triangle, whatever the samples are; it stands, and
    its places are put out, for 16 samples.
    """
    source = random.Random(seed)
    bits = [int(source.random() < share) for _ in range(3 * OVERSAMPLING + STANDS)]
    taken = iter(bits)
    assert measured(SLOW, lambda _: next(taken), 3) == [0, *measurements([0, *bits])[:3]]


@pytest.mark.parametrize(
    ("clock_hz", "loops_mv"), [(SLOW, [0, 20, 700, 3000, 4453, 5250, 5500]), (FAST, [5500])]
)
def test_every_voltage_is_measured(clock_hz, loops_mv):
    """Gateware, comparator and capacitor in a closed loop measure every voltage."""
    for loop_mv in loops_mv:
        capacitor = Capacitor(clock_hz / modulator_divisor(clock_hz), mv=loop_mv)

        def compare(fb, loop_mv=loop_mv, capacitor=capacitor):
            capacitor.follow(fb)
            return capacitor.compare(loop_mv)

        found = measured(clock_hz, compare, SETTLED + 3)[SETTLED:]
        assert all(abs(mv - loop_mv) <= TOLERANCE_MV for mv in found), (loop_mv, found)


def errors(clock_hz, loop_mv, parts, *, frames=8, seed=1):
    """Return the errors in mV of settled measurements of a constant voltage, without gateware."""
    capacitor = Capacitor(clock_hz / modulator_divisor(clock_hz), parts, mv=loop_mv, seed=seed)
    bits = convert(lambda _: loop_mv, (SETTLED + frames) * OVERSAMPLING, capacitor)
    return [found - loop_mv for found in measurements(bits)[SETTLED:]]


@pytest.mark.parametrize("clock_hz", [SLOW, FAST])
@pytest.mark.parametrize("offset_mv", [-OFFSET_MV, 0, OFFSET_MV])
def test_error_over_the_range(clock_hz, offset_mv):
    """The error is ±50 mV from 0 to 5.5 V, in steps that also find the ripple of few ones a frame."""
    parts = Parts(offset_mv=offset_mv)
    for loop_mv in [*range(0, 100, 9), *range(100, 5500, 231), 5500]:
        found = errors(clock_hz, loop_mv, parts)
        assert max(map(abs, found)) <= TOLERANCE_MV, (loop_mv, found)


def test_a_step_needs_the_stated_time():
    """From 0 to 4.5 V the feedback stands at 1 for 1.8 ms; down again the reading is 0 at once."""
    hz = SLOW / modulator_divisor(SLOW)
    capacitor = Capacitor(hz)
    rising = convert(lambda _: 4500, round(0.01 * hz), capacitor)
    assert 0.0016 < rising.index(0) / hz < 0.0019
    falling = convert(lambda _: 0, round(0.01 * hz), capacitor)
    assert measurements(falling)[2] == 0


@pytest.mark.parametrize("clock_hz", [SLOW, FAST])
def test_real_parts(clock_hz):
    """With R and C within 10 %, offset and noise drawn at random, and any clock, the error stays in its
    bounds; the supply's error comes on top.
    """
    draw = random.Random(20)
    for seed in range(150):
        scale = 1 + draw.uniform(-0.02, 0.02)
        parts = Parts(
            ohm=22e3 * draw.uniform(0.9, 1.1),
            farad=100e-9 * draw.uniform(0.9, 1.1),
            offset_mv=draw.uniform(-OFFSET_MV, OFFSET_MV),
            noise_mv=draw.uniform(0, 3),
            scale=scale,
        )
        for loop_mv in (0, draw.uniform(0, 100), draw.uniform(0, 5500), 5500):
            found = errors(clock_hz, loop_mv, parts, seed=seed)
            # A pin that gives less than its nominal supply needs more ones.
            shift = loop_mv / scale - loop_mv
            assert max(abs(error - shift) for error in found) <= TOLERANCE_MV, (parts, loop_mv, found)
