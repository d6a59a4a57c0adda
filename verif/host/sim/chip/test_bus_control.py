"""Each command of the control port has its effect on the loop, and wrong commands are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meterseal.domain.image import Identity, image
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.control import answer
from meterseal.sim.chip.head import Head, Loop
from meterseal.sim.chip.rig import Rig, open_seals
from sealchip.interface import SEALED_MV

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
SEAL = "000000000131"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    path = tmp_path / "seal.bin"
    path.write_bytes(image(Identity(SEAL, "GD-131")))
    seals = open_seals([path])
    with BusSim(library(STUB_CHIP.read_text()), chips=1, ends=1, clock_hz=38_400) as bus:
        yield Rig(bus, seals, lambda what, **fields: None)
    seals[0].flash.close()


def command(rig: Rig, **request: object) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(answer(rig, json.dumps(request).encode()))
    return done


@pytest.mark.parametrize(
    ("requests", "mv"),
    [
        ([], 0),
        ([{"do": "close"}], SEALED_MV),
        ([{"do": "close"}, {"do": "corrode", "mv": 2800}], 2800),
        ([{"do": "close"}, {"do": "corrode", "mv": 2800}, {"do": "corrode", "mv": None}], SEALED_MV),
        ([{"do": "jumper", "on": True}], 5000),
        ([{"do": "jumper", "on": True}, {"do": "jumper", "on": False}], 0),
        ([{"do": "loop_mv", "mv": 3300}], 3300),
        ([{"do": "close"}, {"do": "loop_mv", "mv": 0}], 0),
        ([{"do": "loop_mv", "mv": 3300}, {"do": "loop_mv", "mv": None}], 0),
        ([{"do": "close"}, {"do": "open"}], 0),
    ],
)
def test_what_is_done_to_the_loop(rig: Rig, requests: list[dict[str, Any]], mv: int) -> None:
    for request in requests:
        assert command(rig, **request)["ok"]
    state = command(rig, do="state", seal=SEAL)
    assert (state["loop_mv"], rig.bus.chip(0).loop_mv) == (mv, mv)


def test_the_head_is_saved_with_its_loop(rig: Rig) -> None:
    for request in (
        {"do": "close"},
        {"do": "jumper", "on": True},
        {"do": "corrode", "mv": 100},
        {"do": "loop_mv", "mv": 1},
        {"do": "loop_noise", "mv": 7},
    ):
        assert command(rig, **request)["ok"]
    saved = Head.load(rig.seals[0].flash.path)
    assert saved == Head(closed=True, loop=Loop(100, jumper=True, foreign_mv=1, noise_mv=7))
    state = command(rig, do="state")["seals"][0]
    assert (state["position"], state["jumper"], state["foreign_mv"]) == ("closed", True, 1)
    assert (state["contact_mv"], state["noise_mv"]) == (100, 7)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"do": "jumper"}, "`on` is null; give true or false"),
        ({"do": "loop_mv", "mv": -1}, "`mv` is -1; give a whole number from 0 to 30000, or null"),
        ({"do": "corrode", "mv": 9000}, "give a whole number from 0 to 5000, or null"),
        ({"do": "loop_noise", "mv": None}, "give a whole number from 0 to 1000"),
        ({"do": "open", "seal": 1}, "no seal 1 on this bus"),
        ({"do": "open", "on": True}, "open knows no on"),
    ],
)
def test_what_it_will_not_take(rig: Rig, request_: dict[str, Any], says: str) -> None:
    refused = command(rig, **request_)
    assert not refused["ok"]
    assert says in refused["error"]
