"""The rate of the pair, alone."""

from __future__ import annotations

from itertools import product

from chip.support import Bench

from sealchip.interface import BAUD_FEATURE
from sealchip.line_rate import LineRate

RATE = Bench(LineRate)


def test_line_rate() -> None:
    """Every rate is taken when it is told to be, from each other one; `revert` brings the stored one back."""

    async def testbench(ctx) -> None:
        rate = RATE.dut
        for stored, number in product(range(len(BAUD_FEATURE)), repeat=2):
            ctx.set(rate.stored, stored)
            ctx.set(rate.number, number)
            await ctx.tick()
            assert ctx.get(rate.rate) == stored
            ctx.set(rate.take, 1)
            await ctx.tick()
            ctx.set(rate.take, 0)
            ctx.set(rate.number, 7 - number)
            await ctx.tick()
            assert ctx.get(rate.rate) == number
            ctx.set(rate.revert, 1)
            await ctx.tick()
            ctx.set(rate.revert, 0)

    RATE.run(testbench)
