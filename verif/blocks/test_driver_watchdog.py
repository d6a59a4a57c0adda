"""Tests of the bound on the driver's time."""

from __future__ import annotations

import pytest

from sealchip.bus.driver_watchdog import LIMIT_MS, DriverWatchdog
from sealchip.dlt645.messages import MESSAGES
from sealchip.interface import BAUD_FEATURE
from verif.benches.block import Bench

WATCHDOG = Bench(DriverWatchdog)
RATES = list(BAUD_FEATURE.values())
#: A frame has four FE, twelve bytes around DATA, and half a bit before the first one.
LONGEST_BITS = 0.5 + 11 * (4 + 12 + max(shape.length for shape in MESSAGES.values()))


@pytest.mark.parametrize(("rate", "baud"), list(enumerate(RATES)))
def test_longest_frame_passes(rate, baud):
    """The longest frame passes with bits 2 % long and milliseconds 1 % short; soon after it the driver is
    off.
    """
    longest_ms = 1000 * LONGEST_BITS / baud
    limit_ms = LIMIT_MS >> rate
    assert 1.03 * longest_ms + 1 < limit_ms < 1.3 * longest_ms

    async def testbench(ctx):
        dut = WATCHDOG.dut
        ctx.set(dut.rate, rate)
        ctx.set(dut.ticks.ms, 1)
        ctx.set(dut.wanted, 1)
        for _ in range(limit_ms):
            assert ctx.get(dut.de)
            await ctx.tick()
        assert (ctx.get(dut.de), ctx.get(dut.expired)) == (0, 1)

    WATCHDOG.run(testbench)


def test_off_until_nothing_is_to_be_sent():
    """Releasing the driver alone, or having nothing to send alone, does not enable it again."""

    async def testbench(ctx):
        dut = WATCHDOG.dut
        ctx.set(dut.rate, len(RATES) - 1)
        ctx.set(dut.ticks.ms, 1)
        ctx.set(dut.busy, 1)
        ctx.set(dut.wanted, 1)
        await ctx.tick().repeat(200)
        for wanted, busy, expired in ((0, 1, 1), (1, 1, 1), (1, 0, 1), (0, 0, 1), (0, 0, 0), (1, 1, 0)):
            ctx.set(dut.wanted, wanted)
            ctx.set(dut.busy, busy)
            assert ctx.get(dut.expired) == expired
            assert ctx.get(dut.de) == (wanted and not expired)
            await ctx.tick()

    WATCHDOG.run(testbench)
