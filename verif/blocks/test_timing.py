"""Tests of how seconds become cycles, and of the chip's sense of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealchip.bus.baud_tick import BaudTick
from sealchip.interface import BAUD_FEATURE
from sealchip.timebase import Timebase
from sealchip.timing import at_least, bit_cycles, bit_steps, cycles
from verif.benches.block import simulate


@given(clock=st.integers(1, 100_000_000), seconds=st.floats(1e-6, 1.0))
def test_cycles_are_right_or_refused(clock, seconds):
    exact = clock * seconds
    if round(exact) < 1 or abs(round(exact) - exact) > 0.01 * exact:
        with pytest.raises(ValueError, match=f"{clock} Hz"):
            cycles(clock, seconds)
    else:
        assert cycles(clock, seconds) == round(exact)


def test_cycles_tolerance():
    """An error of 1 % is accepted, and more is not unless the caller allows it."""
    assert cycles(1000, 0.0505) == 50  # this is 0.99 % off
    with pytest.raises(ValueError, match="cannot round within 1"):
        cycles(1000, 0.0495)  # this is 1.01 % off
    assert cycles(1000, 0.0495, tolerance=0.02) == 50
    with pytest.raises(ValueError, match="cannot round"):
        cycles(1000, 0.0001, tolerance=1.0)


def test_at_least():
    """The cycles are never less than the time, and never a whole cycle more."""
    assert [at_least(hz, 100e-9) for hz in (1, 10_000_000, 10_000_001, 48_000_000)] == [1, 1, 2, 5]


@pytest.mark.parametrize("clock", [307_200, 1_000_000, 12_000_000, 48_000_000])
def test_every_baud_rate_fits_every_clock(clock):
    for baud in BAUD_FEATURE.values():
        assert abs(bit_cycles(clock, baud) * baud / clock - 1) <= 0.02


@given(clock=st.integers(307_200, 48_000_000), baud=st.sampled_from([9600, 19200]))
def test_a_bit_is_at_least_eight_steps(clock, baud):
    """A bit has few steps and is nearly exact, or as many as cycles; it is refused where cycles are."""
    exact = clock / baud
    try:
        whole, steps = bit_steps(clock, baud)
    except ValueError:
        with pytest.raises(ValueError, match=f"{clock} Hz"):
            bit_cycles(clock, baud)
    else:
        assert steps >= 8
        assert abs(whole * steps - exact) <= (0.02 if whole == 1 else 0.005) * exact
        assert whole == 1 or steps < 64


@pytest.mark.parametrize("period", [8, 5, 1])
def test_baud_tick(period):
    """A step comes in every `period`-th cycle, the first time after as many."""
    dut, seen = BaudTick(period), []

    async def testbench(ctx):
        for _ in range(4 * period):
            seen.append(ctx.get(dut.step))
            await ctx.tick()

    simulate(dut, testbench)
    assert seen == ([0] * (period - 1) + [1]) * 4


def test_bit_cycles_errors():
    assert bit_cycles(8 * 19200, 19200) == 8
    with pytest.raises(ValueError, match="at least 8 clock cycles"):
        bit_cycles(7 * 19200, 19200)
    with pytest.raises(ValueError, match="cannot round within 2"):
        bit_cycles(int(10.4 * 19200), 19200)


def test_timebase():
    """Ticks come every period, the first a whole period after reset."""
    dut, period = Timebase(3000), 3
    milliseconds, quarters, seconds = [], [], []

    async def testbench(ctx):
        for cycle in range(2 * 1000 * period + 10):
            if ctx.get(dut.ticks.ms):
                milliseconds.append(cycle)
            if ctx.get(dut.ticks.quarter):
                quarters.append(cycle)
            if ctx.get(dut.ticks.s):
                seconds.append(cycle)
            await ctx.tick()

    simulate(dut, testbench)
    assert milliseconds == list(range(period - 1, 2 * 1000 * period + 10, period))
    assert quarters == list(range(250 * period - 1, 2 * 1000 * period, 250 * period))
    assert seconds == [1000 * period - 1, 2000 * period - 1]
