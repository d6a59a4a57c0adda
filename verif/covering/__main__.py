"""`python -m covering [BLOCK…]`: which branches and which bits of the blocks their tests reach.

BLOCK is the name of a test plan; without one, all plans of a component. `verif/results/coverage/` keeps what
was found, `waivers.toml` beside this file why some points are not reached. Ends with failure where less than
95 % of a block's branches or of its bits are reached.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covering.points import VERILOG, covered
from gates.bench import Trial, simulated
from gates.compiled import Compiled, Port, compiled, yosys
from plan.blocks import each_block
from plan.plans import Plan
from plan.results import cpu_seconds, keep

__all__ = ["main"]

WAIVERS = Path(__file__).with_name("waivers.toml")
KINDS = ("branch", "toggle")
#: The share of a block's points of each kind that must be reached.
LEAST = 0.95


@dataclass
class Covering(Trial):
    """The tests of a block on its design, counted."""

    designs: list[tuple[Path, list[Port], str]] = field(default_factory=list)

    def build(self, text: str, interface: list[Port]) -> Path:
        """The library that counts."""
        verilog = yosys(VERILOG, top_il=text)["out.v"]
        library = compiled(verilog, interface, coverage=True)
        self.designs.append((library, interface, verilog))
        return library

    def points(self) -> dict[str, bool]:
        """Each point, and whether any design has reached it."""
        found: dict[str, bool] = {}
        with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
            data = Path(folder) / "coverage.dat"
            for library, interface, verilog in self.designs:
                Compiled(library, interface).coverage(data)
                for name, reached in covered(data, verilog):
                    found[name] = found.get(name, False) or reached
        return found


def main() -> int:
    """Command line; the exit code."""
    return each_block(argparse.ArgumentParser(prog="covering", description=__doc__), _cover)


def _cover(plan: Plan, asked: argparse.Namespace) -> bool:
    assert plan.block is not None
    trial = Covering(plan.block)
    trial.run(simulated(plan))
    waived = tomllib.loads(WAIVERS.read_text(encoding="utf-8")).get(plan.name, {})
    points = {name: reached for name, reached in trial.points().items() if not _is_waived(name, waived)}
    missing = sorted(name for name, reached in points.items() if not reached)
    found: dict[str, Any] = {"missing": missing, "seconds": cpu_seconds()}
    for kind in KINDS:
        of_kind = [reached for name, reached in points.items() if name.startswith(kind)]
        found |= {kind: len(of_kind), f"{kind} reached": sum(of_kind)}
    keep("coverage", plan.name, found)
    told = ", ".join(f"{found[f'{kind} reached']} of {found[kind]} ({kind})" for kind in KINDS)
    print(f"{plan.name}: {told}", *missing, sep="\n  ", flush=True)
    return bool(points) and all(found[f"{kind} reached"] >= LEAST * found[kind] for kind in KINDS)


def _is_waived(name: str, waived: dict[str, str]) -> bool:
    """Whether a waiver names the signal, or the point itself, without its place."""
    point = name.split(" ", 2)[2]
    return point in waived or point.partition("[")[0].partition(":")[0] in waived


if __name__ == "__main__":
    sys.exit(main())
