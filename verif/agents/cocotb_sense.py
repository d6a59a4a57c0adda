"""Run by `test_agents.py` inside the simulator: what is done to the loop is named, with real parts."""

from __future__ import annotations

import cocotb
from agents.bench import FIRST_REPORT, Bench
from agents.loop import CORRODED, FOREIGN, JUMPER, PULLED, SEALED
from chip.analogue import Parts
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from meterseal.seal.record import StateClass

STATES = {
    SEALED: StateClass.SEALED,
    PULLED: StateClass.OPEN,
    JUMPER: StateClass.HIGH,
    CORRODED: StateClass.LOW,
    FOREIGN: StateClass.MISMATCH,
}
#: A comparator with an offset of some millivolts at its pin, noise, and parts at the end of their tolerance.
PARTS = Parts(ohm=22e3 * 1.01, farad=100e-9 * 0.9, offset_mv=10.0, noise_mv=10.0, scale=0.995)
#: Seconds until a class is told: a mismatch is over when four off phases have been clean.
NAMED = 1.6


@cocotb.test()
async def each_attack_is_named(dut):
    """From sealed to each attack and back; millivolts as the loop has them."""
    bench = Bench(dut, measures=True, parts=PARTS)
    await bench.power_up()
    await bench.reports(1, FIRST_REPORT + 0.3)
    for number, attack in enumerate((JUMPER, CORRODED, FOREIGN, PULLED)):
        bench.loop.become(attack)
        await bench.reports(2 * number + 2, NAMED)
        record = bench.scoreboard.records()[-1]
        assert record.loop_mv is not None
        if attack is not FOREIGN:
            assert abs(record.loop_mv - attack.mv(1)) < 50
        bench.loop.become(SEALED)
        await bench.reports(2 * number + 3, NAMED)
    await Timer(30, "ms")
    bench.scoreboard.check(bench.loop.moved, STATES, get_sim_time("ns"))
    bench.check()
