"""Draw the diagrams of the documents from the code: the chain from its commands, the chip from its wiring.

`make docs` draws them again.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from meterseal.tools.demo.plan import LINKS, Plan, make_plan
from sealchip.chip import SealChip
from sealchip.timebase import Timebase
from verif.project.chip_wiring import wiring_of
from verif.project.svg import Drawing

__all__ = ["DIAGRAMS", "connections"]

ROOT = Path(__file__).parents[2]

# The chain

#: The traffic between two links, by the option with which one of them names an endpoint of the other.
MEDIA = {
    ("meter", "--port"): ("RS485 bus", "DL/T 645-2007"),
    ("terminal", "--bus"): ("RS485 bus", "DL/T 645-2007"),
    ("terminal", "--station"): ("TCP", "Q/CSG 1209022"),
    ("metering", "--marketing"): ("HTTP", "CloudEvents"),
    ("marketing", "--sms-port"): ("GSM modem", "SMS"),
    ("chip", "--gsm"): ("GSM modem of the seal", "its own SMS"),
}


def connections(plan: Plan) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the traffic between each two links whose commands name the same port, path or URL."""
    named: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for link, command in plan.commands.items():
        for option, value in pairwise(command):
            if option.startswith("--") and re.search(r"^/|^(\w+://)?[\d.]+:\d+$", value):
                named[value.rpartition("//")[2]].append((link, option))
    found = {}
    for users in named.values():
        links = {link for link, _ in users}
        media = [MEDIA[user] for user in users if user in MEDIA]
        if len(links) == 2 and media:
            first, second = sorted(links, key=LINKS.index)
            found[first, second] = media[0]
    return found


def glossary() -> dict[str, tuple[str, str]]:
    """Return the Chinese and the English term by the name in code, from `docs/glossary.md`."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) \|", text, re.MULTILINE)
    return {
        code.lower(): (re.split("[ 、]", zh)[0], en.partition(" (")[0])
        for zh, en, codes in rows
        for code in re.findall(r"`(\w+)`", codes)
    }


LINK_WIDTH, LINK_HEIGHT, LINK_TOP = 148, 84, 118
#: The left edge of each link's box.
LINK_X = {link: 20 + n * (LINK_WIDTH + 16) for n, link in enumerate(LINKS)}
OWN_WAY = MEDIA["chip", "--gsm"]


def chain() -> str:
    """Draw the six links in the order in which an event passes them."""
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(Path(folder), gsm=True)
    drawing = Drawing(1008, 316, "How an opened seal becomes a message on a phone")
    middle = LINK_X["chip"] + LINK_WIDTH / 2
    drawing.path(f"M{middle - 22:g} {LINK_TOP} V58 a22 22 0 0 1 44 0 V{LINK_TOP}", width=3)
    drawing.text(LINK_X["chip"], 18, "seal loop 封线回路", "small left")
    by_medium: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for links, medium in connections(plan).items():
        by_medium[medium] |= set(links)
    for medium, users in by_medium.items():
        draw = draw_own_way if medium == OWN_WAY else draw_medium
        draw(drawing, medium, sorted(users, key=LINKS.index))
    names = glossary()
    for link in LINKS:
        zh, en = names["sealchip" if link == "chip" else link]
        x, width = LINK_X[link], LINK_WIDTH
        drawing.rect(x, LINK_TOP, width, LINK_HEIGHT, "box")
        drawing.text(x + width / 2, LINK_TOP + 22, zh, "strong")
        drawing.text(x + width / 2, LINK_TOP + 44, en.removeprefix("electricity ").removesuffix(" system"))
        drawing.text(x + width / 2, LINK_TOP + 66, " ".join(plan.commands[link][:2]), "code")
    return drawing.document()


def draw_own_way(drawing: Drawing, medium: tuple[str, ...], users: list[str]) -> None:
    """Draw the seal's own way to the phone, over the links of the chain."""
    begin, end = LINK_X[users[0]] + LINK_WIDTH - 20, LINK_X[users[1]] + LINK_WIDTH // 2
    drawing.path(
        f"M{begin} {LINK_TOP} V70 q0 -12 12 -12 H{end - 12} q12 0 12 12 V{LINK_TOP - 1}", "soft", end=True
    )
    drawing.text((begin + end) / 2, 44, ": ".join(medium), "small")


