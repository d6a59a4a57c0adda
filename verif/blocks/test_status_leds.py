"""Tests of what the installer sees."""

from __future__ import annotations

from itertools import groupby, product
from operator import attrgetter

import pytest

from sealchip.interface import StateClass
from sealchip.status_leds import StatusLeds
from verif.benches.block import Bench, simulate

#: Each input stands under its path, as it is while all is good.
GOOD = {
    "core.identity_ready": 1,
    "core.identity_valid": 1,
    "loop.state": StateClass.SEALED,
    "measurement.class_": StateClass.SEALED,
    "loop.flapping": 0,
    "loop.unlogged": 0,
    "core.pending": 0,
    "meter.exchanged": 1,
    "meter.failed": 0,
    "bus_stuck": 0,
    "locked_out": 0,
}
LEDS = Bench(StatusLeds)
#: A quarter of a second has so many cycles in these tests.
FLASH = 4


def put(ctx, dut, inputs):
    """Set the inputs that are given by their paths."""
    for path, value in inputs.items():
        ctx.set(attrgetter(path)(dut), value)


def flashes_of(inputs):
    """Return 0 for dark, "steady", or the number of flashes in a group, as a reference."""
    if inputs["core.identity_ready"] and not inputs["core.identity_valid"]:
        return 1
    state = inputs["loop.state"]
    if inputs["loop.flapping"] or state in (StateClass.LOW, StateClass.HIGH, StateClass.MISMATCH):
        return 3
    if state == StateClass.OPEN:
        return "steady"
    return 2 if inputs["meter.failed"] or inputs["bus_stuck"] else 4 if inputs["locked_out"] else 0


def test_truth_table():
    """Green is lit exactly when all is good, and then red is dark; red is steady exactly on an open loop."""
    dut = StatusLeds()
    classes = (StateClass.SEALED, StateClass.OPEN)

    async def testbench(ctx):
        for values in product((0, 1), (0, 1), StateClass, classes, *[(0, 1)] * 7):
            inputs = dict(zip(GOOD, values, strict=True))
            if inputs["core.identity_valid"] and not inputs["core.identity_ready"]:
                continue  # `ControlCore` never reports that
            put(ctx, dut, inputs)
            await ctx.delay(1e-6)
            assert ctx.get(dut.green) == (inputs == GOOD)
            # No tick has come, so no group of flashes has begun.
            assert ctx.get(dut.red) == (flashes_of(inputs) == "steady")

    simulate(dut, testbench)


@pytest.mark.parametrize(
    ("fault", "flashes"),
    [
        ({"core.identity_valid": 0}, 1),
        ({"meter.failed": 1}, 2),
        ({"bus_stuck": 1}, 2),
        ({"loop.state": StateClass.LOW}, 3),
        ({"loop.state": StateClass.HIGH}, 3),
        ({"loop.state": StateClass.MISMATCH}, 3),
        ({"loop.flapping": 1, "loop.state": StateClass.OPEN}, 3),
        ({"locked_out": 1}, 4),
        ({"locked_out": 1, "meter.failed": 1}, 2),
        ({"core.identity_valid": 0, "loop.state": StateClass.OPEN}, 1),
    ],
    ids=str,
)
def test_blink_codes(fault, flashes):
    """Red is lit and dark `flashes` times, then dark for 1 s; the first flash comes within a flash's time,
    and none when all is good.
    """
    inputs = GOOD | fault
    assert flashes_of(inputs) == flashes
    red = []

    async def testbench(ctx):
        dut = LEDS.dut
        put(ctx, dut, inputs)
        for cycle in range(FLASH * (1 + 2 * (2 * flashes + 3))):
            ctx.set(dut.ticks.quarter, cycle % FLASH == FLASH - 1)
            red.append(ctx.get(dut.red))
            assert not ctx.get(dut.green)
            await ctx.tick()
        put(ctx, dut, GOOD)
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
        put(ctx, dut, GOOD)
        ctx.set(dut.ticks.quarter, 1)
        for state in (StateClass.UNKNOWN, StateClass.SEALED):
            ctx.set(dut.loop.state, state)
            for _ in range(20):
                assert (ctx.get(dut.green), ctx.get(dut.red)) == (state == StateClass.SEALED, 0)
                await ctx.tick()

    LEDS.run(testbench)
