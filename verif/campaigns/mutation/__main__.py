"""`python -m verif.campaigns.mutation [BLOCK…]`: mutants of the blocks against their tests and theorems.

BLOCK is the name of a test plan; without one, all plans of a component or of a part of the firmware. Each
mutant is killed by a test, or proved to change nothing, or refused by a theorem, or survives.
`verif/data/results/mutation.json` keeps what was found. Ends with failure where less than nine in ten of a
block's mutants are dead.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from verif.campaigns.mutation.equivalence import Court, FirmwareCourt
from verif.campaigns.mutation.runner import FirmwareHunt, Hunt
from verif.formal.theorems import CIRCUIT_THEOREMS
from verif.plans.blocks import blocks, each_block, parts
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]

#: The share of a block's mutants that must be dead.
LEAST = 0.9
#: CPU seconds after which nothing long is proved of a block's survivors any more.
PATIENCE = 180


def main() -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--number", type=int, default=60, help="mutants of each block")
    parser.add_argument("--seed", type=int, default=1, help="which ones; each seed has its own")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    return each_block(parser, _judge, blocks() | parts())


def _judge(plan: Plan, asked: argparse.Namespace) -> bool:
    found = _verdicts(plan, asked) | {"seed": asked.seed}
    found["seconds"] = cpu_seconds()
    keep("mutation", plan.name, found)
    print(_summary(plan.name, found), flush=True)
    dead, counted = _score(found)
    return counted > 0 and dead >= LEAST * counted


def _score(found: dict[str, Any]) -> tuple[int, int]:
    """Dead mutants, and those that count: not those proved to change nothing."""
    return found["killed"] + len(found["refused"]), found["mutants"] - len(found["equivalent"])


def _verdicts(plan: Plan, asked: argparse.Namespace) -> dict[str, Any]:
    """What became of the mutants of a block."""
    hunt = FirmwareHunt if plan.firmware else Hunt
    run = hunt(plan, number=asked.number, seed=asked.seed, jobs=asked.jobs)
    run.run()
    # Long proofs would take minutes for each mutant.
    named = [f"verif/{proof}" for proof in plan.proofs]
    quick = [it for it in CIRCUIT_THEOREMS if f"{it.file}::{it.name}" in named and not it.long]
    court = FirmwareCourt() if plan.firmware else Court(run.design, plan.file, quick)
    equal, refused, survivors = [], [], []
    for mutant, killer in zip(run.mutants, run.killers, strict=True):
        if killer is not None:
            continue
        told = {"place": mutant.place, "mutant": str(mutant)}
        patient = cpu_seconds() < PATIENCE
        if court.equivalent(mutant, patient=patient):
            equal.append(told)
        elif patient and (by := court.refuses(mutant)):
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
