"""The figures of `meterseal bench chip` are measured, and the chip is as fast as promised."""

from __future__ import annotations

from meterseal.bench.chip import REQUIRED, run


def test_the_chip_with_its_bus_is_fast_enough() -> None:
    figures = run(1.0)
    assert float(figures["chip_with_bus_cycles_per_second"]) > REQUIRED
    assert float(figures["ratio_to_amaranth_simulator"]) > 100
