"""`python -m mutation [BLOCK…]`: mutants of the blocks against their tests and theorems.

BLOCK is the name of a test plan; without one, all plans of a component. Each mutant is killed by a test, or
proved to change nothing, or refused by a theorem, or survives. `verif/results/mutation.json` keeps what was
found, block by block.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from formal.theorems import THEOREMS
from gates.bench import simulated
from mutation.hunt import Hunt
from mutation.judges import Court, equivalent
from plan.plans import Plan, plans
from plan.results import keep, kept, stamp

__all__ = ["main"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK")
    parser.add_argument("--number", type=int, default=60, help="mutants of each block")
    parser.add_argument("--seed", type=int, default=1, help="which ones; each seed has its own")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    asked = parser.parse_args()
    wanted = [plan for plan in plans() if plan.block and plan.name in (asked.blocks or [plan.name])]
    if len(wanted) != 1:
        # A process for each block: what one has patched is none of the next one's business.
        for plan in wanted:
            options = [f"--{name}={getattr(asked, name)}" for name in ("number", "seed", "jobs")]
            subprocess.run([sys.executable, "-m", "mutation", plan.name, *options], check=True)
        return
    begin = time.monotonic()
    found = _verdicts(wanted[0], asked)
    found |= {"seconds": round(time.monotonic() - begin), "seed": asked.seed, **stamp()}
    keep("mutation", kept("mutation") | {wanted[0].name: found})
    print(_summary(wanted[0].name, found), flush=True)


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
    dead, equal = found["killed"] + len(found["refused"]), len(found["equivalent"])
    alive = "".join(f"\n  {it['place']}: {it['mutant']}" for it in found["survivors"])
    return (
        f"{name}: {dead} of {found['mutants'] - equal} dead ({len(found['refused'])} by theorems), "
        f"{equal} equivalent, {found['seconds']} s{alive}"
    )


if __name__ == "__main__":
    main()
