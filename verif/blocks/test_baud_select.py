"""Tests of the baud rate selection, alone."""

from __future__ import annotations

import random

from sealchip.bus.baud_select import BaudSelect
from sealchip.interface import BAUD_FEATURE
from verif.benches.block import Bench

RATE = Bench(BaudSelect)


def test_baud_select() -> None:
    """The rate is the stored one, or the one taken last if no `revert` has come since; checked in
    each cycle.
    """
    chance = random.Random(1)

    async def testbench(ctx) -> None:
        ports, taken = RATE.dut, None
        for _ in range(600):
            stored, number = chance.randrange(len(BAUD_FEATURE)), chance.randrange(8)
            take, revert = (chance.random() < 0.3 for _ in range(2))
            ctx.set(ports.stored, stored)
            ctx.set(ports.change.number, number)
            ctx.set(ports.change.take, take)
            ctx.set(ports.revert, revert)
            assert ctx.get(ports.rate) == (stored if taken is None else taken)
            await ctx.tick()
            if take:
                taken = number
            elif revert:
                taken = None

    RATE.run(testbench)
