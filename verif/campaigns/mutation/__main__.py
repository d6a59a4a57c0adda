"""Run the tests and theorems of each block on mutants of it.

BLOCK is the name of a test plan of a component or of a part of the firmware. Each mutant is killed by a test,
proved equivalent, refused by a theorem, or it survives. The campaign fails if less than nine in ten of a
block's mutants, not counting equivalent ones, are dead. Results go to verif/data/results/mutation.json.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from verif.campaigns.mutation.equivalence import Equivalence, FirmwareEquivalence
from verif.campaigns.mutation.runner import FirmwareRunner, MutantRunner
from verif.formal.theorems import CIRCUIT_THEOREMS
from verif.plans.blocks import blocks, each_block, parser_of, parts
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]

#: Share of a block's mutants that must be dead.
LEAST = 0.9
#: CPU seconds after which no long proof about a block's survivors is started any more.
PATIENCE = 180


def main() -> int:
    """Run the command line and return the exit code."""
    parser = parser_of("mutation", __doc__)
    parser.add_argument(
        "--number", type=int, default=60, help="number of mutants of each block (default: 60)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed that selects the mutants (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="number of mutants tested at the same time (default: 2)"
    )
    return each_block(parser, _check, blocks() | parts())


def _check(plan: Plan, arguments: argparse.Namespace) -> bool:
    found = _results(plan, arguments) | {"seed": arguments.seed}
    found["seconds"] = cpu_seconds()
    keep("mutation", plan.name, found)
    print(_summary(plan.name, found), flush=True)
    dead, counted = _score(found)
    return counted > 0 and dead >= LEAST * counted


def _score(found: dict[str, Any]) -> tuple[int, int]:
    """Return how many mutants are dead, and how many count: equivalent mutants do not."""
    return found["killed"] + len(found["refused"]), found["mutants"] - len(found["equivalent"])


def _results(plan: Plan, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the result of each mutant of a block."""
    runner = FirmwareRunner if plan.firmware else MutantRunner
    run = runner(plan, number=arguments.number, seed=arguments.seed, jobs=arguments.jobs)
    run.run()
    # Long proofs would take minutes for each mutant.
    named = [f"verif/{proof}" for proof in plan.proofs]
    quick = [it for it in CIRCUIT_THEOREMS if f"{it.file}::{it.name}" in named and not it.long]
    equivalence = FirmwareEquivalence() if plan.firmware else Equivalence(run.design, plan.file, quick)
    equal, refused, survivors = [], [], []
    for mutant, killer in zip(run.mutants, run.killers, strict=True):
        if killer is not None:
            continue
        entry = {"place": mutant.place, "mutant": str(mutant)}
        patient = cpu_seconds() < PATIENCE
        if equivalence.equivalent(mutant, patient=patient):
            equal.append(entry)
        elif patient and (by := equivalence.refuses(mutant)):
            refused.append(entry | {"by": by})
        else:
            survivors.append(entry)
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
