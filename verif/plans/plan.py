"""The test plans: what must be shown of each block, and which tests and proofs show it.

    block = "sealchip.gsm.uart_tx.Transmitter"      # left out if the plan is not about one component
    firmware = "log"                            # the part of the firmware that the plan is about
    in_chip = false                             # true if only tests of the whole chip run it
    says = "Characters onto the line"

    [[point]]
    name = "frame"
    stage = "V1"
    says = "Each byte is one whole character"
    tests = ["blocks/test_uart.py::test_transmitter_wave"]
    proofs = ["formal/uart.py::transmitter_sends_8n1"]

Stages: V1 basic function; V2 all functions and all inputs; V2S attacks and loss of power; V3 everything else,
including the interplay of the whole chip.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATA", "STAGES", "VERIF", "Plan", "Point", "plans"]

VERIF = Path(__file__).parents[1]
DATA = VERIF / "data"
STAGES = ("V1", "V2", "V2S", "V3")


@dataclass(frozen=True)
class Point:
    """One point that must be shown."""

    name: str
    stage: str
    says: str
    #: Tests as `folder/file.py::name` within `verif/`, without parameters.
    tests: tuple[str, ...] = ()
    #: Theorems, in the same form.
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The plan of a block, of the whole chip, or of its surroundings."""

    name: str
    says: str
    points: tuple[Point, ...]
    #: `package.module.Class`, if the plan is about one component.
    block: str | None = None
    #: Module of `sealchip.core.firmware`, if the plan is about that part.
    firmware: str | None = None
    #: Whether its tests run the component only within the whole chip.
    in_chip: bool = False
    #: Tests that make the gates themselves: no others are quick enough on gates.
    on_gates: tuple[str, ...] = ()
    #: Tests that run for mutation and coverage: all of them would take too long.
    in_brief: tuple[str, ...] = ()
    #: Tests that look inside the block: they run only on its source.
    inside: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Return the source of the component."""
        assert self.block is not None
        return f"rtl/{self.block.rpartition('.')[0].replace('.', '/')}.py"

    @property
    def tests(self) -> list[str]:
        """Return all tests, each once."""
        return list(dict.fromkeys(test for point in self.points for test in point.tests))

    @property
    def proofs(self) -> list[str]:
        """Return all theorems, each once."""
        return list(dict.fromkeys(proof for point in self.points for proof in point.proofs))


def plans() -> list[Plan]:
    """Return every plan, sorted by name. Raises `TypeError` for an unknown key."""
    return [_plan(path) for path in sorted((DATA / "testplans").glob("*.toml"))]


def _plan(path: Path) -> Plan:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    points = [{key: _frozen(value) for key, value in point.items()} for point in content.pop("point")]
    rest = {key: _frozen(value) for key, value in content.items()}
    return Plan(path.stem, points=tuple(Point(**point) for point in points), **rest)


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
