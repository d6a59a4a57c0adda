"""`python -m covering [BLOCK…]`: which branches and which bits of the blocks their tests reach.

BLOCK is the name of a test plan; without one, all plans of a component. `verif/results/coverage.json` keeps
what was found, `waivers.toml` beside this file why some points are not reached.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from covering.points import VERILOG, covered
from gates.bench import Trial, simulated
from gates.compiled import Compiled, Port, compiled, yosys
from plan.plans import Plan, plans
from plan.results import keep, kept, stamp

__all__ = ["main"]

WAIVERS = Path(__file__).with_name("waivers.toml")


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="covering", description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK")
    asked = parser.parse_args().blocks
    wanted = [
        plan for plan in plans() if plan.block and plan.name in (asked or [plan.name]) and simulated(plan)
    ]
    if len(wanted) == 1:
        _cover(wanted[0])
        return
    # A process for each block: what one has patched is none of the next one's business.
    for plan in wanted:
        subprocess.run([sys.executable, "-W", "ignore", "-m", "covering", plan.name], check=False)


def _cover(plan: Plan) -> None:
    assert plan.block is not None
    trial = Covering(plan.block)
    trial.run(simulated(plan))
    waived = tomllib.loads(WAIVERS.read_text(encoding="utf-8")).get(plan.name, {})
    points = {name: reached for name, reached in trial.points().items() if not _is_waived(name, waived)}
    found = {"missing": sorted(name for name, reached in points.items() if not reached), **stamp()}
    for kind in ("branch", "toggle"):
        of_kind = [reached for name, reached in points.items() if name.startswith(kind)]
        found |= {kind: len(of_kind), f"{kind} reached": sum(of_kind)}
    keep("coverage", kept("coverage") | {plan.name: found})
    told = ", ".join(f"{found[f'{kind} reached']} of {found[kind]} ({kind})" for kind in ("branch", "toggle"))
    print(f"{plan.name}: {told}", flush=True)


def _is_waived(name: str, waived: dict[str, str]) -> bool:
    """Whether a waiver names the signal, or the point itself, without its place."""
    point = name.split(" ", 2)[2]
    return point in waived or point.partition("[")[0].partition(":")[0] in waived


if __name__ == "__main__":
    main()
