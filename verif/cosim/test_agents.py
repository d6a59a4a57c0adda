"""The exported chip among the agents, in cocotb: on Verilator, and again on Icarus.

What a seal does in one life with a plain comparator stands in `verif/cosim/test_cocotb.py`, too.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from meterseal.domain.image import image
from meterseal.domain.record import Kind
from verif.benches.seal import IDENTITY
from verif.benches.simulators import ICARUS, VERILATOR, Chip

pytestmark = pytest.mark.long

#: Lives of a seal that end with a power cut, by simulator.
LIVES = {VERILATOR: 16, ICARUS: 3}
#: SPI clocks that an event takes, and its report's acknowledgement behind it.
CLOCKS = 900


@pytest.fixture(scope="module", params=[VERILATOR, ICARUS])
def simulator(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def chip(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """With a plain comparator."""
    return Chip(simulator, tmp_path_factory.mktemp(simulator), gsm=True)


def test_a_life(chip: Chip, simulator: str) -> None:
    chip.run("verif.cosim.cocotb_seal", 1)


def test_messages_by_a_bad_modem(chip: Chip, simulator: str) -> None:
    """On Icarus the one that takes seconds, not minutes, of the chip's time."""
    if simulator == ICARUS:
        chip.run("verif.cosim.cocotb_gsm", 1, only="an_opening_reaches_the_phone")
    else:
        chip.run("verif.cosim.cocotb_gsm", 2)


def test_attacks_are_named(simulator: str, tmp_path: Path) -> None:
    """With the converter: jumper, corroded contact, foreign voltage, pulled head."""
    Chip(simulator, tmp_path, front_end="sigma-delta", gsm=True).run("verif.cosim.cocotb_sense", 2)


def test_power_cuts_in_events(chip: Chip, simulator: str, tmp_path: Path) -> None:
    """At a random SPI clock of an event, again and again: no count is lost or used twice."""
    chance = random.Random(1)
    flash, said = tmp_path / "flash.bin", tmp_path / "said.json"
    flash.write_bytes(image(IDENTITY))
    events: dict[int, tuple[int, int]] = {}
    newest_boot = 0
    for life in range(LIVES[simulator]):
        clocks = chance.randrange(1, CLOCKS)
        told = {
            "flash": str(flash),
            "said": str(said),
            "sealed": life % 2 == 0,
            "seed": life,
            "clocks": clocks,
        }
        chip.run("verif.cosim.cocotb_power_cut", 1, METERSEAL_LIFE=json.dumps(told))
        records = json.loads(said.read_text())
        boots = [
            (boot, counter) for boot, counter, kind in records if boot > newest_boot and kind == Kind.BOOT
        ]
        assert boots, f"life {life}: a boot that no life before had"
        newest_boot, counter = boots[-1]
        assert counter > max(events, default=0)
        for boot, number, kind in records:
            assert events.setdefault(number, (boot, kind)) == (boot, kind), f"life {life}: {number} told anew"
    assert sorted(events) == list(range(1, max(events) + 1)), "an event that had been counted was not told"
