"""The figures of `meterseal bench chip` are measured, each in the same run."""

from __future__ import annotations

from meterseal.tools.bench.chip import run


def test_chip_and_peers_are_measured_in_one_run() -> None:
    """The test does not judge the figures, because they depend on how busy the machine is."""
    figures = run(0.5)
    rates = [value for name, value in figures.items() if name.endswith("cycles_per_second")]
    assert len(rates) == 4
    assert all(float(rate) > 0 for rate in rates)
