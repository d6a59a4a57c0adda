"""Signed records pass the whole chain, which detects a forger on the bus and challenges the seal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.plan import Plan, make_plan
from meterseal.tools.demo.scenario import Stage


def test_a_forged_closing_on_the_bus(tmp_path: Path) -> None:
    """The meter accepts it, metering rejects it; the seal proves its state; its own closing still counts."""
    asyncio.run(_forge(make_plan(tmp_path, baud=19200, poll=0.2)))


async def _forge(plan: Plan) -> None:
    site = plan.sites[0]
    async with Chain(plan, _ignore) as chain, httpx.AsyncClient(trust_env=False, timeout=30) as http:
        await chain.start()
        stage = Stage.of(chain, lambda _: None)
        await stage.expect("boot")
        await stage.act("close")
        await stage.expect("closed")
        async with stage.forger:
            await stage.act("open")
            await stage.expect("opened")
            await stage.forger.forge_closing(site.seal, site.meter)
        await _alarms(http, plan, {"SEAL_OPEN_UNMATCHED", "SEAL_AUTH_FAIL"})

        answer = await http.post(f"{plan.metering_url}/api/seals/{site.seal}/read", params={"challenge": 1})
        proved = answer.json()
        assert (proved["verified"], proved["counter"], proved["state"]) == (True, 3, "open")

        await stage.act("close")
        await _alarms(http, plan, {"SEAL_AUTH_FAIL"})
        found = (await http.get(f"{plan.metering_url}/api/events")).json()["events"]
        assert [(one["counter"], one["signature"]) for one in found] == [
            (n, "verified") for n in (4, 3, 2, 1)
        ]
        chain.check()


async def _alarms(http: httpx.AsyncClient, plan: Plan, codes: set[str]) -> None:
    """Wait until exactly these alarms are active in metering."""
    active: set[str] = set()
    for _ in range(200):
        found = (await http.get(f"{plan.metering_url}/api/alarms", params={"active": True})).json()
        active = {alarm["code"] for alarm in found["alarms"]}
        if active == codes:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"active: {active}, expected {codes}")


def _ignore(link: str, line: dict[str, Any]) -> None:
    """Discard the trace: the stores contain everything."""
