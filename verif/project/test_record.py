"""The options, theorems, tests and asserts of version a16c0e4 are still there.

The record was made before modules, tables, names and prose were changed.
`verif/data/fixtures/a16c0e4/README.md` states what it counts.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from verif.formal.firmware import FirmwareTheorem
from verif.formal.theorem import Theorem
from verif.formal.theorems import THEOREMS

ROOT = Path(__file__).parents[2]
RECORD: dict[str, Any] = json.loads(
    (ROOT / "verif/data/fixtures/a16c0e4/record.json").read_text(encoding="utf-8")
)

#: The present names of modules and theorems that were renamed, by their names then.
MODULES = {"keeper": "control_core"}
NAMES: dict[str, str] = {}
#: Asserts that were dropped because another one checks the same: how many, and where it is still checked.
MERGED: dict[str, int] = {}

RECORDED = {it["name"]: it for it in RECORD["theorems"]}


@cache
def options() -> dict[str, dict[str, str]]:
    """Return the options of each command with defaults and bounds; `test_docs.py` keeps the page correct."""
    commands: dict[str, dict[str, str]] = {}
    here: dict[str, str] | None = None
    for line in (ROOT / "docs/commands.md").read_text(encoding="utf-8").splitlines():
        if head := re.match(r"#+ (meterseal[\w -]*)$", line):
            here = commands.setdefault(head[1], {})
        elif line.startswith("#"):
            here = None
        elif here is not None and (row := re.match(r"\| `([^`]*)` \| (.*) \|$", line)):
            default = re.search(r"\[[^\[\]]*\]$", row[2])
            here[row[1].replace("\\|", "|")] = default[0].replace("\\|", "|") if default else ""
    return commands


@pytest.mark.parametrize("command", RECORD["options"])
def test_every_option_is_still_there(command: str) -> None:
    today = options().get(command)
    assert today is not None
    assert RECORD["options"][command].items() <= today.items()


def properties(it: Theorem) -> dict[str, int]:
    """Return the number of asserts, assumptions and covers in the design that is proved."""
    found = Counter(re.findall(r'parameter \\FLAVOR "(\w+)"', it.rtlil(example=False)))
    return {"asserts": found["assert"], "assumptions": found["assume"], "covers": found["cover"]}


def test_every_theorem_is_still_there() -> None:
    today = {(Path(it.file).stem, it.name) for it in THEOREMS}
    then = {
        (MODULES.get(it["module"], it["module"]), NAMES.get(it["name"], it["name"]))
        for it in RECORDED.values()
    }
    assert then <= today


@pytest.mark.parametrize("name", RECORDED)
def test_a_theorem_assumes_and_reaches_what_it_did(name: str) -> None:
    then = RECORDED[name]
    it = next(it for it in THEOREMS if it.name == NAMES.get(name, name))
    assert (it.k, it.long) == (then["k"], then["long"])
    if isinstance(it, FirmwareTheorem):
        assert it.job == then["job"]
        assert len(it.claim.covers) == len(then["covers"])
        return
    assert (it.reach, it.smaller) == (then["covers_within"], then["smaller"])
    today = properties(it)
    assert today["assumptions"] == then["assumptions"]
    assert today["covers"] == then["covers"]
    # The gateware may contain more asserts of its own.
    assert today["asserts"] >= then["asserts"]


def test_there_are_not_fewer_tests() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not long and not boards"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^(\d+)/(\d+) tests collected", collected, re.MULTILINE)
    assert found is not None, collected[-2000:]
    assert int(found[1]) >= RECORD["tests"]["make test"]
    assert int(found[2]) >= RECORD["tests"]["all"]


def test_there_are_not_fewer_asserts() -> None:
    today = sum(
        isinstance(node, ast.Assert)
        for path in (ROOT / "verif").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    assert today + sum(MERGED.values()) >= RECORD["asserts"]["total"]
