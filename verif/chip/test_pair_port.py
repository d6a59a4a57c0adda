"""The pair at its baud rates, with steps longer than a cycle."""

from __future__ import annotations

import pytest
from chip.support import characters, simulate, wave

from sealchip.interface import BAUD_FEATURE
from sealchip.pair_port import PairPort

#: Two cycles a step.
CLOCK_HZ = 307_200
RATES = list(BAUD_FEATURE.values())
FRAME = [0xFE, 0x68, 0x16]


def send(dut, baud, *, clash_from=None, cycles):
    """Offer a frame; what the pins do and what strobes, cycle by cycle. A clash pulls the line low."""
    seen = {name: [] for name in ("di", "de", "done", "broken")}
    offered = list(FRAME)

    async def testbench(ctx):
        ctx.set(dut.baud, baud)
        for cycle in range(cycles):
            ctx.set(dut.i.valid, bool(offered))
            if offered:
                ctx.set(dut.i.payload, {"data": offered[0], "last": len(offered) == 1})
            clashes = clash_from is not None and cycle >= clash_from
            ctx.set(dut.ro, 0 if clashes else ctx.get(dut.di | ~dut.de))
            for name, levels in seen.items():
                levels.append(ctx.get(getattr(dut, name)))
            if ctx.get(dut.broken):
                offered.clear()
            elif offered and ctx.get(dut.i.ready):
                offered.pop(0)
            await ctx.tick()

    simulate(dut, testbench)
    return seen


@pytest.mark.parametrize("baud", range(2, len(RATES)), ids=lambda baud: str(RATES[baud]))
def test_frames_at_every_rate(baud):
    """Whole characters of the rate without a gap, the driver on around them, `done` once."""
    bit = CLOCK_HZ // RATES[baud]
    seen = send(PairPort(CLOCK_HZ), baud, cycles=bit * (11 * len(FRAME) + 3))
    first = characters(seen["di"], bit)[0][0]
    assert seen["di"][first : first + 33 * bit] == wave(FRAME, bit)
    on = [cycle for cycle, level in enumerate(seen["de"]) if level]
    assert on == list(range(on[0], first + 33 * bit))
    assert 0 < first - on[0] <= bit
    assert sum(seen["done"]) == 1
    assert not any(seen["broken"])


def test_collision_is_told_once():
    """The driver goes off in the cycle behind the middle of the bit that differs."""
    bit = CLOCK_HZ // RATES[-1]
    seen = send(PairPort(CLOCK_HZ), len(RATES) - 1, clash_from=5 * bit, cycles=bit * 20)
    assert sum(seen["broken"]) == 1
    at = seen["broken"].index(1)
    assert 5 * bit <= at <= 7 * bit
    assert not any(seen["de"][at + 1 :])
    assert not any(seen["done"])


@pytest.mark.parametrize("baud", range(2, len(RATES)), ids=lambda baud: str(RATES[baud]))
def test_characters_are_heard_once(baud):
    """At every rate, back to back, 2 % too fast."""
    bit = CLOCK_HZ / RATES[baud] / 1.02
    dut, heard = PairPort(CLOCK_HZ), []

    async def testbench(ctx):
        ctx.set(dut.baud, baud)
        for level in [*wave(FRAME, bit), *[1] * round(bit)]:
            ctx.set(dut.ro, level)
            if ctx.get(dut.valid):
                heard.append((ctx.get(dut.data), ctx.get(dut.error)))
            await ctx.tick()

    simulate(dut, testbench)
    assert heard == [(byte, 0) for byte in FRAME]
