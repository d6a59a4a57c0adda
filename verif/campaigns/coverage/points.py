"""Map Verilator's coverage counters to places in our own source.

Yosys writes the processes of the design as Verilog. Each `if` there stands for the line of our source that
made its condition; each named signal that the block drives stands for the line that declares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["VERILOG", "points_of"]

#: Processes stay processes: multiplexers would have no branches to count.
VERILOG = "read_rtlil top.il\nproc -nomux -norom\nmemory_collect\nwrite_verilog -sv -norename out.v\n"
_POINT = re.compile(r"C '(.*)' (\d+)$")
_SOURCE = re.compile(r'\(\* src = "([^"]*)" \*\)')
_NAME = r"(\\\S+|[A-Za-z_][\w$]*)"


def points_of(data: Path, verilog: str) -> Iterator[tuple[str, bool]]:
    """Yield each point of `rtl/`, named by kind, place and name, and whether it was reached."""
    places = _places(verilog)
    lines = verilog.splitlines()
    for line in data.read_text(encoding="latin-1").splitlines():
        found = _POINT.match(line)
        if not found:
            continue
        point = dict(part.split("\x02", 1) for part in found[1].split("\x01") if part)
        # What surrounds the block is in another file, or follows the block in this one.
        if point["f"] != "wrapper.sv" and int(point["l"]) <= len(lines):
            name = _name(point, lines[int(point["l"]) - 1], places)
            if name:
                yield name, int(found[2]) > 0


def _name(point: dict[str, str], line: str, places: dict[str, str]) -> str | None:
    """Return the readable name of a point; None if it is not in our source or has no meaning there."""
    what = point["o"]
    if point["page"].startswith("v_toggle"):
        signal = what.partition("[")[0].partition(":")[0]
        # A name made by yosys is part of an expression; a signal of zero width has a bit -1.
        named = signal in places and "$" not in signal and "[-1]" not in what
        return f"toggle {places[signal]} {what}" if named else None
    condition = re.search(rf"if \(!?{_NAME} ?\)", line)
    # The reset is tested on the whole chip: the benches of the blocks start from power-up instead.
    if condition is None or condition[1] == "rst":
        return None
    place = places.get(condition[1].lstrip("\\"))
    return f"branch {place} {what}" if place else None


def _places(verilog: str) -> dict[str, str]:
    """Return the place in `rtl/` of each signal."""
    found: dict[str, str] = {}
    attribute = ""
    for line in verilog.splitlines():
        source = _SOURCE.search(line)
        if re.match(r"\s*input ", line):
            # An input is driven by the bench, so it does not belong to the block.
            found[re.sub(r"^.*?(\S+) ?;$", r"\1", line).lstrip("\\")] = ""
        declared = re.match(rf"\s*(?:input|output|wire|reg|logic) (?:\[[^]]*\] )?{_NAME} *(?:=.*)?;", line)
        assigned = re.match(rf"\s*assign {_NAME} ", line)
        if declared:
            _put(found, declared[1], attribute)
        elif assigned and source:
            _put(found, assigned[1], source[1])
        attribute = source[1] if source else ""
    return {name: place for name, place in found.items() if place}


def _put(found: dict[str, str], name: str, sources: str) -> None:
    own = [source for source in sources.split("|") if source.startswith("rtl/")]
    if own:
        found.setdefault(name.lstrip("\\"), own[-1])
