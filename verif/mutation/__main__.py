"""`python -m mutation [BLOCK…]`: mutants of the blocks against their tests and theorems.

BLOCK is the name of a test plan; without one, all plans of a component. Each mutant is killed by a test, or
proved to change nothing, or refused by a theorem, or survives. `verif/results/mutation.json` keeps what was
found, block by block. Ends with failure where less than nine in ten of a block's mutants are dead.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from formal.theorems import THEOREMS
from gates.bench import simulated
from mutation.hunt import Hunt
from mutation.judges import Court, equivalent
from plan.plans import Plan, plans
from plan.results import keep, kept, stamp

__all__ = ["main"]

#: The share of a block's mutants that must be dead.
LEAST = 0.9


def main() -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK")
    parser.add_argument("--number", type=int, default=60, help="mutants of each block")
    parser.add_argument("--seed", type=int, default=1, help="which ones; each seed has its own")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--minutes", type=float, default=600, help="begin no further block after that time")
    asked = parser.parse_args()
    wanted = _wanted(asked.blocks)
    if len(wanted) == 1:
        return _judge(wanted[0], asked)
    # A process for each block: what one has patched is none of the next one's business.
    options = [f"--{name}={getattr(asked, name)}" for name in ("number", "seed", "jobs")]
    begin, failed = time.monotonic(), 0
    for plan in wanted:
        if time.monotonic() - begin < 60 * asked.minutes:
            command = [sys.executable, "-W", "ignore", "-m", "mutation", plan.name, *options]
            failed |= subprocess.run(command, check=False).returncode
    return failed


def _wanted(names: list[str]) -> list[Plan]:
    """The plans of those names, else of all blocks with tests of their own; the oldest result first."""
    before = kept("mutation")
    found = [plan for plan in plans() if plan.block and plan.name in (names or [plan.name])]
    return sorted(
        (plan for plan in found if simulated(plan)),
        key=lambda plan: before.get(plan.name, {}).get("ran", ""),
    )


def _judge(plan: Plan, asked: argparse.Namespace) -> int:
    begin = time.monotonic()
    found = _verdicts(plan, asked)
    found |= {"seconds": round(time.monotonic() - begin), "seed": asked.seed, **stamp()}
    found["ran"] = datetime.now(UTC).isoformat(timespec="seconds")
    keep("mutation", kept("mutation") | {plan.name: found})
    print(_summary(plan.name, found), flush=True)
    dead, counted = _score(found)
    return int(dead < LEAST * counted)


def _score(found: dict[str, Any]) -> tuple[int, int]:
    """Dead mutants, and those that count: not those proved to change nothing."""
    return found["killed"] + len(found["refused"]), found["mutants"] - len(found["equivalent"])


def _verdicts(plan: Plan, asked: argparse.Namespace) -> dict[str, Any]:
    """What became of the mutants of a block."""
    assert plan.block is not None
    run = Hunt(plan.block, number=asked.number, seed=asked.seed, jobs=asked.jobs)
    run.run(simulated(plan))
    file = f"rtl/{plan.block.rpartition('.')[0].replace('.', '/')}.py"
    # Long proofs would take minutes for each mutant.
    named = [f"verif/{proof}" for proof in plan.proofs]
    quick = [it for it in THEOREMS if f"{it.file}::{it.name}" in named and not it.long]
    court = Court(file, quick)
    equal, refused, survivors = [], [], []
    for mutant, killer in zip(run.mutants, run.killers, strict=True):
        if killer is not None:
            continue
        told = {"place": mutant.place, "mutant": str(mutant)}
        if equivalent(run.design, mutant):
            equal.append(told)
        elif by := court.refuses(mutant):
            refused.append(told | {"by": by})
        else:
            survivors.append(told)
    return {
        "mutants": len(run.mutants),
        "killed": sum(killer is not None for killer in run.killers),
        "refused": refused,
        "equivalent": equal,
        "survivors": survivors,
        "tests": len(run.passed),
        "unfit": sorted(run.failed),
    }


def _summary(name: str, found: dict[str, Any]) -> str:
    dead, counted = _score(found)
    alive = "".join(f"\n  {it['place']}: {it['mutant']}" for it in found["survivors"])
    return (
        f"{name}: {dead} of {counted} dead ({len(found['refused'])} by theorems), "
        f"{len(found['equivalent'])} equivalent, {found['seconds']} s{alive}"
    )


if __name__ == "__main__":
    sys.exit(main())
