"""Imports follow the one-way dependencies of `docs/architecture.md`, and protocols do no I/O at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import meterseal
from sealchip import interface

HOST = Path(meterseal.__path__[0])

#: The floors of `meterseal`, from the ground up: a package imports only what stands on a floor below its own.
#: Packages on one floor do not import each other, and neither do the systems nor the simulators.
FLOORS = (
    {"clock", "errors", "i18n"},
    {"octets"},
    {"domain", "trace"},
    {"protocols"},
    {"io", "store"},
    {"sim", "systems"},
    {"tools"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}
#: Packages whose parts do not import each other.
SEPARATE = ("systems", "sim")

#: Packages that are sans-IO: bytes and times go in, and events come out.
PURE = ("protocols", "octets", "domain")
#: All modules that these need: no clock, socket, thread, file or database is among them.
HARMLESS = frozenset(
    [
        "__future__",
        "binascii",
        "cloudevents",
        "collections",
        "cryptography",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "hmac",
        "re",
        "sealchip",
        "typing",
    ]
)


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every file under `meterseal` with the package that it belongs to."""
    for path in sorted(HOST.rglob("*.py")):
        place = path.relative_to(HOST).with_suffix("").parts
        if place != ("__init__",):
            yield place[0], path


def imports(path: Path) -> Iterator[str]:
    """Yield the full names that a file imports when it runs."""
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


def own(name: str) -> tuple[str, ...]:
    """Return the place under `meterseal` that an import names; empty if it names something else."""
    top, *place = name.split(".")
    return tuple(place) if top == "meterseal" else ()


def test_every_room_has_its_floor() -> None:
    assert {name for name, _ in modules()} == set(HEIGHT)


def test_imports_point_down() -> None:
    wrong = [
        f"{path.relative_to(HOST)} imports {used}"
        for name, path in modules()
        for used in imports(path)
        if (place := own(used)) and place[0] != name and HEIGHT[place[0]] >= HEIGHT[name]
    ]
    assert wrong == []


def test_systems_and_simulators_know_nothing_of_each_other() -> None:
    wrong = []
    for name, path in modules():
        for used in imports(path) if name in SEPARATE else ():
            place = own(used)
            if place[0:1] == (name,) and place[1] != path.relative_to(HOST).parts[1]:
                wrong.append(f"{path.relative_to(HOST)} imports {used}")
    assert wrong == []


def test_files_do_not_import_in_a_circle() -> None:
    names = {
        path: ".".join(("meterseal", *path.relative_to(HOST).with_suffix("").parts)) for _, path in modules()
    }
    graph: dict[str, set[str]] = {}
    for path, name in names.items():
        found = set(imports(path)) | {used.rpartition(".")[0] for used in imports(path)}
        graph[name.removesuffix(".__init__")] = found & {other for other in names.values() if other != name}
    # A circle raises `CycleError`, which names it.
    TopologicalSorter(graph).prepare()


def test_protocols_do_no_io() -> None:
    harmless_rooms = {*PURE, "clock", "errors"}
    wrong = []
    for name, path in modules():
        for used in imports(path) if name in PURE else ():
            place = own(used)
            harmless = place[0] in harmless_rooms if place else used.partition(".")[0] in HARMLESS
            if not harmless:
                wrong.append(f"{path.relative_to(HOST)} imports {used}")
    assert wrong == []


def test_what_gateware_and_host_share_needs_no_hdl() -> None:
    used = {name.partition(".")[0] for name in imports(Path(interface.__file__))}
    assert used <= {"__future__", "dataclasses", "enum"}


def test_the_host_knows_the_chip_by_its_tables_and_its_export() -> None:
    allowed = ("sealchip.interface.", "sealchip.export.", "sealchip.gsm.text.")
    wrong = [
        f"{path.relative_to(HOST)} imports {used}"
        for _, path in modules()
        for used in imports(path)
        # The benchmark runs the gateware itself in Amaranth's simulator, as the peer.
        if used.startswith("sealchip.") and not used.startswith(allowed) and path.parent.name != "bench"
    ]
    assert wrong == []
