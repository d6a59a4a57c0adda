"""Fixtures of the whole chip, with and without power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from verif.benches.chip import Bench, lamps


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.close()


@pytest.fixture
def settled(bench: Bench) -> Bench:
    """Return the bench of a seal that was powered up closed and has reported everything."""
    bench.bus.position(0, closed=True)
    bench.power()
    bench.run(3.0)
    assert lamps(bench) == (True, False)
    bench.heard.clear()
    return bench
