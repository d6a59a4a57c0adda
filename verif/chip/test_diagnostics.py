"""What the chip tells of itself, byte by byte, against the layout that the host reads."""

from __future__ import annotations

import pytest
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from meterseal.seal.layout import pack
from sealchip.clock import CLOCK_BYTES, UPTIME
from sealchip.diagnostics import DiagnosticsSource
from sealchip.interface import DIAGNOSTICS, LOOP_NOT_MEASURED, StateClass

BENCH = Bench(DiagnosticsSource)
#: Cycles of a pass, and how far samples are apart here.
PASS, APART = 64, 70

#: No voltage has the highest bit; once there is one, there is one in every sample.
millivolts = st.integers(0, 0x7FFF) | st.sampled_from([0, 1, 0xFF, 0x100, 0x7FFF])
stories = st.builds(
    lambda none, some: [LOOP_NOT_MEASURED] * none + some,
    st.integers(0, 3),
    st.lists(millivolts, min_size=1, max_size=8),
)
values = st.fixed_dictionaries(
    {"state": st.sampled_from(StateClass), "excursions": st.integers(0, 0xFFFF)},
)


async def read(ctx, uptime=0, clock=bytes(CLOCK_BYTES)):
    """All bytes, the clock's among them, which come one cycle after their index."""
    dut, raw = BENCH.dut, bytearray()
    places = {UPTIME + n: byte for n, byte in enumerate(uptime.to_bytes(4, "little"))} | dict(
        enumerate(clock)
    )
    for index in range(DIAGNOSTICS.size):
        ctx.set(dut.index, index)
        asked = ctx.get(dut.clock_index)
        await ctx.tick()
        ctx.set(dut.clock, places.get(asked, 0xEE))
        raw.append(ctx.get(dut.byte))
    return bytes(raw)


async def sample(ctx, **values):
    for name, value in values.items():
        ctx.set(getattr(BENCH.dut, name), value)
    ctx.set(BENCH.dut.sample, 1)
    await ctx.tick()
    ctx.set(BENCH.dut.sample, 0)
    await ctx.tick().repeat(APART)


def least_and_greatest(samples):
    """FFFF where nothing has been measured."""
    measured = [sample for sample in samples if sample != LOOP_NOT_MEASURED]
    return [f(measured, default=LOOP_NOT_MEASURED) for f in (min, max)]


def told(values, voltages, **others):
    """What is read behind samples with these voltages, the last of them with `values`."""
    least, greatest = least_and_greatest(voltages)
    fields = values | {"loop_mv": voltages[-1], "loop_min_mv": least, "loop_max_mv": greatest} | others
    return pack(DIAGNOSTICS, {name: fields[name] for name in DIAGNOSTICS.offsets})


@examples(30)
@given(
    samples=st.lists(values, min_size=3, max_size=3),
    voltages=st.lists(millivolts, min_size=3, max_size=3),
    none=st.integers(0, 3),
    uptime=st.integers(0, 2**32 - 1),
    clock=st.binary(min_size=6, max_size=6),
)
def test_values_of_the_last_sample(samples, voltages, none, uptime, clock):
    """What is sampled while bytes are read belongs to the next time; no voltage is forgotten for it."""
    others = {"uptime": uptime, "clock": clock}
    voltages[:none] = [LOOP_NOT_MEASURED] * none

    async def testbench(ctx):
        for values, voltage, hold in zip(samples, voltages, (0, 1, 0), strict=True):
            ctx.set(BENCH.dut.hold, hold)
            await sample(ctx, millivolts=voltage, **values)
            if hold:
                assert await read(ctx, **others) == told(samples[0], voltages[:1], **others)
        assert await read(ctx, **others) == told(samples[-1], voltages, **others)

    BENCH.run(testbench)


def test_before_the_first_sample():
    """No voltage, and a state that is not known."""
    values = {"state": StateClass.UNKNOWN, "excursions": 0}

    async def testbench(ctx):
        expected = told(values, [LOOP_NOT_MEASURED], uptime=0, clock=bytes(CLOCK_BYTES))
        assert await read(ctx) == expected
        await sample(ctx, millivolts=LOOP_NOT_MEASURED, **values)
        assert await read(ctx) == expected

    BENCH.run(testbench)


@examples(30)
@given(samples=stories)
def test_least_and_greatest_since_power_up(samples):
    async def testbench(ctx):
        for voltage in samples:
            await sample(ctx, millivolts=voltage)
        raw = await read(ctx)
        found = [
            int.from_bytes(raw[DIAGNOSTICS.slice(f"loop_{it}")], "little") for it in ("min_mv", "max_mv")
        ]
        assert found == least_and_greatest(samples)

    BENCH.run(testbench)


@pytest.mark.parametrize("cycle", range(24, PASS, 2))
def test_excursions_while_a_pass_is_under_way(cycle):
    """Their two bytes belong together also when one more is counted between them."""

    async def testbench(ctx):
        dut = BENCH.dut
        await sample(ctx, millivolts=0, excursions=0x12FE)
        ctx.set(dut.excursions, 0x12FF)
        ctx.set(dut.sample, 1)
        await ctx.tick()
        ctx.set(dut.sample, 0)
        await ctx.tick().repeat(cycle)
        ctx.set(dut.excursions, 0x1300)
        await ctx.tick().repeat(PASS)
        raw = await read(ctx)
        assert int.from_bytes(raw[DIAGNOSTICS.slice("excursions")], "little") in (0x12FF, 0x1300)
        await sample(ctx)
        raw = await read(ctx)
        assert int.from_bytes(raw[DIAGNOSTICS.slice("excursions")], "little") == 0x1300

    BENCH.run(testbench)
