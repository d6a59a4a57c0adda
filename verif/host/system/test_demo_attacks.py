"""Attacks in the demo: all four systems name each, or the demo fails and names the system that does not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from meterseal.clock import ManualClock
from meterseal.domain.alarm_rules import Code
from meterseal.errors import Failure
from meterseal.tools.demo import report, scenario
from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.forger import Forger
from meterseal.tools.demo.observe import SYSTEMS, Observation
from meterseal.tools.demo.plan import Plan, make_plan
from meterseal.tools.demo.scenario import Stage

FORGED, OPENED = Code.SEAL_AUTH_FAIL, Code.SEAL_OPEN_UNMATCHED


class Stores:
    """Holds the content of the four systems' stores; each observation takes ten seconds."""

    def __init__(self, plan: Plan) -> None:
        self.seal = plan.sites[0].seal
        self.clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
        self.seen = Observation(alarms={system: [] for system in SYSTEMS})

    def alarm(self, system: str, code: Code, *, at: int = 0, active: bool = True) -> None:
        alarm = {"code": code.value, "seal": self.seal, "counter": 4, "detail": f"by {system}"}
        self.seen.alarms[system].append(alarm | {"raised_at": f"{at}", "active": active})

    def observe(self) -> Observation:
        self.clock.advance(10)
        return self.seen


class StandingChain:
    """Stands for a chain without processes, with stores that hold what the test puts there."""

    def __init__(self, plan: Plan, stores: Stores) -> None:
        self.plan = plan
        self.observe = stores.observe

    def check(self) -> None:
        """Do nothing: no link ever ends."""


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    stores = Stores(make_plan(tmp_path))
    monkeypatch.setattr(scenario, "_LOOK_EVERY", 0)
    return stores


def attack(stores: Stores, tmp_path: Path, *late: tuple[Any, ...], still: Code | None = None) -> Stage:
    """Return an attack during which these alarms are raised."""
    plan = make_plan(tmp_path)
    chain = cast("Chain", StandingChain(plan, stores))
    forger = Forger(("127.0.0.1", 9), 2400, stores.clock)
    stage = Stage(chain, plan.sites, forger, lambda _: None, stores.clock)

    async def run() -> None:
        async with stage.attack("forged record", FORGED, still=still):
            for system, code, at in late:
                stores.alarm(system, code, at=at)

    asyncio.run(run())
    return stage


def test_an_attack_that_all_four_name_stands_in_the_table(stores: Stores, tmp_path: Path) -> None:
    stage = attack(stores, tmp_path, *((system, FORGED, 1) for system in SYSTEMS))
    (named,) = stage.attacks
    assert named.named == {
        system: [{"code": "SEAL_AUTH_FAIL", "counter": 4, "detail": f"by {system}"}] for system in SYSTEMS
    }
    document = report.document(stores.seen, {}, stage.attacks)
    lines = report.summary(document).splitlines()
    row = next(line for line in lines if line.startswith("  forged record "))
    assert row.split() == ["forged", "record", stores.seal, *4 * ["SEAL_AUTH_FAIL", "(4)"]]


@pytest.mark.parametrize("lacking", SYSTEMS)
def test_a_system_that_does_not_name_it_is_named(stores: Stores, tmp_path: Path, lacking: str) -> None:
    """An alarm that was there before, and one of another code, do not count."""
    stores.alarm(lacking, FORGED)
    late = [(system, FORGED, 1) for system in SYSTEMS if system != lacking]
    with pytest.raises(Failure, match=rf"{lacking}: raised no SEAL_AUTH_FAIL .* after forged record"):
        attack(stores, tmp_path, *late, (lacking, OPENED, 1))


def test_an_alarm_that_the_attack_hides_is_named(stores: Stores, tmp_path: Path) -> None:
    for system in SYSTEMS:
        stores.alarm(system, OPENED, active=system != "terminal")
    late = [(system, FORGED, 1) for system in SYSTEMS]
    with pytest.raises(Failure, match=r"terminal: SEAL_OPEN_UNMATCHED .* is not active after forged record"):
        attack(stores, tmp_path, *late, still=OPENED)
