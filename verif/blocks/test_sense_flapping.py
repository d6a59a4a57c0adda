"""Tests of when a loop is flapping."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealchip.sense.flapping import Flapping
from verif.benches.block import Bench, examples

#: A second has so many cycles in these tests.
SECOND = 8
FLAPPING = Bench(Flapping)


def flapping(changes, cycles, phase=0):
    """Return whether it is flapping in each cycle, with changes in the cycles `changes`; check `begins` and
    `ends`.
    """
    dut, result = FLAPPING.dut, []

    async def testbench(ctx):
        before = strobe = 0
        for cycle in range(cycles):
            ctx.set(dut.change, cycle in changes)
            ctx.set(dut.tick_s, cycle % SECOND == phase)
            now = ctx.get(dut.flapping)
            assert (now != before) == strobe
            begins, ends = ctx.get(dut.begins), ctx.get(dut.ends)
            assert not (begins and (now or cycle not in changes))
            assert not (ends and not now)
            before, strobe = now, begins or ends
            result.append(now)
            await ctx.tick()

    FLAPPING.run(testbench)
    return result


times = st.lists(st.integers(0, 60 * SECOND), min_size=6, max_size=30, unique=True).map(sorted)


@examples(80)
@given(changes=times | st.lists(st.integers(0, 12 * SECOND), min_size=6, unique=True).map(sorted))
def test_six_changes_within_ten_seconds(changes):
    """Six changes within 10 s always begin it, in the next cycle; six that need more than 15 s never do."""
    states = flapping(changes, changes[-1] + 2)
    sixes = list(zip(changes, changes[5:], strict=False))
    for first, sixth in sixes:
        if sixth - first <= 10 * SECOND:
            assert states[sixth + 1]
    begun = [cycle for cycle, (before, now) in enumerate(pairwise(states)) if now and not before]
    assert all(
        any(sixth == cycle and sixth - first <= 15 * SECOND for first, sixth in sixes) for cycle in begun
    )


@pytest.mark.parametrize("count", range(6))
def test_a_count_lasts_fifteen_seconds(count):
    """Counts begin after the 5th, 10th, 15th … tick in turn; each holds what comes within its 15 s."""
    begin = (5 * (count + 1) - 1) * SECOND + 1
    five, end = [begin + n for n in range(5)], begin + 15 * SECOND
    assert flapping([*five, end - 1], end + 2)[-1]
    assert 1 not in flapping([*five, end + 1], end + 3)


@examples(40)
@given(
    phase=st.integers(0, SECOND - 1),
    gaps=st.lists(st.integers(1, 10 * SECOND), max_size=8),
)
def test_it_ends_after_ten_seconds_without_a_change(phase, gaps):
    changes = [1, 2, 3, 4, 5, 6]
    for gap in gaps:
        changes.append(changes[-1] + gap)
    states = flapping(changes, changes[-1] + 12 * SECOND, phase)
    ended = states.index(0, 7)
    assert 10 * SECOND <= ended - changes[-1] - 1 <= 11 * SECOND
    assert 1 not in states[ended:], "it does not begin again by itself"
