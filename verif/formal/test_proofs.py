"""Every theorem is proved and not vacuous; the runner accepts nothing less as a proof."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

import sealchip
from verif.formal.firmware import FirmwareTheorem
from verif.formal.firmware import check as check_firmware
from verif.formal.sby import NotProvedError, check
from verif.formal.theorem import Theorem, past, theorem
from verif.formal.theorems import THEOREMS
from verif.plans.results import keep

MARKS = {False: pytest.mark.formal, True: pytest.mark.long}
GATEWARE = Path(sealchip.__path__[0])


@pytest.mark.parametrize("statement", [pytest.param(it, id=it.name, marks=MARKS[it.long]) for it in THEOREMS])
def test_theorem(statement: Theorem | FirmwareTheorem, tmp_path: Path) -> None:
    if "METERSEAL_KEEP_RESULTS" in os.environ:
        keep("proofs", statement.name, {"verdict": "not proved", "covers": "-", "seconds": "-"})
    firmware = isinstance(statement, FirmwareTheorem)
    proved = check_firmware(statement) if firmware else check(statement, tmp_path)
    assert proved.k == statement.k
    if "METERSEAL_KEEP_RESULTS" in os.environ:
        found = {
            "verdict": f"proved, {proved.k}" if firmware else f"proved, k = {proved.k}",
            "covers": proved.covers,
            "seconds": round(proved.seconds),
        }
        keep("proofs", statement.name, found)


def test_names_differ() -> None:
    names = [it.name for it in THEOREMS]
    assert len(set(names)) == len(names)


def test_the_gateware_names_its_theorems() -> None:
    """Every theorem is named in a docstring of the gateware, and every theorem named there exists."""
    named = {
        name
        for source in GATEWARE.glob("**/*.py")
        for name in re.findall(r"`(verif/formal/\w+\.py::\w+)`", source.read_text(encoding="utf-8"))
    }
    assert named == {f"{it.file}::{it.name}" for it in THEOREMS}


# Statements that must not pass as proved


def counter(m: Module) -> Signal:
    """Add a counter that counts from 0 to 9 and starts again."""
    count = Signal(4)
    m.d.sync += count.eq(count + 1)
    with m.If(count == 9):
        m.d.sync += count.eq(0)
    return count


@theorem(k=1, reach=12)
def true(m: Module) -> None:
    count = counter(m)
    m.d.comb += [Assert(count < 10), Cover(past(m, count) == 9)]


@theorem(k=12, reach=12)
def false(m: Module) -> None:
    count = counter(m)
    m.d.comb += [Assert(count != 9), Cover(count == 8)]


@theorem(k=1, reach=12)
def not_inductive(m: Module) -> None:
    count = counter(m)
    m.d.comb += [Assert(count != 12), Cover(count == 8)]


@theorem(k=1, reach=12)
def vacuous(m: Module) -> None:
    count = counter(m)
    m.d.comb += [Assume(count < 5), Assert(count < 6), Cover(count == 5)]


@theorem(k=1, reach=12)
def nothing_covered(m: Module) -> None:
    m.d.comb += Assert(counter(m) < 10)


@theorem(k=1, reach=12)
def nothing_asserted(m: Module) -> None:
    m.d.comb += Cover(counter(m) == 9)


@pytest.mark.formal
def test_a_proof_is_a_proof(tmp_path: Path) -> None:
    proved = check(true, tmp_path)
    assert (proved.k, proved.covers) == (1, 1)


@pytest.mark.formal
@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (false, "FAIL for basecase"),
        (not_inductive, "pass for basecase(?s:.*)FAIL for induction"),
        (vacuous, "Unreached cover"),
        (nothing_covered, "has no cover"),
        (nothing_asserted, "has no assert"),
    ],
    ids=lambda it: it.name if isinstance(it, Theorem) else "",
)
def test_what_does_not_prove_a_theorem_is_refused(statement: Theorem, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(NotProvedError, match=complaint):
        check(statement, tmp_path)
