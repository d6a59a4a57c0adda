"""Any link may be killed at any moment and started again: nothing is lost or duplicated."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.observe import SYSTEMS, Observation
from meterseal.tools.demo.plan import LINKS, make_plan
from meterseal.tools.demo.scenario import NOTIFIED, Stage

BAUD, POLL = 19200, 0.2
#: Seconds from a movement of the seal to the SIGKILL, which then hits the report, the way or the customer.
MOMENTS = (0.06, 0.35, 1.0)
MORE_MOMENTS = tuple(0.04 + 0.11 * n for n in range(15))


async def _run(folder: Path, link: str, moments: tuple[float, ...]) -> Observation:
    """Close and open the seal in turn, and kill `link` at one of `moments` after each movement."""
    plan = make_plan(folder, baud=BAUD, poll=POLL)
    async with Chain(plan, _ignore) as chain:
        await chain.start()
        stage = Stage.of(chain, lambda _: None)
        await stage.expect("boot")
        for n, moment in enumerate(moments):
            do, kind = ("open", "opened") if n % 2 else ("close", "closed")
            await stage.act(do)
            await asyncio.sleep(moment)
            await chain.kill(link)
            await chain.start_link(link)
            await stage.expect(kind)
            if link == "chip":
                await stage.expect("boot")
        # This leaves time for a duplicate of anything to appear.
        await asyncio.sleep(1.0)
        chain.check()
        return chain.observe()


def _ignore(link: str, line: dict[str, Any]) -> None:
    """Discard the trace: the stores contain everything."""


def _check(seen: Observation, moments: int, *, boots: int) -> None:
    kinds = Counter(event.kind for event in seen.events.values())
    assert kinds == {"boot": boots, "closed": (moments + 1) // 2, "opened": moments // 2}
    counters = sorted(event.counter for event in seen.events.values())
    assert counters == list(range(1, len(counters) + 1))
    for event in seen.events.values():
        passed = set(LINKS) if event.kind in NOTIFIED else set(LINKS[:-1])
        assert set(event.hops) == passed, event
    notified = Counter((message["seal"], message["counter"]) for message in seen.messages)
    assert notified == {key: 1 for key, event in seen.events.items() if event.kind in NOTIFIED}
    openings = sorted(event.counter for event in seen.events.values() if event.kind == "opened")
    for system in SYSTEMS:
        alarms = [alarm for alarm in seen.alarms[system] if alarm["code"] == "SEAL_OPEN_UNMATCHED"]
        assert sorted(alarm["counter"] for alarm in alarms) == openings, system
        assert not {alarm["code"] for alarm in seen.alarms[system]} & {
            "EVIDENCE_CONFLICT",
            "SEAL_COUNTER_GAP",
        }


#: Links that are killed in the long set only.
RARELY = {"meter", "customer"}


@pytest.mark.parametrize(
    "link", [pytest.param(link, marks=[pytest.mark.long] if link in RARELY else []) for link in LINKS]
)
def test_killed_link_loses_and_doubles_nothing(tmp_path: Path, link: str) -> None:
    seen = asyncio.run(_run(tmp_path, link, MOMENTS))
    _check(seen, len(MOMENTS), boots=1 + (len(MOMENTS) if link == "chip" else 0))


@pytest.mark.long
@pytest.mark.parametrize("link", LINKS)
def test_killed_at_many_moments(tmp_path: Path, link: str) -> None:
    seen = asyncio.run(_run(tmp_path, link, MORE_MOMENTS))
    _check(seen, len(MORE_MOMENTS), boots=1 + (len(MORE_MOMENTS) if link == "chip" else 0))
