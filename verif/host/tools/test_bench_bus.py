"""The figures of `meterseal bench pair` are measured."""

from __future__ import annotations

from meterseal.sim.chip.bus import CLOCK_HZ
from meterseal.tools.bench.bus import power_up, reaction


def test_reaction_and_power_up_are_measured() -> None:
    """The test does not judge the figures. No report is faster than its own wire time, and none
    begins before its debounce time, which is counted in ticks of a millisecond.
    """
    (milliseconds,) = reaction(CLOCK_HZ, times=1)
    assert milliseconds > -1
    assert power_up(2, seed=1) > 1
