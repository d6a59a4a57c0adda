"""`python -m verif.campaigns.coverage [BLOCK…]`: the branches and bits of the blocks that their tests reach.

BLOCK is the name of a test plan; without one, all plans of a component. `verif/data/results/coverage.json`
keeps what was found, `waivers.toml` beside this file why some points are not reached. It fails where less
than 95 % of a block's branches or of its bits are reached.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from verif.campaigns.coverage.points import VERILOG, covered
from verif.campaigns.gates.bench import Timed, Trial
from verif.campaigns.gates.compiled import yosys
from verif.plans.blocks import blocks, each_block
from verif.plans.plan import Plan
from verif.plans.results import cpu_seconds, keep

__all__ = ["main"]

WAIVERS = Path(__file__).with_name("waivers.toml")
KINDS = ("branch", "toggle")
#: The share of a block's points of each kind that must be reached.
LEAST = 0.95


@dataclass
class Covering(Trial):
    """The tests of a block on its design, counted."""

    #: Each point, and whether any design has reached it.
    points: dict[str, bool] = field(default_factory=dict)
    #: Points that were counted, those of other blocks within it among them.
    met: int = 0

    coverage: ClassVar[bool] = True

    def verilog(self, text: str) -> str:
        """The source that counts."""
        return yosys(VERILOG, top_il=text)["out.v"]

    def judge(self, timed: list[Timed]) -> None:
        """Collect what was counted."""
        for counters, verilog in self.state.covered():
            for name, reached in covered(counters, verilog):
                self.met += 1
                if self._counts(name):
                    self.points[name] = self.points.get(name, False) or reached

    @cached_property
    def _planned(self) -> set[str]:
        """The sources of all blocks that have a plan."""
        return {plan.file for plan in blocks().values()}

    def _counts(self, name: str) -> bool:
        """Whether a point is the block's: what has a plan of its own is counted there."""
        file = name.split()[1].partition(":")[0]
        # In the chip, what others drive has another name within the block, and their place.
        return file == self.plan.file or not (self.plan.in_chip or file in self._planned)


def main() -> int:
    """Command line; the exit code."""
    return each_block(argparse.ArgumentParser(prog="covering", description=__doc__), _cover)


def _cover(plan: Plan, asked: argparse.Namespace) -> bool:
    trial = Covering(plan)
    trial.run()
    waived = tomllib.loads(WAIVERS.read_text(encoding="utf-8")).get(plan.name, {})
    points = {name: reached for name, reached in trial.points.items() if not _is_waived(name, waived)}
    missing = sorted(name for name, reached in points.items() if not reached)
    found: dict[str, Any] = {"missing": missing, "seconds": cpu_seconds()}
    for kind in KINDS:
        of_kind = [reached for name, reached in points.items() if name.startswith(kind)]
        found |= {kind: len(of_kind), f"{kind} reached": sum(of_kind)}
    keep("coverage", plan.name, found)
    told = ", ".join(f"{found[f'{kind} reached']} of {found[kind]} ({kind})" for kind in KINDS)
    print(f"{plan.name}: {told}", *missing, sep="\n  ", flush=True)
    # What only connects others has no points of its own.
    return trial.met > 0 and all(found[f"{kind} reached"] >= LEAST * found[kind] for kind in KINDS)


def _is_waived(name: str, waived: dict[str, str]) -> bool:
    """Whether a waiver names the signal, or the point itself, without its place."""
    point = name.split(" ", 2)[2]
    return point in waived or point.partition("[")[0].partition(":")[0] in waived


if __name__ == "__main__":
    sys.exit(main())
