"""Tests of the firmware's calendar against Python's."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealchip.core import firmware
from sealchip.core.firmware.layout import CLOCK_BYTES, UPTIME_BYTES, Command, Memory, Public, StatusOut
from verif.benches.block import examples
from verif.benches.firmware import Nor, Request, Rig

BAUD = 2400
UNSET = b"\xff" * CLOCK_BYTES
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
TIME = range(Public.UPTIME, Public.CLOCK + CLOCK_BYTES)


def at(year, month=1, day=1, hour=0, minute=0, second=0):
    """Return date and time; the clock knows no zone."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def end_of_month(months):
    """Return the last second of a month, counted from January 2000 on."""
    return at(2000 + (months + 1) // 12, (months + 1) % 12 + 1) - SECOND


#: Moments at which more than the second changes come as often as any other.
moments = st.integers(0, (at(2100) - at(2000)) // SECOND - 1).map(lambda seconds: at(2000) + seconds * SECOND)
ends = st.integers(0, 12 * 100 - 2).map(end_of_month)
minutes = moments.map(lambda moment: moment.replace(second=59))
hours = minutes.map(lambda moment: moment.replace(minute=59))


def encode(moment):
    """Return the bytes ss mm hh DD MM YY."""
    return bytes.fromhex(moment.strftime("%S%M%H%d%m%y"))


class Clock(Rig):
    """The chip as readers of the time see it; the time changes only while they are warned."""

    def __init__(self, words, memory):
        super().__init__(words, memory, Nor())
        self.power_up()
        self.idle()

    def published(self, address, byte):
        if StatusOut.LOG_READY in self.status and address in TIME:
            assert StatusOut.COUNTING in self.status, "readers have been warned"

    def _write_status(self, value):
        if StatusOut.LOG_READY in self.status:
            changed = value ^ self.status
            assert changed in (StatusOut.COUNTING, StatusOut.COUNTING | StatusOut.CLOCK_SET), (
                "no other status bit changes"
            )
        super()._write_status(value)

    def set(self, raw, **others):
        """Return whether it accepts six bytes as the time."""
        accepted = self.command(Command.CLOCK, 0, raw, **others)
        self.idle()
        return accepted

    def hold_on(self, instructions, raw=None):
        """Hold the time as a reader does, for so long, while a new time is to be set."""
        self.hold = True
        if raw is not None:
            self._slave = Request(Command.CLOCK, 0, raw)
        last = self.machine.steps + instructions
        self.run(lambda: self.machine.steps > last)
        self.hold = False

    def pass_second(self, number=1):
        """Let so many seconds pass, one by one."""
        for _ in range(number):
            self.second()
            self.idle()

    @property
    def time(self):
        """Return date and time, ss to YY."""
        return bytes(self.public[Public.CLOCK :][:CLOCK_BYTES])

    @property
    def uptime(self):
        """Return the uptime in seconds."""
        return int.from_bytes(self.public[Public.UPTIME :][:UPTIME_BYTES], "little")

    def advance(self, seconds):
        """Set the uptime to so many seconds."""
        raw = seconds.to_bytes(UPTIME_BYTES, "little")
        for memory, place in (self.machine.memory, Memory.UPTIME), (self.public, Public.UPTIME):
            memory[place : place + UPTIME_BYTES] = raw


@cache
def _booted():
    return Clock(*firmware.build(0, BAUD))


def booted():
    """Return a chip that has just been powered up."""
    return deepcopy(_booted())


def test_at_power_up():
    """There is no uptime and no time, whatever the memory held before."""
    words, memory = firmware.build(0, BAUD)
    used = bytearray(memory)
    for place, size in ((Memory.UPTIME, UPTIME_BYTES), (Memory.CLOCK, CLOCK_BYTES), (Memory.NEW_CLOCK, 8)):
        used[place : place + size] = b"\x11" * size
    for number in (Memory.OF_MAIN, Memory.OF_CALENDAR + 15):
        used[number] = 0xFF
    clock = Clock(words, used)
    assert (clock.time, clock.uptime, clock.lock_ticks) == (UNSET, 0, 0)
    assert StatusOut.CLOCK_SET not in clock.status
    clock.pass_second()
    assert (clock.time, clock.uptime) == (UNSET, 1)


@examples(100)
@given(start=st.one_of(ends, minutes, hours, moments), seconds=st.integers(1, 4))
def test_every_second_is_that_of_the_calendar(start, seconds):
    clock = booted()
    assert clock.set(encode(start))
    assert StatusOut.CLOCK_SET in clock.status
    for passed in range(seconds):
        assert clock.time == encode(start + passed * SECOND)
        clock.pass_second()


def test_every_end_of_month():
    """Every end of a month of the hundred years is followed by the right day."""
    clock = booted()
    for months in range(12 * 100 - 1):
        assert clock.set(encode(end_of_month(months)))
        clock.pass_second()
        assert clock.time == encode(end_of_month(months) + SECOND)
    assert clock.set(bytes.fromhex("595923311299"))
    clock.pass_second()
    assert clock.time == bytes.fromhex("000000010100"), "after 2099 comes 2000"
    assert clock.public[Public.CLOCK + CLOCK_BYTES] == 0xFF, "no byte follows the year"


def test_every_end_of_day():
    """Every end of a day of four years is followed by the right day."""
    clock = booted()
    for days in range(365 * 4 + 1):
        moment = at(2023) + days * DAY - SECOND
        assert clock.set(encode(moment))
        clock.pass_second()
        assert clock.time == encode(moment + SECOND)


def test_every_second_of_an_hour():
    """Every second of an hour, and of the next one's first minute, is followed by the right one."""
    start, clock = at(2024, 2, 28, 23), booted()
    assert clock.set(encode(start))
    for passed in range(3661):
        assert clock.time == encode(start + passed * SECOND)
        clock.pass_second()


def is_time(raw):
    """Return whether six bytes are a date and time, by Python's calendar."""
    try:
        second, minute, hour, day, month, year = (int(f"{byte:02x}") for byte in raw)
        return encode(at(2000 + year, month, day, hour, minute, second)) == raw
    except ValueError:
        return False


def check_set(clock, raw, old):
    """Check that `raw` is accepted if it is a time, and that `old` goes on otherwise."""
    assert clock.set(raw) == is_time(raw)
    if is_time(raw):
        assert clock.time == raw
    else:
        assert clock.time == encode(old)
        clock.pass_second(2)
        assert clock.time == encode(old + 2 * SECOND)


@examples(200)
@given(moment=moments, position=st.integers(0, CLOCK_BYTES - 1), byte=st.integers(0, 255))
def test_what_is_not_a_time_is_refused(moment, position, byte):
    """A time with one byte replaced by any other is accepted exactly if it is a time."""
    old, clock = at(2024, 2, 28, 23, 59, 58), booted()
    assert clock.set(encode(old))
    raw = bytearray(encode(moment))
    raw[position] = byte
    check_set(clock, bytes(raw), old)


@pytest.mark.parametrize("position", range(CLOCK_BYTES))
def test_every_byte_in_every_place(position):
    """Every byte is tried in every place of the last second of a leap year's February, and of a
    31-day month.
    """
    old, clock = at(2023, 12, 31, 23, 59, 58), booted()
    for moment in (at(2024, 2, 29, 23, 59, 59), at(2099, 12, 31, 23, 59, 59)):
        for byte in range(256):
            assert clock.set(encode(old))
            raw = bytearray(encode(moment))
            raw[position] = byte
            check_set(clock, bytes(raw), old)


def test_every_day_of_every_month():
    """Every day of years of each kind is tried, and days that do not exist."""
    clock = booted()
    for year in (0x00, 0x01, 0x10, 0x12, 0x23, 0x24, 0x26, 0x98, 0x99):
        for month in range(0x14):
            for day in (0x00, 0x01, 0x28, 0x29, 0x30, 0x31, 0x32):
                raw = bytes([0, 0, 0, day, month, year])
                assert clock.set(raw) == is_time(raw), raw.hex()


@pytest.mark.parametrize("raw", ["000000290224", "600000010124", "0A0000010124", "FFFFFFFFFFFF"])
def test_unset_until_set(raw):
    """The time reads FF before the first one and after a refused one, for any uptime; then it is
    that time.
    """
    good, raw, clock = raw == "000000290224", bytes.fromhex(raw), booted()
    clock.pass_second(2)
    assert clock.time == UNSET
    assert clock.set(raw) == good
    assert (StatusOut.CLOCK_SET in clock.status) == good
    assert clock.time == (raw if good else UNSET)


@pytest.mark.parametrize("lasts", range(12))
def test_a_spoiled_time_is_refused(lasts):
    """Each byte is read twice, and from any moment on the bytes may be another request's: then it
    is refused.
    """
    old, clock = at(2026, 3, 4, 5, 6, 7), booted()
    assert clock.set(encode(old))
    assert not clock.set(encode(at(2031, 12, 11, 10, 9, 8)), lasts=lasts)
    assert clock.time == encode(old)


@examples(20)
@given(before=st.integers(0, 3), meanwhile=st.integers(1, 7), lasts=st.integers(0, 2000))
def test_no_second_is_lost(before, meanwhile, lasts):
    """Seconds that end during a read, or during another job, are counted afterwards."""
    start, clock = at(2024, 12, 31, 23, 59, 58), booted()
    clock.seconds = before
    assert clock.set(encode(start))
    assert clock.uptime == before
    seen = clock.time
    clock.seconds += meanwhile
    clock.hold_on(lasts)
    assert (clock.time, clock.uptime) == (seen, before)
    clock.idle()
    assert clock.uptime == before + meanwhile
    assert clock.time == encode(datetime.strptime(seen.hex() + "Z", "%S%M%H%d%m%y%z") + meanwhile * SECOND)


def test_a_new_time_waits_while_bytes_are_read():
    """A new time waits while bytes are read, so that they belong together; so do those of the uptime."""
    old, new, clock = encode(at(2025)), encode(at(2026)), booted()
    assert clock.set(old)
    clock.hold_on(5000, new)
    assert (clock.time, clock.uptime) == (old, 0)
    clock.idle()
    assert clock.time == new


@pytest.mark.parametrize("uptime", [0xFE, 0x12FFFE, 0x11FFFFFE, 0xFFFFFFFE])
def test_uptime_counts_through_all_bytes(uptime):
    """The tick comes whether the clock is set or not, and setting the time does not count as a second."""
    clock = booted()
    clock.advance(uptime)
    for passed in range(3):
        assert clock.uptime == (uptime + passed) % 2**32
        clock.pass_second()
    assert clock.set(encode(at(2026)))
    assert clock.uptime == (uptime + 3) % 2**32
    clock.pass_second()
    assert clock.uptime == (uptime + 4) % 2**32
    assert clock.time == encode(at(2026) + SECOND)
    assert not any(clock.public[Public.UPTIME + UPTIME_BYTES : Public.CLOCK]), "it has four bytes"


def test_a_tick_every_128_seconds():
    clock = booted()
    for second in range(1, 700):
        clock.pass_second()
        assert clock.lock_ticks == second // 128
