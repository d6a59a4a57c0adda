"""A single-event upset inverts one register bit: it has an alarm or no effect, and never green while open."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from meterseal.domain.record import Kind
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import LampsSeen
from sealchip.interface import RECORD
from verif.benches.chip import CLOCK_HZ, Bench, lamps
from verif.models.upsets import upset_chip

#: Register bits that a run inverts in each of two states, in addition to those of the filtered state.
SAMPLE = 40
#: Two characters on the pin that names the bit, with a margin.
UPSET_SECONDS = 0.003
DEBOUNCE = 0.020


def lamps_seen(bench: Bench) -> tuple[bool, bool]:
    """Return whether green and red have been lit since the last call, or are lit now."""
    changes = [seen for seen in bench.bus.tap() if isinstance(seen, LampsSeen)]
    green, red = lamps(bench)
    return green or any(seen.green for seen in changes), red or any(seen.red for seen in changes)


def upset(bench: Bench, bit: int) -> None:
    bench.bus.write_gsm(0, bit.to_bytes(2, "little"))
    bench.run(UPSET_SECONDS)


def opening_reported(bench: Bench) -> bool:
    """Return whether a report of an opening was received, signed or not."""
    place = 12 + RECORD.offsets["kind"]
    return any(heard.is_report and heard.frame.data[place] == Kind.OPENED for heard in bench.heard)


def wrong(bench: Bench, bit: int, chance: random.Random) -> str | None:
    """Return what the chip does wrong when `bit` is inverted, once while sealed and once while open."""
    bench.bus.position(0, closed=True)
    bench.power()
    bench.run(3.0, until=lambda: lamps(bench) == (True, False))
    assert lamps(bench) == (True, False)
    bench.heard.clear()

    bench.run(chance.uniform(0, 0.5))
    upset(bench, bit)
    bench.run(chance.uniform(0, 1.0))
    bench.bus.position(0, closed=False)
    bench.run(DEBOUNCE + 0.001)
    bench.bus.tap()
    bench.run(1.5)
    green, red = lamps_seen(bench)
    if green:
        return "green while open, after an upset while sealed"
    if not (opening_reported(bench) or red):
        return "neither red nor reported, after an upset while sealed"
    upset(bench, bit)
    bench.run(1.0)
    green, _ = lamps_seen(bench)
    return "green, after an upset while open" if green else None


@pytest.mark.long
def test_single_event_upsets(tmp_path: Path) -> None:
    """After an upset while sealed, an opening turns the seal red or is reported.

    From the debounce time on the seal is then not green. After an upset while open it is not green either.
    """
    verilog, names = upset_chip(CLOCK_HZ)
    model, chance = library(verilog), random.Random(1)
    found = {}
    critical = [bit for bit, name in enumerate(names) if "debounce.state" in name]
    assert critical
    for bit in [*critical, *chance.sample(range(len(names)), SAMPLE)]:
        bench = Bench(tmp_path, model=model)
        try:
            found[names[bit]] = wrong(bench, bit, chance)
        finally:
            bench.close()
    assert {name: what for name, what in found.items() if what} == {}
