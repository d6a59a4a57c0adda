"""`make verify`: everything that takes longer than a test may, in some 45 minutes on two cores.

Two lanes run side by side; the mutants come last and have both cores. What was found goes to `verif/results/`
and from there into `docs/verification.md`. Ends with failure where a step fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from plan.plans import VERIF
from plan.results import keep, stamp

__all__ = ["main"]

PYTHON = sys.executable
PYTEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
#: Steps by name, lane by lane.
LANES = [
    {"proofs": [*PYTEST, "-m", "formal or long", "verif/formal"]},
    {
        "icarus": [*PYTEST, "-m", "long", "verif/gates"],
        "gates": [PYTHON, "-m", "gates"],
        "coverage": [PYTHON, "-m", "covering"],
        "gates of the chip": [*PYTEST, "-m", "long", "verif/chip/test_pair_gates.py"],
        "soak": [PYTHON, "-m", "soak", "--seconds", "300", "--seed", "1", "--seals", "3"],
    },
]
LAST = {"mutation": [PYTHON, "-W", "ignore", "-m", "mutation", "--minutes", "15"]}


def main() -> int:
    """Run all; the exit code."""
    with ThreadPoolExecutor(len(LANES)) as lanes:
        done = [step for lane in lanes.map(_lane, LANES) for step in lane]
    done += _lane(LAST)
    found = {name: {"passed": passed, "seconds": seconds} | stamp() for name, passed, seconds in done}
    keep("verify", found)
    _run([*PYTEST, "verif/plan"], METERSEAL_UPDATE_DOCS="1")
    return int(not all(passed for _, passed, _ in done))


def _lane(steps: dict[str, list[str]]) -> list[tuple[str, bool, int]]:
    """Name, whether it passed, and seconds of each step, one after the other."""
    done = []
    for name, command in steps.items():
        print(f"verify: {name} …", flush=True)
        begin = time.monotonic()
        passed = _run(command) == 0
        seconds = round(time.monotonic() - begin)
        print(f"verify: {name} {'passed' if passed else 'FAILED'} after {seconds} s", flush=True)
        done.append((name, passed, seconds))
    return done


def _run(command: list[str], **environment: str) -> int:
    path = os.pathsep.join([str(VERIF), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, cwd=VERIF.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
