"""Run the test bench of each block on its netlist for the iCE40.

BLOCK is the name of a test plan of a component. The campaign fails if a test does not pass on gates, except
the tests that look inside the block, which the plan names. Results go to verif/data/results/gates.json.
"""

from __future__ import annotations

import argparse
import sys

from verif.campaigns.gates.bench import Trial
from verif.campaigns.gates.netlist import gates
from verif.plans.blocks import each_block, parser_of
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]


class GateLevel(Trial):
    """Runs the tests of a block on its gates."""

    def verilog(self, text: str) -> str:
        """Return the netlist."""
        return gates(text)


def main() -> int:
    """Run the command line and return the exit code."""
    return each_block(parser_of("gates", __doc__), _check)


def _check(plan: Plan, arguments: argparse.Namespace) -> bool:
    trial = GateLevel(plan)
    if plan.on_gates:
        trial.plain(plan.on_gates)
    else:
        trial.run()
    inside = [test for test in trial.failed if test.partition("[")[0] in plan.inside]
    failed = [test for test in trial.failed if test not in inside]
    found = {"passed": len(trial.passed), "inside": inside, "failed": failed, "seconds": cpu_seconds()}
    keep("gates", plan.name, found)
    failures = "".join(f"\n  FAILED {test}" for test in failed)
    print(f"{plan.name}: {len(trial.passed)} tests pass on gates{failures}", flush=True)
    return bool(trial.passed) and not failed


if __name__ == "__main__":
    sys.exit(main())
