"""Uptime, and date and time in BCD as DL/T 645-2007 tells and sets them (08H): ss mm hh DD MM YY.

The uptime counts from the reset on and wraps after 136 years. The time is FF until it has been set; after the
last second of 2099 comes 2000, leap years included. What is no date and time does not become one.
"""

from ..assembler import at, imm, indexed, port
from .layout import CLOCK_BYTES, UPTIME_BYTES, In, Memory, Out, Public, Status, StatusOut
from .main import STATUS, set_status_bit

__all__ = ["LOCK_SECONDS", "TABLES", "boot", "emit"]

#: Seconds between two strobes at `Out.LOCK_TICK`, a power of two.
LOCK_SECONDS = 128

_DAY, _MONTH, _YEAR = 3, 4, 5
#: The last of each unit, and the first; that of the days is made for each month.
_LAST, _FIRST = Memory.OF_CALENDAR, Memory.OF_CALENDAR + 8
_NUMBER = Memory.OF_CALENDAR + 15
#: The leap years, as far as these bits of the BCD year tell: four divides 2 * tens + ones.
_LEAP_BITS, _LEAP = 0x13, (0x00, 0x12)
_FEBRUARY = 0x02
#: All bits that a month may have.
_MONTH_BITS = 0x1F


def _months():
    """The last day of each month, by its BCD number; 00 where there is none."""
    days = bytearray(_MONTH_BITS + 1)
    for number in (0x01, 0x03, 0x05, 0x07, 0x08, 0x10, 0x12):
        days[number] = 0x31
    for number in (0x04, 0x06, 0x09, 0x11):
        days[number] = 0x30
    return bytes(days)


#: What the memory has to have, by address.
TABLES = {
    _LAST: bytes([0x59, 0x59, 0x23, 0, 0x12, 0x99]),
    _FIRST: bytes([0, 0, 0, 1, 1, 0]),
    Memory.MONTHS: _months(),
    Memory.FEBRUARIES: bytes(0x29 if year in _LEAP else 0x28 for year in range(_LEAP_BITS + 1)),
}


def boot(a):
    """At reset: no uptime, and no time."""
    with a.each(_NUMBER, range(16)):
        a.and_(imm(Memory.CLOCK ^ Memory.UPTIME))
        a.if_zero("calendar.zero")
        a.load(imm(0xFF))
        a.label("calendar.zero")
        a.store(indexed(Memory.UPTIME))
        a.publish(indexed(Public.UPTIME))


def emit(a):
    """*calendar.second* counts one, *calendar.set* takes six bytes of DATA for the time."""
    _second(a)
    _set(a)


def _second(a):
    a.label("calendar.second")
    a.out(Out.SECOND)
    _count(a)
    _uptime(a)
    a.load(at(STATUS))
    a.and_(imm(StatusOut.CLOCK_SET))
    a.if_zero("calendar.counted")
    _last_day(a, Memory.CLOCK)
    with a.each(_NUMBER, range(CLOCK_BYTES)):
        a.load(indexed(Memory.CLOCK))
        a.xor(indexed(_LAST))
        a.if_not_zero("calendar.next")
        a.load(indexed(_FIRST))
        _put(a)
    a.label("calendar.counted")
    a.load(at(STATUS))
    a.out(Out.STATUS)
    a.jump("main")
    a.label("calendar.next")
    # BCD: behind a 9 the next one is 7 more.
    a.load(indexed(Memory.CLOCK))
    a.and_(imm(0x0F))
    a.xor(imm(9))
    a.if_zero("calendar.tens")
    a.load(imm(-6))
    a.label("calendar.tens")
    a.add(imm(7))
    a.add(indexed(Memory.CLOCK))
    _put(a)
    a.jump("calendar.counted")


def _count(a):
    """Say that the time is being written."""
    a.load(at(STATUS))
    a.xor(imm(StatusOut.COUNTING))
    a.out(Out.STATUS)


def _uptime(a):
    with a.each(_NUMBER, range(UPTIME_BYTES)):
        a.load(indexed(Memory.UPTIME))
        a.add(imm(1))
        a.store(indexed(Memory.UPTIME))
        a.publish(indexed(Public.UPTIME))
        a.if_no_carry("calendar.uptime")
    a.label("calendar.uptime")
    a.load(at(Memory.UPTIME))
    a.and_(imm(LOCK_SECONDS - 1))
    a.if_not_zero("calendar.no tick")
    a.out(Out.LOCK_TICK)
    a.label("calendar.no tick")


def _last_day(a, time):
    """Of the month in `time`. Takes A and X."""
    a.load(at(time + _YEAR))
    a.and_(imm(_LEAP_BITS))
    a.out(Out.X)
    a.load(indexed(Memory.FEBRUARIES))
    a.store(at(Memory.MONTHS + _FEBRUARY))
    a.load(at(time + _MONTH))
    a.and_(imm(_MONTH_BITS))
    a.out(Out.X)
    a.load(indexed(Memory.MONTHS))
    a.store(at(_LAST + _DAY))


def _put(a):
    """A is byte X of the time."""
    a.store(indexed(Memory.CLOCK))
    a.publish(indexed(Public.CLOCK))


def _set(a):
    a.label("calendar.set")
    # The year and the month go first, for they say how long the month is.
    with a.each(_NUMBER, range(CLOCK_BYTES)[::-1]):
        _last_day(a, Memory.NEW_CLOCK)
        a.index(at(_NUMBER))
        a.load(indexed(_LAST))
        a.subtract(port(In.DATA))
        a.if_no_carry("refused")
        a.load(port(In.DATA))
        a.store(indexed(Memory.NEW_CLOCK))
        a.and_(imm(0x0F))
        a.subtract(imm(10))
        a.if_carry("refused")
    # No day is the 0th; month 00 has none.
    a.load(at(Memory.NEW_CLOCK + _DAY))
    a.if_zero("refused")
    a.load(port(In.STATUS))
    a.and_(imm(Status.SPOILED))
    a.if_not_zero("refused")
    # Later, then: the command waits.
    a.load(port(In.STATUS))
    a.and_(imm(Status.HOLD))
    a.if_not_zero("main")
    _count(a)
    with a.each(_NUMBER, range(CLOCK_BYTES)[::-1]):
        a.load(indexed(Memory.NEW_CLOCK))
        _put(a)
    set_status_bit(a, StatusOut.CLOCK_SET)
    a.jump("accepted")
