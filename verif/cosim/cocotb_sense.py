"""The chip names each attack on the loop, with real parts; `test_agents.py` runs this in the simulator."""

from __future__ import annotations

import cocotb
import pytest
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from meterseal.domain.record import StateClass
from verif.agents.loop import CORRODED, FOREIGN, JUMPER, PULLED, SEALED
from verif.benches.seal import FIRST_REPORT, Bench
from verif.models.analogue import Loop, Parts

STATES = {
    SEALED: StateClass.SEALED,
    PULLED: StateClass.OPEN,
    JUMPER: StateClass.HIGH,
    CORRODED: StateClass.LOW,
    FOREIGN: StateClass.MISMATCH,
}
#: A comparator with an offset of some millivolts at its pin, noise, and parts at the end of their tolerance.
PARTS = Parts(ohm=22e3 * 1.01, farad=100e-9 * 0.9, offset_mv=10.0, noise_mv=10.0, scale=0.995)
#: Seconds until a class is reported: a mismatch is over when four off phases have been clean.
NAMED = 1.6


@cocotb.test()
async def a_resistance_that_is_wrong(dut):
    """A jumper and then a corroded contact are named."""
    await attack(dut, JUMPER, CORRODED)


@cocotb.test()
async def a_loop_that_is_not_there(dut):
    """A pulled head and then a battery in its place are named."""
    await attack(dut, PULLED, FOREIGN)


async def attack(dut, *attacks: Loop) -> None:
    """Go from sealed to each attack and back, too slowly for flapping, and compare class and millivolts."""
    bench = Bench(dut, measures=True, parts=PARTS)
    await bench.power_up()
    await bench.reports(1, FIRST_REPORT)
    for number, each in enumerate(attacks, 1):
        bench.loop.become(each)
        await bench.reports(2 * number, NAMED)
        record = bench.scoreboard.records()[-1]
        assert record.loop_mv == pytest.approx(each.mv(1), abs=50)
        bench.loop.become(SEALED)
        await bench.reports(2 * number + 1, NAMED)
    await Timer(30, "ms")
    bench.scoreboard.check(bench.loop.moved, STATES, get_sim_time("ns"))
    bench.check()
