"""Bitstreams of the UP5K and the HX1K, built as a user builds them, stay within their budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def board_build(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meterseal", "board", "build", name, "--folder", str(folder), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.boards
@pytest.mark.parametrize("name", ["icebreaker", "icestick"])
def test_a_build_keeps_its_budget(name: str, tmp_path: Path) -> None:
    done = board_build(name, tmp_path)
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert Path(built["bitstream"]).stat().st_size > 30_000
    assert built["logic_cells"] <= built["budget"]
    assert built["fmax_hz"] >= built["clock_hz"]


def test_gates_are_those_of_an_ice40(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "meterseal", "board", "netlist"]
    for name, says in {"ulx3s": "this is a LFE5U-25F", "nexys": "there are icebreaker"}.items():
        asked = [*command, name, "-o", str(tmp_path / "gates.v")]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
