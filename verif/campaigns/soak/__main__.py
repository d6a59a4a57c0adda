"""Run seals through random events, and compare every report with a model that knows no gateware.

The campaign ends at the first violation, with one sentence that names the seed. The same seed gives the same
events again. With METERSEAL_KEEP_RESULTS in the environment, results go to verif/data/results/soak.json.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import CLOCK_HZ
from verif.campaigns.soak.world import PROMISES, ViolationError, World
from verif.plans.blocks import parser_of
from verif.plans.results import keep

#: Simulated seconds between two rests, with a calm of 1.
EPISODE = 60.0


def soak(
    seconds: float, *, seed: int, seals: int, front_end: str = "sigma-delta", calm: float = 1.0
) -> dict[str, int | float]:
    """Run for about `seconds` of CPU time and count what happens. Raises `ViolationError`."""
    library = chip_library(clock_hz=CLOCK_HZ, front_end=front_end)
    with tempfile.TemporaryDirectory(prefix="meterseal-soak-") as folder:
        world = World(library, Path(folder), seals=seals, seed=seed, promise=PROMISES[front_end], calm=calm)
        try:
            begin = time.process_time()
            while (spent := time.process_time() - begin) < seconds:
                world.episode(min(EPISODE, seconds))
            state = world.bus.state
        finally:
            world.close()
    simulated = state.cycle / CLOCK_HZ
    return {
        **dict(sorted(world.done.items())),
        "seals": seals,
        "simulated seal seconds": round(simulated * seals),
        "skipped of them": round(state.skipped / CLOCK_HZ * seals),
        "simulated seal seconds per CPU second": round(simulated * seals / spent, 1),
    }


def main() -> int:
    """Run the command line and return the exit code; a violation is printed as one sentence."""
    parser = parser_of("soak", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds to run (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random events (default: 1)")
    parser.add_argument("--seals", type=int, default=3, help="number of seals on the bus (default: 3)")
    parser.add_argument("--front-end", choices=PROMISES, default="sigma-delta", help="front end of the chips")
    parser.add_argument(
        "--calm",
        type=float,
        default=1.0,
        help="factor by which all events are rarer; idle time is skipped (default: 1)",
    )
    arguments = parser.parse_args()
    try:
        done = soak(**vars(arguments))
    except ViolationError as violation:
        print(f"soak: seed {arguments.seed}, {arguments.seals} seals: {violation}", file=sys.stderr)
        return 1
    if "METERSEAL_KEEP_RESULTS" in os.environ:
        keep("soak", arguments.front_end, done | {"calm": arguments.calm})
    for what, number in done.items():
        print(f"{what:40}{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
