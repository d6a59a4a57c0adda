"""The test plans: what must be shown of each block, and which tests and proofs show it.

    block = "sealchip.gsm.uart_tx.Transmitter"      # none where the plan is not about one component
    firmware = "log"                            # the part of the firmware that the plan is about, or none
    in_chip = false                             # true where only tests of the whole chip meet it
    says = "Characters onto the line"

    [[point]]
    name = "frame"
    stage = "V1"
    says = "Each byte is one whole character"
    tests = ["blocks/test_uart.py::test_transmitter_wave"]
    proofs = ["formal/uart.py::transmitter_sends_8n1"]

Stages: V1 it does its work; V2 all that it can do and be given; V2S attacks and loss of power; V3 the rest,
among it the interplay of the whole chip.
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
    """One thing that must be shown."""

    name: str
    stage: str
    says: str
    #: `folder/file.py::name` within `verif/`, without parameters.
    tests: tuple[str, ...] = ()
    #: Theorems, likewise.
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The plan of a block, of the whole chip, or of what stands around it."""

    name: str
    says: str
    points: tuple[Point, ...]
    #: `package.module.Class`, where it is about one component.
    block: str | None = None
    #: Module of `sealchip.core.firmware`, where it is about that part.
    firmware: str | None = None
    #: Whether its tests meet the component nowhere but in the whole chip.
    in_chip: bool = False
    #: Tests that make its gates themselves: no other is quick enough on them.
    on_gates: tuple[str, ...] = ()
    #: Tests that its mutants and its coverage meet: all would take too long.
    in_brief: tuple[str, ...] = ()
    #: Tests that look inside the block: they run on its source alone.
    inside: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The source of the component."""
        assert self.block is not None
        return f"rtl/{self.block.rpartition('.')[0].replace('.', '/')}.py"

    @property
    def tests(self) -> list[str]:
        """All tests, each once."""
        return list(dict.fromkeys(test for point in self.points for test in point.tests))

    @property
    def proofs(self) -> list[str]:
        """All theorems, each once."""
        return list(dict.fromkeys(proof for point in self.points for proof in point.proofs))


def plans() -> list[Plan]:
    """Every plan, by name. Raises `TypeError` for a key that is none."""
    return [_plan(path) for path in sorted((DATA / "testplans").glob("*.toml"))]


def _plan(path: Path) -> Plan:
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    points = [{key: _frozen(value) for key, value in point.items()} for point in told.pop("point")]
    rest = {key: _frozen(value) for key, value in told.items()}
    return Plan(path.stem, points=tuple(Point(**point) for point in points), **rest)


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
