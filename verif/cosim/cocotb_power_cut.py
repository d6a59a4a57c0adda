"""Run by `test_agents.py` inside the simulator: one life of a seal, which ends where the environment says.

The flash is in a file, so that the next simulation is the next life.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import First, Timer

from verif.agents.loop import PULLED, SEALED
from verif.benches.seal import FIRST_REPORT, REPORT, Bench


@cocotb.test()
async def a_life(dut):
    """Power-up is reported; then the loop moves, and the power fails."""
    told = json.loads(os.environ["METERSEAL_LIFE"])
    flash = Path(told["flash"])
    bench = Bench(
        dut, content=flash.read_bytes(), loop=SEALED if told["sealed"] else PULLED, seed=told["seed"]
    )
    await bench.power_up()
    await bench.until(lambda: bench.scoreboard.boot() is not None, FIRST_REPORT + 4 * REPORT)
    # In the event: from the first clock for it on.
    bench.flash.cut_after(told["clocks"])
    bench.loop.become(PULLED if told["sealed"] else SEALED)
    await First(bench.flash.failed.wait(), Timer(200, "ms"))
    if not bench.flash.failed.is_set():
        bench.flash.fail()
    flash.write_bytes(bench.flash.content)
    assert bench.flash.faults == []
    records = bench.scoreboard.records()
    Path(told["said"]).write_text(json.dumps([[each.boot, each.counter, each.kind] for each in records]))
