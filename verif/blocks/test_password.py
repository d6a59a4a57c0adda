"""Tests of the lock-out after wrong passwords, alone."""

from __future__ import annotations

from sealchip.dlt645.password import LOCK_TICKS, PasswordGuard
from verif.benches.block import Bench

GUARD = Bench(PasswordGuard)


def test_lock_out() -> None:
    """A right password forgives; the third wrong one locks for 24 hours of ticks, then all is forgotten."""

    async def testbench(ctx) -> None:
        guard = GUARD.dut

        async def strobe(port) -> int:
            ctx.set(port, 1)
            event = ctx.get(guard.locked_out)
            await ctx.tick()
            ctx.set(port, 0)
            return event

        for _ in range(2):
            wrong = [await strobe(guard.wrong) for _ in range(2)]
            assert wrong == [0, 0]
            await strobe(guard.right)
        for _ in range(2):
            assert [await strobe(guard.wrong) for _ in range(3)] == [0, 0, 1]
            for _ in range(LOCK_TICKS):
                assert ctx.get(guard.locked)
                await ctx.tick().repeat(3)
                assert await strobe(guard.tick) == 0
            assert not ctx.get(guard.locked)

    GUARD.run(testbench)
