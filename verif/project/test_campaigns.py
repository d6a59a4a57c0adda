"""The campaigns have usable command lines, and their waivers name blocks that exist."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from argparse import Namespace

import pytest

from verif.plans import blocks
from verif.plans.plan import VERIF, Plan

CAMPAIGNS = "gates", "mutation", "coverage", "soak", "verify"


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_each_campaign_explains_itself(campaign: str) -> None:
    command = [sys.executable, "-m", f"verif.campaigns.{campaign}", "--help"]
    ended = subprocess.run(command, cwd=VERIF.parent, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"usage: python -m verif.campaigns.{campaign} [-h]")


def test_each_block_has_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> Namespace:
        commands.append(command)
        return Namespace(returncode=len(commands) - 1)

    def never(plan: Plan, arguments: Namespace) -> bool:
        raise AssertionError("checked in this process")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["__main__.py", "--seed", "3", "spi", "crc16"])
    parser = blocks.parser_of("mutation", "")
    parser.add_argument("--seed", type=int)
    assert blocks.each_block(parser, never) == 1
    python = [sys.executable, "-W", "ignore", "-m", "verif.campaigns.mutation", "--seed", "3"]
    assert commands == [[*python, "spi"], [*python, "crc16"]]
    assert importlib.util.find_spec(python[4])


def test_every_waiver_is_of_a_block() -> None:
    waivers = tomllib.loads((VERIF / "campaigns/coverage/waivers.toml").read_text(encoding="utf-8"))
    assert [name for name in waivers if name not in blocks.blocks()] == []
