"""The commands `meterseal board …` list boards, build their bitstreams and netlists, and report figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterseal.sim.chip.bus import CLOCK_HZ

if TYPE_CHECKING:
    from sealboards.board import Board
    from sealboards.build import Build, DoesNotFit

__all__ = ["app"]

app = typer.Typer(help="The chip on small FPGA boards.", no_args_is_help=True)

_Folder = Annotated[Path, typer.Option("--folder", help="Where builds are made, one folder each.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
_FOLDER = Path("build/boards")


@app.callback()
def _need_tools() -> None:
    """Every command here needs the extra `boards`, which the demo does without."""
    import importlib.util
    import sys

    from meterseal.errors import Failure

    if importlib.util.find_spec("amaranth_boards") is None:
        pip = f"{sys.executable} -m pip install -c .ci/constraints.txt -e '.[boards]'"
        raise Failure(f"the FPGA tools are missing: install them in the project's folder with `{pip}`")


@app.command("list")
def list_boards(as_json: _Json = False) -> None:
    """List the boards, their parts, the place of each pin of the chip, and how they are programmed."""
    import json

    from sealboards.boards import BOARDS

    if as_json:
        print(json.dumps([_described(board) for board in BOARDS.values()]))
        return
    for board in BOARDS.values():
        described = _described(board)
        print(f"{board.name}: {board.title}")
        for name in ("fpga", "clock_hz", "front_end", "gsm", "flash_base", "preparation"):
            print(f"  {name.replace('_', ' '):<12} {described[name]}")
        for pin, place in described["pins"].items():
            print(f"    {pin:<13} {place}")
        for command in described["programming"]:
            print(f"  program      {command}")


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Board, as `board list` names it.")],
    folder: _Folder = _FOLDER,
    as_json: _Json = False,
) -> None:
    """Build the bitstream of a board, without an identity: `seal image` or `seal provision` adds that."""
    import json

    from meterseal.errors import Failure
    from sealboards.boards import BOARDS
    from sealboards.build import BuildError
    from sealboards.build import build as make_bitstream
    from sealboards.pairs import PairError

    if name not in BOARDS:
        raise Failure(f"board {name!r}: there are {', '.join(BOARDS)}")
    try:
        built = make_bitstream(BOARDS[name], folder / name)
    except (BuildError, PairError) as error:
        raise Failure(str(error)) from None
    if as_json:
        print(json.dumps(_figures(built)))
        return
    print(
        f"{built.bitstream}: {built.logic_cells} of {built.board.logic_cells} logic cells, "
        f"{built.block_rams} block RAMs, {built.fmax_hz / 1e6:.1f} MHz possible, {built.seconds:.0f} s"
    )
    for command in _programming(built.board, built.bitstream):
        print(f"  {command}")


@app.command()
def netlist(
    name: Annotated[
        str, typer.Argument(help="Board with an iCE40, or the end of its FPGA's name: up5k, hx1k.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    clock_hz: Annotated[int, typer.Option("--clock-hz", help="Clock of the simulation.")] = CLOCK_HZ,
    from_bitstream: Annotated[
        bool,
        typer.Option(
            "--from-bitstream",
            help="Read back from a finished bitstream; needs Project IceStorm's icebox_vlog.",
        ),
    ] = False,
) -> None:
    """Write the gates of a board's chip, for `chip run --netlist` and `demo --netlist`."""
    from meterseal.errors import Failure
    from sealboards.boards import BOARDS
    from sealboards.build import BuildError
    from sealboards.netlist import write_netlist
    from sealboards.recovered import write_recovered

    board = BOARDS.get(name) or next(
        (it for it in BOARDS.values() if it.fpga.lower() == f"ice40{name.lower()}"), None
    )
    if board is None:
        raise Failure(f"board {name!r}: there are {', '.join(BOARDS)}")
    try:
        (write_recovered if from_bitstream else write_netlist)(board, clock_hz, output)
    except (BuildError, ValueError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from None


@app.command()
def report(
    folder: _Folder = _FOLDER,
    as_json: _Json = False,
) -> None:
    """Build every board, and compare size, speed and power with what a designer would use instead.

    Exit code 1 when a build exceeds its budget.
    """
    import json
    import sys
    from dataclasses import asdict

    from meterseal.errors import Failure
    from sealboards.boards import BOARDS
    from sealboards.build import BuildError
    from sealboards.pairs import PairError
    from sealboards.report import make, markdown, within_budget

    def say(text: str) -> None:
        print(f"meterseal: {text}", file=sys.stderr, flush=True)

    try:
        made = make(BOARDS.values(), folder, say)
    except (BuildError, PairError) as error:
        raise Failure(str(error)) from None
    if as_json:
        boards = [_figures(built) for built in made.builds]
        print(
            json.dumps({"boards": boards, "parts": {title: asdict(it) for title, it in made.parts.items()}})
        )
    else:
        print(markdown(made), end="")
    too_large = [built.board.name for built in made.builds if not within_budget(built)]
    if too_large:
        raise Failure(f"out of budget: {', '.join(too_large)}")


def _described(board: Board) -> dict[str, Any]:
    from sealboards.board import CONSTANT

    def place(pin: str) -> str:
        target = board.fpga_pin(pin)
        return pin if target == pin else f"{pin} (FPGA pin {target})"

    return {
        "name": board.name,
        "title": board.title,
        "fpga": board.fpga,
        "clock_hz": board.clock_hz,
        "front_end": board.front_end,
        "gsm": board.gsm,
        "flash_base": board.flash_base,
        "preparation": board.preparation or "none",
        "pins": {
            name: " and ".join(place(pin) for pin in (wire.pin, wire.negative) if pin is not None)
            + (f", always {CONSTANT[name]}" if name in CONSTANT else "")
            for name, wire in board.wires.items()
        },
        "programming": _programming(board, Path("seal.bin")),
    }


def _programming(board: Board, bitstream: Path) -> list[str]:
    return [
        command.format(bitstream=bitstream, image="SEAL_IMAGE", base=board.flash_base)
        for command in board.programming
    ]


def _figures(built: Build | DoesNotFit) -> dict[str, object]:
    from sealboards.build import DoesNotFit
    from sealboards.report import estimated_current

    figures: dict[str, object] = {
        "board": built.board.name,
        "logic_cells": built.logic_cells,
        "logic_cells_available": built.board.logic_cells,
        "budget": built.board.budget,
        "fits": not isinstance(built, DoesNotFit),
    }
    if isinstance(built, DoesNotFit):
        return figures
    return figures | {
        "bitstream": str(built.bitstream),
        "block_rams": built.block_rams,
        "fmax_hz": round(built.fmax_hz),
        "clock_hz": built.board.clock_hz,
        "core_current_ua": estimated_current(built),
        "seconds": round(built.seconds, 1),
    }
