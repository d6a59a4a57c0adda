"""Measure which branches and bits of each block its tests reach.

BLOCK is the name of a test plan of a component. The campaign fails if less than 95 % of a block's branches,
or less than 95 % of its bits, are reached. Points that need not be reached stand with their reasons in
verif/campaigns/coverage/waivers.toml. Results go to verif/data/results/coverage.json.
"""

from __future__ import annotations

import sys
import tomllib
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from verif.campaigns.coverage.points import VERILOG, points_of
from verif.campaigns.gates.bench import Timed, Trial
from verif.campaigns.gates.compiled import yosys
from verif.plans.blocks import blocks, each_block, parser_of
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]

WAIVERS = Path(__file__).with_name("waivers.toml")
KINDS = ("branch", "toggle")
#: Share of a block's points of each kind that must be reached.
LEAST = 0.95


@dataclass
class CoverageRun(Trial):
    """Runs the tests of a block on a design that counts the points that they reach."""

    #: Each point, and whether it was reached in any design.
    points: dict[str, bool] = field(default_factory=dict)
    #: Number of points counted, including those of other blocks within this one.
    counted: int = 0

    coverage: ClassVar[bool] = True

    def verilog(self, text: str) -> str:
        """Return the source, in a form that Verilator can count in."""
        return yosys(VERILOG, top_il=text)["out.v"]

    def evaluate(self, timed: list[Timed]) -> None:
        """Collect the counters."""
        for counters, verilog in self.substitute.covered():
            for name, reached in points_of(counters, verilog):
                self.counted += 1
                if self._is_own(name):
                    self.points[name] = self.points.get(name, False) or reached

    @cached_property
    def _planned(self) -> set[str]:
        """Return the sources of all blocks that have a plan."""
        return {plan.file for plan in blocks().values()}

    def _is_own(self, name: str) -> bool:
        """Return whether a point belongs to the block; a component with its own plan is counted there."""
        file = name.split()[1].partition(":")[0]
        # In the chip, a signal that another block drives has its own name in here, but that block's place.
        return file == self.plan.file or not (self.plan.in_chip or file in self._planned)


def main() -> int:
    """Run the command line and return the exit code."""
    return each_block(parser_of("coverage", __doc__), _check)


def _check(plan: Plan, arguments: Namespace) -> bool:
    trial = CoverageRun(plan)
    trial.run()
    waived = tomllib.loads(WAIVERS.read_text(encoding="utf-8")).get(plan.name, {})
    points = {name: reached for name, reached in trial.points.items() if not _is_waived(name, waived)}
    missing = sorted(name for name, reached in points.items() if not reached)
    found: dict[str, Any] = {"missing": missing, "seconds": cpu_seconds()}
    for kind in KINDS:
        of_kind = [reached for name, reached in points.items() if name.startswith(kind)]
        found |= {kind: len(of_kind), f"{kind} reached": sum(of_kind)}
    keep("coverage", plan.name, found)
    shares = ", ".join(f"{found[f'{kind} reached']} of {found[kind]} ({kind})" for kind in KINDS)
    print(f"{plan.name}: {shares}", *missing, sep="\n  ", flush=True)
    # A block that only connects others has no points of its own.
    return trial.counted > 0 and all(found[f"{kind} reached"] >= LEAST * found[kind] for kind in KINDS)


def _is_waived(name: str, waived: dict[str, str]) -> bool:
    """Return whether a waiver names the signal, or the point itself without its place."""
    point = name.split(" ", 2)[2]
    return point in waived or point.partition("[")[0].partition(":")[0] in waived


if __name__ == "__main__":
    sys.exit(main())
