"""The gates of a board's chip as Verilog, for simulation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from amaranth.back import rtlil

from sealboards.board import Board
from sealboards.build import BuildError, tools
from sealchip.chip import SealChip

__all__ = ["write_netlist"]

_TOP = "seal_chip"


def write_netlist(board: Board, clock_hz: int, output: Path) -> None:
    """Write the chip of `board` to `output` as `synth_ice40` leaves it, with the options of the build.

    Two things are those of a simulation: the clock, for the simulated chip runs in real time, and the place
    of the seal's part of the flash, its beginning.

    Raises `BuildError` for a board whose FPGA is no iCE40, and when yosys refuses.
    """
    if not board.fpga.startswith("iCE40"):
        raise BuildError(
            f"{board.name}: gates are simulated with the cells of the iCE40; this is a {board.fpga}"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    design = output.with_suffix(".il")
    chip = SealChip(clock_hz, front_end=board.front_end, gsm=board.gsm)
    design.write_text(rtlil.convert(chip, name=_TOP))
    script = f"read_rtlil {design.name}; synth_ice40 -abc9 -top {_TOP}; write_verilog -noattr {output.name}"
    command = [tools()["YOSYS"], "-q", "-p", script]
    finished = subprocess.run(
        command, cwd=output.parent, env={**os.environ, **tools()}, capture_output=True, text=True, check=False
    )
    design.unlink()
    if finished.returncode:
        errors = [line for line in finished.stderr.splitlines() if "ERROR" in line] or ["yosys failed"]
        raise BuildError(f"{board.name}: {errors[0]}")
