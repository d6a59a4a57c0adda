"""What the installer sees."""

from __future__ import annotations

from itertools import groupby, product

import pytest

from sealchip.interface import StateClass
from sealchip.status_leds import StatusLeds
from verif.benches.block import Bench, simulate

GOOD = {
    "identity_ready": 1,
    "identity_valid": 1,
    "state": StateClass.SEALED,
    "flapping": 0,
    "exchanged": 1,
    "pending": 0,
    "failed": 0,
    "locked_out": 0,
}
LEDS = Bench(StatusLeds)
#: Cycles of a quarter of a second in these tests.
FLASH = 4


def flashes_of(state):
    """Reference: 0 = dark, "steady", or the number of flashes in a group."""
    if state["identity_ready"] and not state["identity_valid"]:
        return 1
    if state["flapping"] or state["state"] in (StateClass.LOW, StateClass.HIGH, StateClass.MISMATCH):
        return 3
    if state["state"] == StateClass.OPEN:
        return "steady"
    return 2 if state["failed"] else 4 if state["locked_out"] else 0


def test_truth_table():
    """Green exactly when all is good; red never with it, and steady exactly when the loop is open."""
    dut = StatusLeds()

    async def testbench(ctx):
        for values in product((0, 1), (0, 1), StateClass, *[(0, 1)] * 5):
            state = dict(zip(GOOD, values, strict=True))
            if state["identity_valid"] and not state["identity_ready"]:
                continue  # never, says `ControlCore`
            for name, value in state.items():
                ctx.set(getattr(dut, name), value)
            await ctx.delay(1e-6)
            assert ctx.get(dut.green) == (state == GOOD)
            # No tick has come, so no group of flashes has begun.
            assert ctx.get(dut.red) == (flashes_of(state) == "steady")

    simulate(dut, testbench)


@pytest.mark.parametrize(
    ("fault", "flashes"),
    [
        ({"identity_valid": 0}, 1),
        ({"failed": 1}, 2),
        ({"state": StateClass.LOW}, 3),
        ({"state": StateClass.HIGH}, 3),
        ({"state": StateClass.MISMATCH}, 3),
        ({"flapping": 1, "state": StateClass.OPEN}, 3),
        ({"locked_out": 1}, 4),
        ({"locked_out": 1, "failed": 1}, 2),
        ({"identity_valid": 0, "state": StateClass.OPEN}, 1),
    ],
    ids=str,
)
def test_blink_codes(fault, flashes):
    """`flashes` times lit and dark, then 1 s dark; the first within a flash's time, none when all is good."""
    state = GOOD | fault
    assert flashes_of(state) == flashes
    red = []

    async def testbench(ctx):
        dut = LEDS.dut
        for name, value in state.items():
            ctx.set(getattr(dut, name), value)
        for cycle in range(FLASH * (1 + 2 * (2 * flashes + 3))):
            ctx.set(dut.tick, cycle % FLASH == FLASH - 1)
            red.append(ctx.get(dut.red))
            assert not ctx.get(dut.green)
            await ctx.tick()
        for name, value in GOOD.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        assert (ctx.get(dut.green), ctx.get(dut.red)) == (1, 0)

    LEDS.run(testbench)
    lengths = [(lit, len(list(group)) / FLASH) for lit, group in groupby(red)]
    group = [(1, 1), (0, 1)] * (flashes - 1) + [(1, 1), (0, 4)]
    assert lengths == [(0, 1), *group, *group]


def test_what_is_not_yet_known_is_dark():
    """No flash begins while the loop is *unknown*, and none once it is sealed and all is good."""
    dut = LEDS.dut

    async def testbench(ctx):
        for name, value in GOOD.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.tick, 1)
        for state in (StateClass.UNKNOWN, StateClass.SEALED):
            ctx.set(dut.state, state)
            for _ in range(20):
                assert (ctx.get(dut.green), ctx.get(dut.red)) == (state == StateClass.SEALED, 0)
                await ctx.tick()

    LEDS.run(testbench)
