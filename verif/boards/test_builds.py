"""Bitstreams of the UP5K and the HX1K, made as a user makes them; they keep their budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.boards
@pytest.mark.parametrize("name", ["icebreaker", "icestick"])
def test_build(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "meterseal", "board", "build", name, "--folder", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert Path(built["bitstream"]).stat().st_size > 30_000
    assert built["logic_cells"] <= built["budget"]
    assert built["fmax_hz"] >= built["clock_hz"]
