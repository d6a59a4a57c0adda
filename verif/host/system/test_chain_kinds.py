"""Events of the chip other than openings and closings raise their alarm in all four systems."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from meterseal.domain.alarm_rules import Code
from meterseal.protocols.dlt645 import Frame, requests
from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.plan import make_plan
from meterseal.tools.demo.scenario import Stage
from sealchip.interface import Di

RIGHT, WRONG = b"\x02\0\0\0", b"\x02\x11\x11\x11"


@pytest.mark.long
def test_what_a_writer_does_to_the_seal_is_named_by_all_four(tmp_path: Path) -> None:
    """All four name an attempt to seal an open loop, a changed phone number, and three wrong passwords."""
    asyncio.run(_write(tmp_path))


async def _write(folder: Path) -> None:
    plan = make_plan(folder, baud=9600)
    (site,) = plan.sites

    def write(di: int, data: bytes, password: bytes) -> Frame:
        return requests.write(site.seal, di, data, password=password)

    async with Chain(plan, _ignore) as chain:
        await chain.start()
        stage = Stage.of(chain, lambda _: None)
        async with stage.forger:
            await stage.expect("boot")
            async with stage.attack("sealed while open", Code.SEAL_REFUSED):
                assert (await stage.forger.ask(write(Di.SEAL, b"", RIGHT))).refused
            await stage.act("close")
            await stage.expect("closed")
            async with stage.attack("provisioned", Code.SEAL_PROVISIONED):
                phone = b"13900000001".ljust(16, b"\0")
                assert not (await stage.forger.ask(write(Di.PROVISIONING + 4, phone, RIGHT))).refused
            async with stage.attack("guessed passwords", Code.SEAL_LOCKED):
                for _ in range(3):
                    assert (await stage.forger.ask(write(Di.SEAL, b"", WRONG))).refused
            assert (await stage.forger.ask(write(Di.SEAL, b"", RIGHT))).refused


def _ignore(link: str, line: dict[str, Any]) -> None:
    """Discard the trace: the stores contain everything."""
