"""The README has the figures of `docs/figures.md`, and those are within the limits that the code sets."""

from __future__ import annotations

import re
from pathlib import Path

from meterseal.tools.bench import bus, chip
from sealboards.boards import BOARDS
from verif.formal.theorems import THEOREMS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIGURES = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
CLOCK_HZ = 307_200


def rows(text: str, block: str) -> dict[str, list[str]]:
    """Return the rows of the first table in a block, by their first cell."""
    table = text.partition(f"<!-- {block} -->\n")[2].partition("\n\n")[0].partition("<!-- end -->")[0]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
    return {first: others for first, *others in cells[2:]}


def figure(name: str) -> float:
    found = re.search(rf"^  {re.escape(name)} +(\S+)$", FIGURES, re.MULTILINE)
    assert found is not None, name
    return float(found[1].replace(",", ""))


def test_every_board_has_its_row_and_keeps_its_budget() -> None:
    listed = rows(FIGURES, "boards")
    assert list(listed) == [board.title for board in BOARDS.values()]
    for board in BOARDS.values():
        fpga, parts, cells, rams, clock, _ = listed[board.title]
        used, available = map(int, cells.split(" of "))
        assert (fpga, available) == (board.fpga, board.logic_cells)
        assert parts == f"{board.front_end}, {'with' if board.gsm else 'without'}"
        assert used <= board.budget
        assert int(rams.split(" of ")[1]) == board.block_rams
        fmax, built = map(float, clock.removesuffix(" MHz").split(" / "))
        assert fmax >= built


def test_the_readme_has_the_same_sizes() -> None:
    listed = rows(FIGURES, "boards")
    shown = rows(README, "sizes")
    assert shown
    for title, (fpga, cells, clock) in shown.items():
        whole = listed[title.partition(",")[0]]
        assert [fpga, cells, clock] == [whole[0], whole[2], whole[4]]


def test_speeds_are_at_least_those_required() -> None:
    assert figure("required cycles per second") == chip.REQUIRED
    assert figure("chip with bus cycles per second") >= chip.REQUIRED
    assert figure("required ms") == bus.REQUIRED_REACTION_MS
    for clock_hz in (CLOCK_HZ, 12_000_000):
        assert figure(f"opening to start bit beyond debounce ms at {clock_hz} hz") <= bus.REQUIRED_REACTION_MS
    assert figure("required ratio for 32") == bus.REQUIRED_POWER_UP
    assert figure("power up of 32 seals worst") <= bus.REQUIRED_POWER_UP


def test_the_readme_has_the_same_speed_and_number_of_theorems() -> None:
    cycles = figure("chip with bus cycles per second")
    stated = re.search(r"(\S+) million cycles a\s+second, (\d+) times real time", README)
    assert stated is not None
    assert stated.groups() == (f"{cycles / 1e6:.1f}", f"{cycles / CLOCK_HZ:.0f}")
    assert f"; {len(THEOREMS)} theorems about it are" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
