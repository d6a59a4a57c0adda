"""Tests of the chip's diagnostics, byte by byte, against the layout that the host reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.layout import pack
from sealchip.interface import DIAGNOSTICS, LOOP_NOT_MEASURED, StateClass
from sealchip.sense.diagnostics import MEASURED_BYTES, DiagnosticsSource
from verif.benches.block import Bench, examples

BENCH = Bench(DiagnosticsSource)
#: A pass takes so many cycles, and samples are so far apart here.
PASS, APART = 64, 70

#: No voltage has the highest bit.
millivolts = st.integers(0, 0x7FFF) | st.sampled_from([0, 1, 0xFF, 0x100, 0x7FFF])


@st.composite
def stories(draw):
    """Return random voltages, close to the one before and one bit away from it; and none at all."""
    found, last = [], draw(millivolts)
    for _ in range(draw(st.integers(1, 12))):
        near = st.integers(max(last - 3, 0), min(last + 3, 0x7FFF))
        bit = st.integers(0, 14).map(lambda bit, last=last: last ^ 1 << bit)
        found.append(draw(near | bit | millivolts | st.just(LOOP_NOT_MEASURED)))
        last = last if found[-1] == LOOP_NOT_MEASURED else found[-1]
    return found


values = st.fixed_dictionaries(
    {"state": st.sampled_from(StateClass), "excursions": st.integers(0, 0xFFFF)},
)


async def read(ctx):
    """Read all bytes, each one cycle after its index."""
    dut, raw = BENCH.dut, bytearray()
    for index in range(MEASURED_BYTES):
        ctx.set(dut.read.index, index)
        await ctx.tick()
        raw.append(ctx.get(dut.read.byte))
    return bytes(raw)


async def field(ctx, name):
    """Read one field alone."""
    raw = bytearray()
    for index in range(*DIAGNOSTICS.slice(name).indices(DIAGNOSTICS.size)):
        ctx.set(BENCH.dut.read.index, index)
        await ctx.tick()
        raw.append(ctx.get(BENCH.dut.read.byte))
    return int.from_bytes(raw, "little")


def set_values(ctx, **values):
    """Set voltage, state and excursions; a measurement is of the class that the loop holds."""
    ports = {
        "millivolts": [BENCH.dut.measurement.millivolts],
        "state": [BENCH.dut.loop.state, BENCH.dut.measurement.class_],
        "excursions": [BENCH.dut.loop.excursions],
    }
    for name, value in values.items():
        for port in ports[name]:
            ctx.set(port, value)


async def sample(ctx, **values):
    set_values(ctx, **values)
    ctx.set(BENCH.dut.measurement.new, 1)
    await ctx.tick()
    ctx.set(BENCH.dut.measurement.new, 0)
    await ctx.tick().repeat(APART)


def least_and_greatest(samples):
    """Return the least and the greatest voltage; both are FFFF while nothing is measured."""
    if samples[-1] == LOOP_NOT_MEASURED:
        return [LOOP_NOT_MEASURED] * 2
    measured = [sample for sample in samples if sample != LOOP_NOT_MEASURED]
    return [min(measured), max(measured)]


def reading_after(values, voltages):
    """Return what is read after samples with these voltages, the last of them with `values`."""
    least, greatest = least_and_greatest(voltages)
    fields = values | {"loop_mv": voltages[-1], "loop_min_mv": least, "loop_max_mv": greatest}
    time = {"uptime": 0, "clock": bytes(DIAGNOSTICS["clock"].width)}
    return pack(DIAGNOSTICS, {name: (fields | time)[name] for name in DIAGNOSTICS.offsets})[:MEASURED_BYTES]


@examples(30)
@given(
    samples=st.lists(values, min_size=3, max_size=3),
    voltages=st.lists(millivolts, min_size=3, max_size=3),
    none=st.integers(0, 3),
)
def test_values_of_the_last_sample(samples, voltages, none):
    """Samples taken during a read belong to the next read; no extreme voltage is lost by that."""
    voltages[:none] = [LOOP_NOT_MEASURED] * none

    async def testbench(ctx):
        for values, voltage, hold in zip(samples, voltages, (0, 1, 0), strict=True):
            ctx.set(BENCH.dut.read.hold, hold)
            await sample(ctx, millivolts=voltage, **values)
            if hold:
                assert await read(ctx) == reading_after(samples[0], voltages[:1])
        assert await read(ctx) == reading_after(samples[-1], voltages)

    BENCH.run(testbench)


def test_before_the_first_sample():
    """Before the first sample there is no voltage, and the state is unknown."""
    values = {"state": StateClass.UNKNOWN, "excursions": 0}

    async def testbench(ctx):
        expected = reading_after(values, [LOOP_NOT_MEASURED])
        assert await read(ctx) == expected
        await sample(ctx, millivolts=LOOP_NOT_MEASURED, **values)
        assert await read(ctx) == expected

    BENCH.run(testbench)


@pytest.mark.parametrize("class_", [one for one in StateClass if one != StateClass.SEALED])
def test_a_measurement_of_another_class_does_not_count(class_):
    """A rising voltage reads as full scale for a moment, which is not a voltage of the settled loop."""

    async def testbench(ctx):
        values = {"state": StateClass.SEALED, "excursions": 7}
        await sample(ctx, millivolts=4460, **values)
        set_values(ctx, millivolts=8191)
        ctx.set(BENCH.dut.measurement.class_, class_)
        ctx.set(BENCH.dut.measurement.new, 1)
        await ctx.tick()
        ctx.set(BENCH.dut.measurement.new, 0)
        await ctx.tick().repeat(APART)
        assert await read(ctx) == reading_after(values, [4460])

    BENCH.run(testbench)


@examples(30)
@given(samples=stories())
def test_least_and_greatest_since_power_up(samples):
    async def testbench(ctx):
        for n, voltage in enumerate(samples, 1):
            await sample(ctx, millivolts=voltage)
            found = [await field(ctx, name) for name in ("loop_min_mv", "loop_max_mv")]
            assert found == least_and_greatest(samples[:n])

    BENCH.run(testbench)


@pytest.mark.parametrize("cycle", range(24, PASS, 2))
def test_excursions_while_a_pass_is_under_way(cycle):
    """The two bytes of the count belong together even when one more excursion is counted between them."""

    async def testbench(ctx):
        dut = BENCH.dut
        await sample(ctx, millivolts=0, excursions=0x12FE)
        ctx.set(dut.loop.excursions, 0x12FF)
        ctx.set(dut.measurement.new, 1)
        await ctx.tick()
        ctx.set(dut.measurement.new, 0)
        await ctx.tick().repeat(cycle)
        ctx.set(dut.loop.excursions, 0x1300)
        await ctx.tick().repeat(PASS)
        assert await field(ctx, "excursions") in (0x12FF, 0x1300)
        await sample(ctx)
        assert await field(ctx, "excursions") == 0x1300

    BENCH.run(testbench)
