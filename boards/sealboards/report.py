"""The size, speed and power of every board's build, beside what a designer would use instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from sealboards.board import Board
from sealboards.build import Build, DoesNotFit, build
from sealboards.peers import PEERS, Size, pack, size
from sealboards.power import current_ua
from sealchip.bus.transceiver import Transceiver
from sealchip.timing import bit_cycles

__all__ = ["Report", "make", "markdown", "within_budget"]


@dataclass(frozen=True)
class Report:
    """The builds of the boards, and packed sizes by title of the peers and of the chip's own transceiver."""

    builds: tuple[Build | DoesNotFit, ...]
    parts: dict[str, Size]


def make(boards: Iterable[Board], folder: Path, say: Callable[[str], None]) -> Report:
    """Build `boards` and size the peers, each in its own folder under `folder`.

    The report includes a board that is too small. Raises `PairError` and `BuildError`.
    """
    builds: list[Build | DoesNotFit] = []
    for board in boards:
        say(f"building {board.name} ({board.fpga})")
        try:
            builds.append(build(board, folder / board.name))
        except DoesNotFit as too_large:
            builds.append(too_large)
    say("sizing the peers")
    parts = {"the chip's transceiver: 8E1, driver enable, collisions": _transceiver(folder / "transceiver")}
    parts |= {peer.title: size(peer, folder / peer.name) for peer in PEERS}
    return Report(tuple(builds), parts)


def within_budget(built: Build | DoesNotFit) -> bool:
    """Return whether a build is within its budget of logic cells and reaches its clock."""
    if isinstance(built, DoesNotFit):
        return False
    return built.logic_cells <= built.board.budget and built.fmax_hz >= built.board.clock_hz


def estimated_current(built: Build) -> float | None:
    """Return the core current in µA; None where no figures are published, as they are for the UP5K."""
    return current_ua(built.board.clock_hz) if built.board.fpga == "iCE40UP5K" else None


def markdown(report: Report) -> str:
    """The tables of `docs/figures.md`."""
    lines = [
        "| board | FPGA | front end, GSM | logic cells | block RAMs | Fmax / clock | estimated current |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(built) for built in report.builds]
    lines += ["", "| part, packed for the UP5K | logic cells | block RAMs |", "|---|---|---|"]
    lines += [f"| {title} | {part.logic_cells} | {part.block_rams} |" for title, part in report.parts.items()]
    return "\n".join(lines) + "\n"


def _row(built: Build | DoesNotFit) -> str:
    board = built.board
    cells = [
        board.title,
        board.fpga,
        f"{board.front_end}, {'with' if board.gsm else 'without'}",
        f"{built.logic_cells} of {board.logic_cells}",
    ]
    if isinstance(built, DoesNotFit):
        return f"| {' | '.join(cells)} | does not fit | | |"
    current = estimated_current(built)
    cells += [
        f"{built.block_rams} of {board.block_rams}",
        f"{built.fmax_hz / 1e6:.1f} / {board.clock_hz / 1e6:.3f} MHz",
        "–" if current is None else f"{current:.0f} µA",
    ]
    return f"| {' | '.join(cells)} |"


def _transceiver(folder: Path) -> Size:
    folder.mkdir(parents=True, exist_ok=True)
    design = rtlil.convert(Transceiver(bit_cycles(1_000_000, 600)), name="transceiver")
    (folder / "transceiver.il").write_text(design)
    return pack("read_rtlil transceiver.il", "transceiver", folder)
