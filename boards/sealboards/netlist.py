"""The gates of a board's chip as Verilog, for simulation."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import rtlil

from sealboards.board import Board
from sealboards.synthesis import synthesis
from sealboards.tools import BuildError, run
from sealboards.top import board_chip

__all__ = ["write_netlist"]

_TOP = "seal_chip"


def write_netlist(board: Board, clock_hz: int, output: Path) -> None:
    """Write the chip of `board` to `output` as the build synthesises it.

    Two things are changed for a simulation: the clock, because the simulated chip runs in real time, and the
    address of the seal's part of the flash, which is 0.

    Raises `BuildError` for a board whose FPGA is not an iCE40, and when yosys fails.
    """
    if not board.is_ice40:
        raise BuildError(
            f"{board.name}: gates are simulated with the cells of the iCE40; this is a {board.fpga}"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    design = output.with_suffix(".il")
    chip = board_chip(board, clock_hz, flash_base=0)
    design.write_text(rtlil.convert(chip, name=_TOP))
    script = f"read_rtlil {design.name}; {synthesis(_TOP)}; write_verilog -noattr {output.name}"
    try:
        run("YOSYS", ["-q", "-p", script], output.parent, board.name)
    finally:
        design.unlink()
