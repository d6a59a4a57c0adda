"""Builds a board's bitstream with tools that pip installs: yosys, nextpnr and packers as WebAssembly."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealboards.board import Board
from sealboards.synthesis import BEFORE, FIRST_OPTIONS, rest
from sealboards.tools import BuildError, environment, first_error
from sealboards.top import BoardTop

__all__ = ["Build", "BuildError", "DoesNotFit", "build"]

_NAME = "seal"


class DoesNotFit(BuildError):
    """The board's FPGA is too small; the chip would take `logic_cells`."""

    def __init__(self, board: Board, logic_cells: int) -> None:
        super().__init__(
            f"{board.name}: the chip takes {logic_cells} logic cells, "
            f"the {board.fpga} has {board.logic_cells}"
        )
        self.board, self.logic_cells = board, logic_cells


@dataclass(frozen=True)
class Build:
    """A finished build: the bitstream and the resources that it takes.

    logic_cells : used logic cells (iCE40: LUT with its flip-flop; ECP5: TRELLIS_COMB)
    fmax_hz : highest frequency of the chip's clock
    seconds : duration of the build
    """

    board: Board
    bitstream: Path
    logic_cells: int
    block_rams: int
    fmax_hz: float
    seconds: float


def build(board: Board, folder: Path, clock_hz: int | None = None) -> Build:
    """Build the bitstream of `board` in `folder`; its chip is timed for `clock_hz`, else the board's clock.

    Raises `PairError` for wiring that the FPGA does not support, `DoesNotFit` when it is too small, and
    `BuildError` when a tool fails for any other reason.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    platform = board.platform()
    plan = platform.prepare(
        BoardTop(board, clock_hz),
        _NAME,
        nextpnr_opts="--report report.json",
        **_synthesis(board),
    )
    log = folder / "build.log"
    with log.open("w") as output:
        finished = subprocess.run(
            ["sh", f"{plan.script}.sh"],
            cwd=plan.extract(str(folder)),
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if finished.returncode:
        placer = folder / f"{_NAME}.tim"
        printed = placer.read_text() if placer.exists() else ""
        packed = re.search(r"(?:ICESTORM_LC|TRELLIS_COMB):\s*(\d+)/", printed)
        if packed is not None and int(packed.group(1)) > board.logic_cells:
            raise DoesNotFit(board, int(packed.group(1)))
        raise BuildError(f"{board.name}: {first_error(log.read_text())} (full output: {log})")
    report = json.loads((folder / "report.json").read_text())
    return Build(
        board,
        next(it for it in (folder / f"{_NAME}.bin", folder / f"{_NAME}.bit") if it.exists()),
        logic_cells=_used(report, "ICESTORM_LC", "TRELLIS_COMB"),
        block_rams=_used(report, "ICESTORM_RAM", "DP16KD"),
        fmax_hz=_fmax(report),
        seconds=time.monotonic() - started,
    )


def _synthesis(board: Board) -> dict[str, str]:
    """Return the changes to the platform's synthesis script."""
    if board.is_ice40:
        return {
            "script_after_read": BEFORE,
            "synth_opts": FIRST_OPTIONS,
            "script_after_synth": rest(_NAME),
        }
    return {"synth_opts": "-abc9"}


def _used(report: Mapping[str, Mapping[str, Mapping[str, int]]], *names: str) -> int:
    return sum(report["utilization"][name]["used"] for name in names if name in report["utilization"])


def _fmax(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> float:
    """Return the Fmax of the chip's clock in Hz; the other clock is the board's, in the platform's domain."""
    return 1e6 * min(clock["achieved"] for name, clock in report["fmax"].items() if "cd_sync" not in name)
