"""The plans name every test and theorem and no others, and `docs/verification.md` shows the plans."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from pathlib import Path

import pytest

import sealchip
from verif.campaigns.gates.bench import tests_of as met_by
from verif.campaigns.mutation.words import part_of, words_of_firmware
from verif.formal.theorems import THEOREMS
from verif.plans.plan import STAGES, VERIF, Plan, plans
from verif.plans.tables import TABLES

#: Folders of which every test is in a plan.
PLANNED = (
    "blocks",
    "campaigns/gates",
    "campaigns/mutation",
    "chip",
    "cosim",
    "formal",
    "host/sim/chip",
)
#: Further files, which use the whole chip from the host's side.
PLANNED_FILES = ("test_bench_bus.py", "test_bench_chip.py", "test_seal_ports.py", "test_seal_provision.py")
PLANS = plans()
DOCUMENT = VERIF.parent / "docs/verification.md"
TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end of table -->)", re.DOTALL)


@cache
def of_folder(folder: str) -> list[str]:
    """Return the tests in the files directly in `verif/folder`, as the plans name them."""
    return [
        f"{folder}/{path.name}::{node.name}"
        for path in sorted((VERIF / folder).glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@cache
def blocks() -> list[str]:
    """Return the components of the gateware, except parts of others."""
    found = []
    place = Path(sealchip.__path__[0])
    for path in sorted(place.rglob("*.py")):
        module = ".".join(("sealchip", *path.relative_to(place).with_suffix("").parts))
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            bases = node.bases if isinstance(node, ast.ClassDef) and node.name[0] != "_" else []
            if "wiring.Component" in map(ast.unparse, bases):
                found.append(f"{module}.{node.name}")
    return found


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_what_a_plan_names_exists(plan: Plan) -> None:
    folders = {test.partition("::")[0].rpartition("/")[0] for test in plan.tests}
    tests = {test for folder in folders for test in of_folder(folder)}
    proofs = {f"{theorem.file.removeprefix('verif/')}::{theorem.name}" for theorem in THEOREMS}
    missing = [
        test for test in (*plan.tests, *plan.inside, *plan.on_gates, *plan.in_brief) if test not in tests
    ]
    assert missing + [proof for proof in plan.proofs if proof not in proofs] == []
    assert plan.block is None or plan.block in blocks()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_every_point_is_shown(plan: Plan) -> None:
    assert [point.name for point in plan.points if not (point.tests or point.proofs)] == []
    assert [point.stage for point in plan.points if point.stage not in STAGES] == []


def test_every_test_is_in_a_plan() -> None:
    planned = {test for plan in PLANS for test in plan.tests}
    tests = [test for folder in PLANNED for test in of_folder(folder)]
    tests += [test for test in of_folder("host/tools") if test.split("/")[2].split("::")[0] in PLANNED_FILES]
    assert [test for test in tests if test not in planned] == []


def test_every_theorem_is_in_a_plan() -> None:
    planned = {proof for plan in PLANS for proof in plan.proofs}
    theorems = [f"{theorem.file.removeprefix('verif/')}::{theorem.name}" for theorem in THEOREMS]
    assert [theorem for theorem in theorems if theorem not in planned] == []


def test_every_block_has_a_plan() -> None:
    assert sorted(blocks()) == sorted(plan.block for plan in PLANS if plan.block)


def test_every_part_of_the_firmware_has_a_plan() -> None:
    """Every module that adds words to the program is a part of the firmware and has a plan."""
    assert {part_of(word.origin) for word in words_of_firmware()[0]} == {
        plan.firmware for plan in PLANS if plan.firmware
    }


@pytest.mark.parametrize(
    "plan", [plan for plan in PLANS if plan.block or plan.firmware], ids=lambda plan: plan.name
)
def test_every_block_is_met_by_tests(plan: Plan) -> None:
    assert met_by(plan)


def test_the_tables_are_those_of_plans_and_results() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)
    if os.environ.get("METERSEAL_UPDATE_DOCS"):
        DOCUMENT.write_text(fresh, encoding="utf-8")
    else:
        assert text == fresh, "out of date: `make docs` writes it again"
    assert sorted(name for _, name, _ in TABLE.findall(text)) == sorted(TABLES)