def draw_medium(drawing: Drawing, medium: tuple[str, ...], users: list[str]) -> None:
    """Draw one line under the links that share a medium, and a wide one for a bus."""
    taps = [LINK_X[link] + LINK_WIDTH // 2 for link in users]
    taps[0] += 26
    taps[-1] -= 26
    bottom = LINK_TOP + LINK_HEIGHT
    for tap in taps:
        drawing.path(f"M{tap} {bottom} v46")
    drawing.path(f"M{taps[0]} {bottom + 46} H{taps[-1]}", width=5 if len(users) > 2 else 1.5)
    for n, line in enumerate(medium):
        drawing.text((taps[0] + taps[-1]) / 2, bottom + 66 + 18 * n, line, "" if n else "small")


# The chip

BOX_WIDTH, BOX_HEIGHT = 104, 48
#: The place of each package: the upper left corner of its first block, whether the others follow to the right
#: or below, and their distance.
PLACES = {
    "sense": (104, 282, False, 92),
    # Half a step to the left: a line from the core to the bus passes between two blocks of the middle row.
    "bus": (233, 106, True, 142),
    "dlt645": (304, 290, True, 142),
    "core": (304, 502, True, 0),
    "gsm": (926, 502, True, 0),
    "sealchip": (926, 106, False, 184),
}
#: The control core is as wide as the row that it serves.
WIDE = {"core": 530}
#: Height of the lane for lines between the rows of `dlt645` and `core`.
LANE = 440
MARGIN_X, MARGIN_Y, TITLE = 18, 16, 24


@dataclass(frozen=True)
class Box:
    """Describes a block in the drawing."""

    name: str
    package: str
    x: float
    y: float
    width: float

    @property
    def middle(self) -> tuple[float, float]:
        """Return the centre of the box."""
        return self.x + self.width / 2, self.y + BOX_HEIGHT / 2


def boxes_of(blocks: dict[str, type]) -> dict[str, Box]:
    """Place the blocks of each package in the order in which the chip names them."""
    placed: dict[str, Box] = {}
    count: dict[str, int] = defaultdict(int)
    for name, kind in blocks.items():
        parts = kind.__module__.split(".")
        package = parts[1] if len(parts) > 2 else parts[0]
        x, y, across, step = PLACES[package]
        n = count[package]
        count[package] += 1
        placed[name] = Box(
            name, package, x + n * step * across, y + n * step * (not across), WIDE.get(package, BOX_WIDTH)
        )
    return placed


def sides(a: Box, b: Box) -> tuple[str, str]:
    """Return the sides on which a line between two boxes leaves the first and arrives at the second."""
    near = 1.5 * PLACES["dlt645"][3]
    if a.y == b.y:
        # Neighbours in a row are joined straight, the others over or under those between them.
        if abs(a.middle[0] - b.middle[0]) < near or (a.width, b.width) != (BOX_WIDTH, BOX_WIDTH):
            return ("right", "left") if a.x < b.x else ("left", "right")
        return ("top", "top") if a.package == "bus" else ("bottom", "bottom")
    if a.x == b.x and a.package == b.package:
        if abs(a.y - b.y) > 1.5 * PLACES[a.package][3]:
            return "right", "right"
        return ("bottom", "top") if a.y < b.y else ("top", "bottom")
    columns = {a.package, b.package} & {"sense", "gsm", "sealchip"}
    if columns == {"sense"}:
        there = "bottom" if (b if a.package == "sense" else a).width == BOX_WIDTH else "left"
        return ("right", there) if a.package == "sense" else (there, "right")
    if "sense" in columns:
        return ("right", "bottom") if a.package == "sense" else ("bottom", "right")
    if columns:
        return ("right", "left") if a.x < b.x else ("left", "right")
    return ("bottom", "top") if a.y < b.y else ("top", "bottom")


OUTWARDS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}


