"""The netlist recovered from a bitstream, as Verilog, for simulation."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from sealboards.board import CONSTANT, INPUTS, Board
from sealboards.build import build
from sealboards.tools import BuildError, run

__all__ = ["write_recovered"]

_INSIDE = "recovered"
_PIN = re.compile(r"^set_io (\w+) ", re.MULTILINE)
#: Names that `BoardTop` and the platform give to the pins of the chip.
_SEAL_PIN = re.compile(r"seal_(\w+)_0__(?:io|p)")

#: `icebox_vlog` declares ports twice, which simulators refuse.
_TIDY = (
    "read_verilog -lib +/ice40/cells_sim.v; read_verilog read_back.v; hierarchy -top seal_chip; "
    "proc; opt_clean; write_verilog -noattr tidy.v"
)


def write_recovered(board: Board, clock_hz: int, output: Path) -> None:
    """Build `board` for a simulation at `clock_hz`, and write the netlist in its bitstream to `output`.

    The chip differs from the board's own as in `write_netlist`, and its clock is the pin, undivided. It is
    placed, routed and packed like any other, so a mistake of these tools would show in the result.

    Needs `icebox_vlog` of Project IceStorm, which pip does not install. Raises `BuildError` without it, for a
    board whose FPGA is not an iCE40, and when a tool fails.
    """
    if not board.is_ice40:
        raise BuildError(f"{board.name}: only an iCE40's bitstream is read back; this is a {board.fpga}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recovered-", dir=output.parent) as place:
        folder = Path(place)
        bitstream = build(replace(board, divide=1, flash_base=0), folder, clock_hz).bitstream
        run("ICEPACK", ["-u", bitstream.name, "read_back.asc"], folder, board.name)
        pins = bitstream.with_suffix(".pcf")
        options = ["-s", "-n", _INSIDE, "-p", pins.name, "read_back.asc"]
        inside = run("ICEBOX_VLOG", options, folder, board.name).stdout
        (folder / "read_back.v").write_text(inside + _around(board, _PIN.findall(pins.read_text())))
        run("YOSYS", ["-q", "-p", _TIDY], folder, board.name)
        output.write_bytes((folder / "tidy.v").read_bytes())


def _around(board: Board, pins: list[str]) -> str:
    """Return module `seal_chip` with the chip's own ports around the recovered module with `pins`.

    Power is the only reset, as on the board: `rst` is not connected.
    """
    ports, wires, levels = ["input clk", "input rst"], [], []
    for pin in pins:
        seal = _SEAL_PIN.fullmatch(pin)
        if seal is None:
            wires.append(f".{pin}(clk)")
        elif (name := seal[1]) in INPUTS:
            ports.append(f"input {name}")
            wires.append(f".{pin}({name})")
        elif name not in CONSTANT:
            ports.append(f"output {name}")
            wires.append(f".{pin}(pin_{name})")
            sign = "~" if board.wires[name].inverted else ""
            levels.append(f"wire pin_{name}; assign {name} = {sign}pin_{name};")
    separator = ",\n  "
    return (
        f"module seal_chip(\n  {separator.join(ports)});\n"
        + "".join(f"{level}\n" for level in levels)
        + f"{_INSIDE} netlist(\n  {separator.join(wires)});\nendmodule\n"
    )
