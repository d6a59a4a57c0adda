"""What the chip tells of itself, byte by byte, against the layout that the host reads."""

from __future__ import annotations

from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from meterseal.seal.layout import pack
from sealchip.diagnostics import DiagnosticsSource
from sealchip.interface import DIAGNOSTICS, LOOP_NOT_MEASURED, StateClass

BENCH = Bench(DiagnosticsSource)

millivolts = st.integers(0, 0xFFFF) | st.sampled_from([0, 1, 0xFFFE, LOOP_NOT_MEASURED])
values = st.fixed_dictionaries(
    {
        "state": st.sampled_from(StateClass),
        "excursions": st.integers(0, 0xFFFF),
    }
)


async def read(ctx, clock):
    """All bytes, the clock's among them, which come one cycle after their index."""
    dut, raw = BENCH.dut, bytearray()
    for index in range(DIAGNOSTICS.size):
        ctx.set(dut.index, index)
        asked = ctx.get(dut.clock_index)
        await ctx.tick()
        ctx.set(dut.clock, clock[asked] if asked < len(clock) else 0xEE)
        raw.append(ctx.get(dut.byte))
    return bytes(raw)


async def strobe(ctx):
    ctx.set(BENCH.dut.start, 1)
    await ctx.tick()
    ctx.set(BENCH.dut.start, 0)


@examples(30)
@given(now=values, later=values, uptime=st.integers(0, 2**32 - 1), clock=st.binary(min_size=6, max_size=6))
def test_values_of_the_start(now, later, uptime, clock):
    """What changes while the bytes are read belongs to the next time."""

    async def testbench(ctx):
        dut = BENCH.dut
        ctx.set(dut.millivolts, LOOP_NOT_MEASURED)
        ctx.set(dut.uptime, uptime)
        for values in now, later:
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            if values is now:
                await strobe(ctx)
        unmeasured = dict.fromkeys(["loop_mv", "loop_min_mv", "loop_max_mv"], LOOP_NOT_MEASURED)
        assert await read(ctx, clock) == pack(
            DIAGNOSTICS, now | unmeasured | {"uptime": uptime, "clock": clock}
        )

    BENCH.run(testbench)


@examples(30)
@given(samples=st.lists(millivolts, max_size=8))
def test_least_and_greatest_since_power_up(samples):
    async def testbench(ctx):
        dut = BENCH.dut
        for sample in [LOOP_NOT_MEASURED, *samples]:
            ctx.set(dut.millivolts, sample)
            await ctx.tick()
        await strobe(ctx)
        raw = await read(ctx, bytes(6))
        told = [int.from_bytes(raw[DIAGNOSTICS.slice(f"loop_{it}")], "little") for it in ("min_mv", "max_mv")]
        measured = [sample for sample in samples if sample != LOOP_NOT_MEASURED]
        assert told == [f(measured, default=LOOP_NOT_MEASURED) for f in (min, max)]

    BENCH.run(testbench)
