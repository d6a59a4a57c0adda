"""What Verilator counted, by the places in our own source.

The design comes as Verilog that yosys wrote of its processes. Each `if` stands for the line of our source
that made its condition, each named signal that the block drives for the line that declares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["VERILOG", "covered"]

#: Processes as they are, not as multiplexers.
VERILOG = "read_rtlil top.il\nproc -nomux -norom\nmemory_collect\nwrite_verilog -sv -norename out.v\n"
_POINT = re.compile(r"C '(.*)' (\d+)$")
_SOURCE = re.compile(r'\(\* src = "([^"]*)" \*\)')
_NAME = r"(\\\S+|[A-Za-z_][\w$]*)"


def covered(data: Path, verilog: str) -> Iterator[tuple[str, bool]]:
    """Each point of `rtl/`, by kind, place and name, and whether it was reached."""
    places = _places(verilog)
    lines = verilog.splitlines()
    for line in data.read_text(encoding="latin-1").splitlines():
        found = _POINT.match(line)
        if not found:
            continue
        told = dict(part.split("\x02", 1) for part in found[1].split("\x01") if part)
        # Behind the block, or in another file: what is around it.
        if told["f"] != "stand.sv" and int(told["l"]) <= len(lines):
            name = _name(told, lines[int(told["l"]) - 1], places)
            if name:
                yield name, int(found[2]) > 0


def _name(told: dict[str, str], line: str, places: dict[str, str]) -> str | None:
    """The point for a human; None for one that is not in our source, or says nothing."""
    what = told["o"]
    if told["page"].startswith("v_toggle"):
        signal = what.partition("[")[0].partition(":")[0]
        # What yosys has named itself is part of an expression; a signal of no width has a bit -1.
        named = signal in places and "$" not in signal and "[-1]" not in what
        return f"toggle {places[signal]} {what}" if named else None
    condition = re.search(rf"if \(!?{_NAME} ?\)", line)
    # The reset is tested on the whole chip: the benches of the blocks power up instead.
    if condition is None or condition[1] == "rst":
        return None
    place = places.get(condition[1].lstrip("\\"))
    return f"branch {place} {what}" if place else None


def _places(verilog: str) -> dict[str, str]:
    """Where in `rtl/` each signal comes from."""
    found: dict[str, str] = {}
    attribute = ""
    for line in verilog.splitlines():
        source = _SOURCE.search(line)
        if re.match(r"\s*input ", line):
            # What the bench drives is no part of the block.
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
