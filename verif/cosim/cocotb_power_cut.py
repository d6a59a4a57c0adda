"""The power of a seal fails where the environment states; `test_agents.py` runs this inside the simulator.

The flash is a file, so that the next simulation is the next power-up of the same seal.
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
async def an_event_without_power(dut):
    """Power-up is reported; then the loop moves, and the power fails."""
    case = json.loads(os.environ["METERSEAL_CASE"])
    flash = Path(case["flash"])
    bench = Bench(
        dut, content=flash.read_bytes(), loop=SEALED if case["sealed"] else PULLED, seed=case["seed"]
    )
    await bench.power_up()
    await bench.until(lambda: bench.scoreboard.boot() is not None, FIRST_REPORT + 4 * REPORT)
    # Count from the first clock that the event causes.
    bench.flash.cut_after(case["clocks"])
    bench.loop.become(PULLED if case["sealed"] else SEALED)
    await First(bench.flash.failed.wait(), Timer(200, "ms"))
    if not bench.flash.failed.is_set():
        bench.flash.fail()
    flash.write_bytes(bench.flash.content)
    assert bench.flash.faults == []
    records = bench.scoreboard.records()
    Path(case["reported"]).write_text(json.dumps([[each.boot, each.counter, each.kind] for each in records]))
