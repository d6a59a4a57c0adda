"""`python -m gates [BLOCK…]`: the tests of the blocks on their netlists for the iCE40.

BLOCK is the name of a test plan; without one, all plans of a component. Ends with failure where a test does
not pass, unless its plan says that it looks inside. `verif/results/gates.json` keeps what was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gates.bench import Trial, simulated
from gates.compiled import Port, compiled
from gates.netlist import gates
from plan.plans import Plan, plans
from plan.results import keep, kept, stamp

__all__ = ["main"]


@dataclass
class GateLevel(Trial):
    """The tests of a block on its gates."""

    def build(self, text: str, interface: list[Port]) -> Path:
        """The library of the netlist."""
        return compiled(gates(text), interface)


def main() -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="gates", description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK")
    asked = parser.parse_args().blocks
    wanted = [
        plan for plan in plans() if plan.block and plan.name in (asked or [plan.name]) and simulated(plan)
    ]
    if len(wanted) != 1:
        # A process for each block: what one has patched is none of the next one's business.
        return max(
            subprocess.run([sys.executable, "-m", "gates", plan.name], check=False).returncode
            for plan in wanted
        )
    return _check(wanted[0])


def _check(plan: Plan) -> int:
    assert plan.block is not None
    trial = GateLevel(plan.block)
    trial.run(simulated(plan))
    inside = [test for test in trial.failed if test.partition("[")[0] in plan.inside]
    failed = [test for test in trial.failed if test not in inside]
    found = {"passed": len(trial.passed), "inside": inside, "failed": failed, **stamp()}
    keep("gates", kept("gates") | {plan.name: found})
    told = "".join(f"\n  FAILED {test}" for test in failed)
    print(f"{plan.name}: {len(trial.passed)} tests pass on gates{told}", flush=True)
    return int(bool(failed) or not trial.passed)


if __name__ == "__main__":
    sys.exit(main())