def anchors(
    boxes: dict[str, Box], pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return where the line to another block leaves a block, by both names; few of these lines cross."""
    by_side: dict[tuple[str, str], list[str]] = defaultdict(list)
    for a, b in pairs:
        for this, other, side in zip((a, b), (b, a), sides(boxes[a], boxes[b]), strict=True):
            by_side[this, side].append(other)
    found = {}
    for (name, side), others in by_side.items():
        box, along = boxes[name], 0 if side in ("top", "bottom") else 1
        others.sort(key=lambda other: boxes[other].middle[along] + boxes[other].middle[1 - along] / 1000)
        for n, other in enumerate(others, 1):
            share = n / (len(others) + 1)
            if along == 0:
                x = box.x + box.width * share
                if box.width > BOX_WIDTH:
                    # The line goes straight up from a wide box, as far as the box reaches.
                    x = min(
                        max(boxes[other].middle[0] + 36 * (share - 0.5), box.x + 12), box.x + box.width - 12
                    )
                found[name, other] = (x, box.y + BOX_HEIGHT * (side == "bottom"))
            else:
                found[name, other] = (box.x + box.width * (side == "right"), box.y + BOX_HEIGHT * share)
    return found


def curve(a: tuple[float, float], side_a: str, b: tuple[float, float], side_b: str) -> str:
    """Return a curve from one side of a box to a side of another, perpendicular to both."""
    if (side_a, side_b) == ("right", "bottom") and a[1] < b[1]:
        # A line to the far side of the row beside both boxes goes along the lane under that row.
        x, y = a[0] + 110, LANE
        return (
            f"M{a[0]:.1f} {a[1]:.1f} C{a[0] + 70:.1f} {a[1]:.1f} {a[0] + 20:.1f} {y} {x:.1f} {y} "
            f"H{b[0] - 120:.1f} C{b[0] - 20:.1f} {y} {b[0]:.1f} {y - 20} {b[0]:.1f} {b[1]:.1f}"
        )
    across, down = abs(a[0] - b[0]), abs(a[1] - b[1])
    controls = []
    for (x, y), side in ((a, side_a), (b, side_b)):
        dx, dy = OUTWARDS[side]
        if side_a == side_b:
            reach = 20 + across * 0.07 + down * 0.15
        elif side in ("left", "right"):
            reach = across * (0.9 if side_b in ("top", "bottom") or side_a in ("top", "bottom") else 0.5)
        else:
            reach = down * (0.5 if {side_a, side_b} == {"top", "bottom"} else 0.95)
        controls.append(f"{x + dx * reach:.1f} {y + dy * reach:.1f}")
    return f"M{a[0]:.1f} {a[1]:.1f} C{controls[0]} {controls[1]} {b[0]:.1f} {b[1]:.1f}"


def draw_pins(drawing: Drawing, box: Box, pins: list[str]) -> None:
    """Write a block's pins outside the frame of its package."""
    side = {"sense": "left", "bus": "top", "sealchip": "right"}.get(box.package, "bottom")
    (x, y), (dx, dy) = box.middle, OUTWARDS[side]
    if side == "top":
        x -= 30  # beside the lines to the other blocks of the row
    begin = x + dx * box.width / 2, y + dy * BOX_HEIGHT / 2
    length = {"left": MARGIN_X, "right": MARGIN_X, "top": MARGIN_Y + TITLE, "bottom": MARGIN_Y}[side] + 8
    end = begin[0] + dx * length, begin[1] + dy * length
    drawing.path(f"M{begin[0]:.1f} {begin[1]:.1f} L{end[0]:.1f} {end[1]:.1f}", "soft", 2)
    for n, pin in enumerate(pins):
        if dx:
            place = end[0] + 5 * dx, end[1] + 15 * (n - (len(pins) - 1) / 2)
        else:
            place = end[0], end[1] + 9 * dy + 15 * (n if dy > 0 else n - len(pins) + 1)
        drawing.text(*place, pin, {"left": "code right", "right": "code left"}.get(side, "code"))


def chip() -> str:
    """Draw the blocks of the chip with all its parts, by package, and the links between them."""
    made = wiring_of(SealChip(12_000_000, front_end="sigma-delta", gsm=True))
    boxes = boxes_of(made.blocks)
    drawing = Drawing(1132, 660, "The blocks of the seal chip")
    titles = []
    for package in PLACES:
        inside = [box for box in boxes.values() if box.package == package]
        left, top = min(box.x for box in inside), min(box.y for box in inside)
        right = max(box.x + box.width for box in inside)
        bottom = max(box.y + BOX_HEIGHT for box in inside)
        drawing.rect(
            left - MARGIN_X,
            top - MARGIN_Y - TITLE,
            right - left + 2 * MARGIN_X,
            bottom - top + 2 * MARGIN_Y + TITLE,
            "group",
        )
        titles.append((left, top - TITLE + 2, package, "strong left over"))
    order = [*made.blocks]
    timebase = next(name for name, kind in made.blocks.items() if kind is Timebase)
    ticks = {block for origin, block in made.links if origin == timebase}
    both = {tuple(sorted(ends, key=order.index)) for ends in made.links if timebase not in ends}
    pairs = sorted(both, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    ends = anchors(boxes, pairs)
    for a, b in pairs:
        if boxes[b].package == "sense":
            a, b = b, a
        bits = made.links.get((a, b), 0) + made.links.get((b, a), 0)
        side_a, side_b = sides(boxes[a], boxes[b])
        (xa, ya), (xb, yb) = ends[a, b], ends[b, a]
        drawing.path(
            curve((xa, ya), side_a, (xb, yb), side_b),
            width=round(0.8 + math.log2(1 + bits) / 2.2, 2),
            start=(b, a) in made.links,
            end=(a, b) in made.links,
        )
    for name, box in boxes.items():
        drawing.rect(box.x, box.y, box.width, BOX_HEIGHT, "box")
        words = re.findall(r"[A-Z][a-z0-9]*", made.blocks[name].__name__)
        lines = [" ".join(words)] if box.width > BOX_WIDTH else [words[0], "".join(words[1:])]
        lines = [line for line in lines if line]
        for n, line in enumerate(lines):
            drawing.text(box.middle[0], box.middle[1] + 17 * (n - (len(lines) - 1) / 2), line, "strong")
        if name in ticks:
            drawing.text(box.x + box.width - 9, box.y + 9, "t", "code")
    for title in titles:
        drawing.text(*title)
    for name in sorted(made.pins, key=order.index):
        draw_pins(drawing, boxes[name], made.pins[name])
    drawing.text(20, 636, "t: takes ticks from the timebase. A wider line carries more bits.", "small left")
    return drawing.document()


DIAGRAMS: dict[str, Callable[[], str]] = {"chain": chain, "chip": chip}
