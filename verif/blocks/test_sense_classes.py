"""Tests of how millivolts become classes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealchip.interface import DIVIDER_OHM, HEAD_OHM, LOOP_NOT_MEASURED, StateClass
from sealchip.sense.classifier import Classifier
from verif.benches.block import Bench, examples
from verif.models.analogue import Loop

OPEN, LOW, SEALED, HIGH = StateClass.OPEN, StateClass.LOW, StateClass.SEALED, StateClass.HIGH
CLASSIFIER = Bench(Classifier)


def classify(mv, before, baseline):
    """Return the class of one measurement, as a reference; `before` is the class of the one before it."""
    if mv < (700 if before == OPEN else 500):
        return OPEN
    if baseline == LOOP_NOT_MEASURED:
        lowest, highest = 3000, 5250
    else:
        margin = baseline // 16 if before == SEALED else baseline // 32 + baseline // 64
        lowest, highest = baseline - margin, baseline + margin
    return LOW if mv < lowest else HIGH if mv > highest else SEALED


def classes(measurements, baseline):
    """Return the class after each measurement (mV, whether to ignore it); check what belongs to it."""
    dut, result = CLASSIFIER.dut, []

    async def testbench(ctx):
        async def compare(mv, hold):
            """Compare a voltage in all places."""
            before = ctx.get(dut.class_)
            ctx.set(dut.measured_mv, mv)
            for place in range(16):
                ctx.set(dut.place, place)
                ctx.set(dut.hold, hold if place == 15 else not hold)
                if place % 5 == 0:  # without a step there is no measurement
                    assert not ctx.get(dut.valid)
                    await ctx.tick()
                ctx.set(dut.step, 1)
                assert ctx.get(dut.valid) == (place == 15)
                assert ctx.get(dut.class_) == before
                if place == 15:
                    assert ctx.get(dut.reads_open) == (mv < (700 if before == OPEN else 500))
                await ctx.tick()
                ctx.set(dut.step, 0)

        ctx.set(dut.baseline_mv, baseline)
        assert (ctx.get(dut.class_), ctx.get(dut.millivolts)) == (StateClass.UNKNOWN, LOOP_NOT_MEASURED)
        await compare(0, True)  # from now on the baseline is known
        for mv, hold in measurements:
            await compare(mv, hold)
            if not hold:
                assert ctx.get(dut.millivolts) == mv
                assert ctx.get(dut.in_range) == (3000 <= mv <= 5250)
            result.append(ctx.get(dut.class_))

    CLASSIFIER.run(testbench)
    return result


@examples(40)
@given(
    baseline=st.integers(3000, 5250) | st.just(LOOP_NOT_MEASURED),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["limit", "window", "any"]),
            st.integers(0, 8192),
            st.integers(-3, 3),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_classes_against_model(baseline, steps):
    """Voltages near every limit, in any order, get the classes of the reference."""
    centre = baseline if baseline != LOOP_NOT_MEASURED else 4000
    near = {
        "limit": [500, 700, 3000, 5250],
        "window": [centre - centre // 16, centre + centre // 16, centre - 3 * centre // 64, centre],
    }
    measurements = [
        (mv if kind == "any" else near[kind][mv % 4] + offset, hold) for kind, mv, offset, hold in steps
    ]
    expected, state = [], StateClass.UNKNOWN
    for mv, hold in measurements:
        state = state if hold else classify(mv, state, baseline)
        expected.append(state)
    assert classes(measurements, baseline) == expected


@pytest.mark.parametrize("baseline", [3000, 3583, 4447, 5250, LOOP_NOT_MEASURED])
def test_every_limit_to_the_millivolt(baseline):
    """From every class, the next is right one millivolt below each limit, on it and above it."""
    centre = 4000 if baseline == LOOP_NOT_MEASURED else baseline
    margins = [centre // 16, centre // 32 + centre // 64]
    limits = [500, 700, 3000, 5250, *(centre + sign * margin for margin in margins for sign in (1, -1))]
    measurements = []
    for before in (0, 1500, centre, 8000):
        for limit in limits:
            for offset in (-1, 0, 1):
                measurements += [(before, False), (limit + offset, False)]
    expected, state = [], StateClass.UNKNOWN
    for mv, _ in measurements:
        state = classify(mv, state, baseline)
        expected.append(state)
    assert {OPEN, LOW, SEALED, HIGH} == set(expected)
    assert classes(measurements, baseline) == expected


def test_a_new_baseline_holds_for_whole_measurements():
    """A baseline may change between any two places; what is being compared stays with the one before."""
    dut = CLASSIFIER.dut

    async def testbench(ctx):
        ctx.set(dut.step, 1)
        ctx.set(dut.baseline_mv, 4400)
        ctx.set(dut.measured_mv, 4400)
        seen = []
        for number in range(16 * 5):
            if number == 16 * 2 + 7:
                ctx.set(dut.baseline_mv, 3500)
            ctx.set(dut.place, number % 16)
            await ctx.tick()
            seen.append(ctx.get(dut.class_))
        assert seen[15::16] == [SEALED, SEALED, SEALED, HIGH, HIGH]

    CLASSIFIER.run(testbench)


def test_parts_within_their_tolerances():
    """With a window learned by the same parts the loop stays sealed while the rail moves by 2 %; a jumper is
    high, a contact that has grown by 3.5 kΩ is low, a pulled head is open. This includes converter errors.
    """
    draw = random.Random(7)
    for _ in range(2000):
        parts = {
            "rail_mv": draw.uniform(4750, 5250),
            "driver_ohm": draw.uniform(20, 100),
            "divider_ohm": sum(DIVIDER_OHM) * draw.uniform(0.99, 1.01),
        }
        head = HEAD_OHM * draw.uniform(0.99, 1.01)
        scale = draw.uniform(0.98, 1.02)  # the converter's supply has this error at all times

        def measured(scale=scale, **loop):
            return round(Loop(**loop).mv(1) * scale + draw.uniform(-50, 50))

        baseline = measured(**parts, head_ohm=head)
        assert 3000 <= baseline <= 5250
        moved = parts | {"rail_mv": parts["rail_mv"] * draw.uniform(0.98, 1.02)}
        assert classify(measured(**moved, head_ohm=head), SEALED, baseline) == SEALED
        assert classify(measured(**parts, head_ohm=0), SEALED, baseline) == HIGH
        assert classify(measured(**parts, head_ohm=head + 3500), SEALED, baseline) == LOW
        assert classify(measured(**parts, head_ohm=float("inf")), SEALED, baseline) == OPEN
