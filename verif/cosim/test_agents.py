"""The exported chip works among the agents in cocotb, on Verilator and on Icarus.

The seal in service with a plain comparator is also part of `verif/cosim/test_cocotb.py`.
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

#: Number of power cuts, by simulator.
CUTS = {VERILATOR: 16, ICARUS: 3}
#: SPI clocks of an event and of the acknowledgement of its report.
CLOCKS = 900


@pytest.fixture(scope="module", params=[VERILATOR, ICARUS])
def simulator(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def chip(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """Build the chip with a plain comparator."""
    return Chip(simulator, tmp_path_factory.mktemp(simulator), gsm=True)


def test_a_seal_in_service(chip: Chip, simulator: str) -> None:
    chip.run("verif.cosim.cocotb_seal", 1)


def test_messages_by_a_bad_modem(chip: Chip, simulator: str) -> None:
    """Messages arrive by a bad modem; on Icarus only the test that simulates seconds, not minutes, is run."""
    if simulator == ICARUS:
        chip.run("verif.cosim.cocotb_gsm", 1, only="an_opening_reaches_the_phone")
    else:
        chip.run("verif.cosim.cocotb_gsm", 2)


def test_attacks_are_named(simulator: str, tmp_path: Path) -> None:
    """The converter distinguishes jumper, corroded contact, foreign voltage and pulled head."""
    Chip(simulator, tmp_path, front_end="sigma-delta", gsm=True).run("verif.cosim.cocotb_sense", 2)


def test_power_cuts_in_events(chip: Chip, simulator: str, tmp_path: Path) -> None:
    """The power fails at random SPI clocks of events: no counter is lost or used twice."""
    chance = random.Random(1)
    flash, reported = tmp_path / "flash.bin", tmp_path / "reported.json"
    flash.write_bytes(image(IDENTITY))
    events: dict[int, tuple[int, int]] = {}
    newest_boot = 0
    for cut in range(CUTS[simulator]):
        clocks = chance.randrange(1, CLOCKS)
        case = {
            "flash": str(flash),
            "reported": str(reported),
            "sealed": cut % 2 == 0,
            "seed": cut,
            "clocks": clocks,
        }
        chip.run("verif.cosim.cocotb_power_cut", 1, METERSEAL_CASE=json.dumps(case))
        records = json.loads(reported.read_text())
        boots = [
            (boot, counter) for boot, counter, kind in records if boot > newest_boot and kind == Kind.BOOT
        ]
        assert boots, f"cut {cut}: no new boot was reported"
        newest_boot, counter = boots[-1]
        assert counter > max(events, default=0)
        for boot, number, kind in records:
            assert events.setdefault(number, (boot, kind)) == (boot, kind), (
                f"cut {cut}: counter {number} was used twice"
            )
    assert sorted(events) == list(range(1, max(events) + 1)), (
        "an event that had been counted was not reported"
    )
