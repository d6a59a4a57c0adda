"""The chip's calendar against Python's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from sealchip.clock import CLOCK_BYTES, UPTIME, CalendarClock

BENCH = Bench(CalendarClock)
UNSET = b"\xff" * CLOCK_BYTES
#: Cycles that a pass may take.
PASS = 28

SECOND = timedelta(seconds=1)


def at(year, month=1, day=1, hour=0, minute=0, second=0):
    """Date and time; which zone is all the same to the clock."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def end_of_month(months):
    """The last second of a month, counted from January 2000 on."""
    return at(2000 + (months + 1) // 12, (months + 1) % 12 + 1) - SECOND


#: Moments at which more than the second changes come as often as any other.
moments = st.integers(0, (at(2100) - at(2000)) // SECOND - 1).map(lambda seconds: at(2000) + seconds * SECOND)
ends = st.integers(0, 12 * 100 - 2).map(end_of_month)
minutes = moments.map(lambda moment: moment.replace(second=59))
hours = minutes.map(lambda moment: moment.replace(minute=59))


def encode(moment):
    """Bytes ss mm hh DD MM YY."""
    return bytes.fromhex(moment.strftime("%S%M%H%d%m%y"))


class Clock:
    """The clock as its users see it."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def set(self, raw, **others):
        """Offer six bytes, each one cycle after it has been asked for."""
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.set, 1)
        for name, value in others.items():
            ctx.set(getattr(dut, name), value)
        await self.offer(raw, 1)
        for name in ("set", *others):
            ctx.set(getattr(dut, name), 0)
        await self.offer(raw)

    async def offer(self, raw, cycles=PASS):
        for _ in range(cycles):
            asked = self.ctx.get(self.dut.source_index)
            await self.ctx.tick()
            self.ctx.set(self.dut.source, raw[asked] if asked < CLOCK_BYTES else 0xEE)

    async def second(self):
        self.ctx.set(self.dut.tick_s, 1)
        await self.ctx.tick()
        self.ctx.set(self.dut.tick_s, 0)
        await self.ctx.tick().repeat(PASS)

    async def read(self, first=0, count=CLOCK_BYTES):
        raw = bytearray()
        for index in range(first, first + count):
            self.ctx.set(self.dut.index, index)
            await self.ctx.tick()
            raw.append(self.ctx.get(self.dut.byte))
        return bytes(raw)

    async def uptime(self):
        """Of both ports."""
        raw = bytearray()
        for index in range(4):
            self.ctx.set(self.dut.uptime_index, index)
            await self.ctx.tick()
            raw.append(self.ctx.get(self.dut.uptime))
        assert raw == await self.read(UPTIME, 4)
        return int.from_bytes(raw, "little")


def run(story, bench=BENCH):
    async def testbench(ctx):
        await story(Clock(ctx, bench.dut))

    bench.run(testbench)


@examples(60)
@given(start=st.one_of(ends, minutes, hours, moments), seconds=st.integers(1, 4))
def test_every_second_is_that_of_the_calendar(start, seconds):
    async def story(clock):
        await clock.set(encode(start))
        assert clock.ctx.get(clock.dut.valid)
        for passed in range(seconds):
            assert await clock.read() == encode(start + passed * SECOND)
            await clock.second()

    run(story)


def test_every_end_of_month_of_four_years():
    async def story(clock):
        for months in range(23 * 12, 27 * 12):
            await clock.set(encode(end_of_month(months)))
            await clock.second()
            assert await clock.read() == encode(end_of_month(months) + SECOND)
        await clock.set(bytes.fromhex("595923311299"))
        await clock.second()
        assert await clock.read() == bytes.fromhex("000000010100"), "after 2099 comes 2000"

    run(story)


def is_time(raw):
    """Whether six bytes are a date and time, by Python's calendar."""
    try:
        second, minute, hour, day, month, year = (int(f"{byte:02x}") for byte in raw)
        return encode(at(2000 + year, month, day, hour, minute, second)) == raw
    except ValueError:
        return False


@examples(120)
@given(moment=moments, position=st.integers(0, CLOCK_BYTES - 1), byte=st.integers(0, 255))
def test_what_is_no_time_is_refused(moment, position, byte):
    """One byte of a time replaced by any: taken when that is a time too, else the old one goes on."""
    old = at(2024, 2, 28, 23, 59, 58)
    raw = bytearray(encode(moment))
    raw[position] = byte
    raw = bytes(raw)

    async def story(clock):
        await clock.set(encode(old))
        await clock.set(raw)
        assert await clock.read() == (raw if is_time(raw) else encode(old))
        if not is_time(raw):
            await clock.second()
            await clock.second()
            assert await clock.read() == encode(old + 2 * SECOND)

    run(story)


@pytest.mark.parametrize(
    ("raw", "good"),
    [
        pytest.param("000000290224", True, id="29 February 2024"),
        pytest.param("000000290223", False, id="29 February 2023"),
        pytest.param("000000290200", True, id="29 February 2000"),
        pytest.param("000000290210", False, id="29 February 2010"),
        pytest.param("000000290212", True, id="29 February 2012"),
        pytest.param("000000300224", False, id="30 February"),
        pytest.param("000000310424", False, id="31 April"),
        pytest.param("000000311124", False, id="31 November"),
        pytest.param("595923311299", True, id="the last second"),
        pytest.param("600000010124", False, id="second 60"),
        pytest.param("000024010124", False, id="hour 24"),
        pytest.param("000000000124", False, id="day 0"),
        pytest.param("000000010024", False, id="month 0"),
        pytest.param("000000011324", False, id="month 13"),
        pytest.param("0A0000010124", False, id="no BCD"),
        pytest.param("FFFFFFFFFFFF", False, id="FF"),
    ],
)
def test_unset_until_set(raw, good):
    """FF before the first time and after a refused one, whatever number of seconds; then that time."""
    raw = bytes.fromhex(raw)

    async def story(clock):
        await clock.second()
        assert await clock.read() == UNSET
        await clock.set(raw)
        assert clock.ctx.get(clock.dut.valid) == good
        assert await clock.read() == (raw if good else UNSET)

    run(story)


def test_no_second_is_lost():
    """A second that ends while bytes are read or a time is set is counted afterwards."""
    start = at(2024, 12, 31, 23, 59, 58)

    async def story(clock):
        ctx, dut = clock.ctx, clock.dut
        await clock.set(encode(start), tick_s=1)
        await ctx.tick().repeat(PASS)
        assert await clock.read() == encode(start + SECOND)
        ctx.set(dut.hold, 1)
        await clock.second()
        assert await clock.read() == encode(start + SECOND)
        ctx.set(dut.hold, 0)
        await ctx.tick().repeat(PASS)
        assert await clock.read() == encode(start + 2 * SECOND)

    run(story)


def test_a_new_time_waits_while_bytes_are_read():
    """They belong together, the uptime's too."""
    old, new = encode(at(2025)), encode(at(2026))

    async def story(clock):
        await clock.set(old)
        clock.ctx.set(clock.dut.hold, 1)
        uptime = await clock.uptime()
        await clock.set(new)
        assert (await clock.read(), await clock.uptime()) == (old, uptime)
        clock.ctx.set(clock.dut.hold, 0)
        await clock.offer(new)
        assert await clock.read() == new

    run(story)


@pytest.mark.parametrize("uptime", [0xFE, 0x12FFFE, 0x11FFFFFE, 0xFFFFFFFE])
def test_uptime_counts_through_all_bytes(uptime):
    """Whether the clock is set or not, and a new time is no second."""

    async def story(clock):
        for passed in range(3):
            assert await clock.uptime() == (uptime + passed) % 2**32
            await clock.second()
        await clock.set(encode(at(2026)))
        assert await clock.uptime() == (uptime + 3) % 2**32
        await clock.second()
        assert await clock.uptime() == (uptime + 4) % 2**32
        assert await clock.read() == encode(at(2026) + SECOND)

    run(story, Bench(CalendarClock, uptime))


def test_a_tick_every_128_seconds():
    async def story(clock):
        ctx, dut, ticks = clock.ctx, clock.dut, []
        for second in range(1, 300):
            ctx.set(dut.tick_s, 1)
            for _ in range(PASS):
                await ctx.tick()
                ctx.set(dut.tick_s, 0)
                if ctx.get(dut.tick_128_s):
                    ticks.append(second)
        assert ticks == [128, 256]

    run(story)
