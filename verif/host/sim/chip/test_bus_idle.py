"""Skipping time in which all chips are idle has no observable effect."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from meterseal.domain.layout import unpack
from meterseal.errors import Failure
from meterseal.protocols.dlt645 import requests
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import BusSim, ByteSeen, LampsSeen
from sealchip.interface import DIAGNOSTICS, Di
from verif.benches.chip import CLOCK_HZ, Bench, lamps, seal_address

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
CHIPS = 3
DOINGS = ("move", "twitch", "cut", "power", "noise", "ask", "mute", "answer")


class Watched(Bench):
    """A bench that advances to the next byte or lamp, and records all of them."""

    def __init__(
        self, folder: Path, chips: int = 1, *, skips: bool = True, front_end: str = "comparator"
    ) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, chips, seed=7, front_end=front_end)
        self.seen: list[ByteSeen | LampsSeen] = []
        if skips:
            self.bus.skip_idle()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        end = self.bus.now + seconds
        while self.bus.now < end and not (until and until()):
            due = min([end, *(at for at, _ in self._answers)])
            self.bus.run_until_seen(max(due - self.bus.now, 1 / CLOCK_HZ))
            self._listen()
            self.seen += self.bus.tap()

    def begin(self) -> None:
        """Power up all chips, one after the other, sealed."""
        for chip in range(self.bus.chips):
            self.bus.position(chip, closed=True)
            self.power(chip=chip)
            self.run(0.0712)
        self.run(4.0)

    def do(self, what: str, chip: int) -> None:
        closed = bool(self.bus.chip(chip).closed)
        match what:
            case "move":
                self.bus.position(chip, closed=not closed)
            case "twitch":
                self.bus.bounce(chip, seconds=0.01, edges=4, closed=closed)
            case "cut" | "power":
                self.power(on=what == "power", chip=chip)
            case "noise":
                self.bus.noise(0.01, 0.3)
            case "ask":
                self.bus.write(0, requests.read(seal_address(chip + 1), Di.DIAGNOSTICS).encode())
            case "mute" | "answer":
                self.answering = what == "answer"


def live(folder: Path, seed: int, *, skips: bool) -> tuple[object, ...]:
    """Run a random story; return every byte and lamp with its cycle, and the content of the flashes."""
    chance = Random(seed)
    with closing(Watched(folder, CHIPS, skips=skips)) as bench:
        bench.begin()
        for _ in range(10):
            bench.do(chance.choice(DOINGS), chance.randrange(CHIPS))
            bench.run(chance.choice([0.02, 1.0, 6.0]) * chance.random())
        bench.power()
        bench.answering = True
        bench.run(8.0)
        state = bench.bus.state
        assert bool(state.skipped) == skips
        flashes = [bytes(flash.array) for flash in bench.flashes]
        return bench.seen, state.cycle, state.collided_bits, state.noisy_bits, flashes


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(n, marks=pytest.mark.long) for n in range(3, 30))])
def test_skipping_has_no_observable_effect(tmp_path: Path, seed: int) -> None:
    """The same story has the same result with and without the idle time."""
    assert live(tmp_path / "left", seed, skips=True) == live(tmp_path / "whole", seed, skips=False)


def test_hours_pass(tmp_path: Path) -> None:
    """Nearly all of the time is left out; the chip's uptime is right, and an opening is reported in time."""
    with closing(Watched(tmp_path)) as bench:
        bench.begin()
        bench.run(7200.0)
        assert bench.bus.state.skipped > 0.99 * 7200 * CLOCK_HZ
        assert lamps(bench) == (True, False)
        (answer,) = bench.ask(requests.read(seal_address(1), Di.DIAGNOSTICS))
        uptime = int.from_bytes(unpack(DIAGNOSTICS, answer.frame.content)["uptime"], "little")
        # The chip counts a millisecond as 307 cycles instead of 307.2, and the answer takes time as well.
        assert 0 <= answer.at * 307.2 / 307 - uptime < 1.5
        before = bench.bus.now
        bench.bus.position(0, closed=False)
        bench.run(1.0)
        assert bench.heard[-1].at - before < 0.4


def test_a_chip_that_measures_is_never_idle(tmp_path: Path) -> None:
    with closing(Watched(tmp_path, front_end="sigma-delta")) as bench:
        bench.begin()
        assert bench.bus.state.skipped == 0


def test_a_model_with_unknown_counters_is_refused() -> None:
    """The counters of the stub chip are not known to the simulator; those of a netlist are not either."""
    with (
        BusSim(library(STUB_CHIP.read_text()), chips=1, ends=1) as bus,
        pytest.raises(Failure, match="gates"),
    ):
        bus.skip_idle()
