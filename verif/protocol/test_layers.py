"""The one-way dependencies of `docs/architecture.md`: who may import whom, and who does no I/O at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import meterseal
from sealchip import interface

HOST = Path(meterseal.__path__[0])

#: A module or package imports only what stands in a row above its own. Parts of one row, the six links of
#: the chain among them, know nothing of each other.
LAYERS = (
    {"clock", "errors", "explain", "catalogue", "gsm"},
    {"bcd", "trace"},
    {"seal"},
    {"dlt645", "io", "alarms"},
    {"uplink", "store"},
    {"frame", "handover"},
    {"chip", "meter", "terminal", "metering", "marketing", "customer"},
    # The installer's tool shares the word "seal" with what a seal says, not its place.
    {"seal/asker"},
    {"demo", "bench", "board", "doctor", "seal/reader", "seal/provision"},
    {"seal/cli"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}

#: Bytes and times in, events out: sans-IO.
PURE = ("dlt645", "uplink", "gsm", "bcd", "explain", "alarms", "seal/record", "seal/layout")
#: All that they need; no clock, socket, thread, file or database is among them.
HARMLESS = frozenset(
    {"__future__", "collections", "dataclasses", "datetime", "enum", "functools", "re", "sealchip", "typing"}
)


def part(*place: str) -> str:
    """The row's word for a module `meterseal.PLACE…`."""
    return "/".join(place[:2]) if "/".join(place[:2]) in HEIGHT else place[0]


def modules() -> Iterator[tuple[str, Path]]:
    """Every file under `meterseal`, with the part that it belongs to."""
    for path in sorted(HOST.rglob("*.py")):
        place = path.relative_to(HOST).with_suffix("").parts
        if place != ("__init__",):
            yield part(*place), path


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def own(name: str) -> str | None:
    """The part under `meterseal` that an import names."""
    top, *place = name.split(".")
    return part(*place) if top == "meterseal" else None


def test_every_part_has_its_layer() -> None:
    assert {name for name, _ in modules()} == set(HEIGHT)


def test_dependencies_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(HOST)} imports {used}"
        for name, path in modules()
        for used in imports(path)
        if (other := own(used)) is not None and other != name and HEIGHT[other] >= HEIGHT[name]
    ]
    assert wrong == []


def test_protocols_do_no_io() -> None:
    harmless_parts = {pure.partition("/")[0] for pure in PURE} | {"clock"}
    wrong = []
    for path in sorted(HOST.rglob("*.py")):
        place = path.relative_to(HOST).with_suffix("").as_posix()
        if not any(place == pure or place.startswith(f"{pure}/") for pure in PURE):
            continue
        for used in imports(path):
            other = own(used)
            harmless = used.partition(".")[0] in HARMLESS if other is None else other in harmless_parts
            if not harmless:
                wrong.append(f"{place} imports {used}")
    assert wrong == []


def test_what_gateware_and_host_share_needs_no_hdl() -> None:
    used = {name.partition(".")[0] for name in imports(Path(interface.__file__))}
    assert used <= {"__future__", "dataclasses", "enum"}


def test_the_host_knows_the_chip_by_its_tables_and_its_export() -> None:
    allowed = ("sealchip.interface.", "sealchip.export.", "sealchip.gsm_text.")
    wrong = [
        f"{path.relative_to(HOST)} imports {used}"
        for name, path in modules()
        for used in imports(path)
        # The benchmark runs the gateware itself in Amaranth's simulator, as the peer.
        if used.startswith("sealchip.") and not used.startswith(allowed) and name != "bench"
    ]
    assert wrong == []
