"""`python -m verif.campaigns.gates [BLOCK…]`: the tests of the blocks on their netlists for the iCE40.

BLOCK is the name of a test plan; without one, all plans of a component. Ends with failure where a test does
not pass, unless its plan says that it looks inside. `verif/data/results/gates.json` keeps what was found.
"""

from __future__ import annotations

import argparse
import sys

from verif.campaigns.gates.bench import Trial
from verif.campaigns.gates.netlist import gates
from verif.plans.blocks import each_block
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]


class GateLevel(Trial):
    """The tests of a block on its gates."""

    def verilog(self, text: str) -> str:
        """The netlist."""
        return gates(text)


def main() -> int:
    """Command line; the exit code."""
    return each_block(argparse.ArgumentParser(prog="gates", description=__doc__), _check)


def _check(plan: Plan, asked: argparse.Namespace) -> bool:
    trial = GateLevel(plan)
    if plan.on_gates:
        trial.plain(plan.on_gates)
    else:
        trial.run()
    inside = [test for test in trial.failed if test.partition("[")[0] in plan.inside]
    failed = [test for test in trial.failed if test not in inside]
    found = {"passed": len(trial.passed), "inside": inside, "failed": failed, "seconds": cpu_seconds()}
    keep("gates", plan.name, found)
    told = "".join(f"\n  FAILED {test}" for test in failed)
    print(f"{plan.name}: {len(trial.passed)} tests pass on gates{told}", flush=True)
    return bool(trial.passed) and not failed


if __name__ == "__main__":
    sys.exit(main())
