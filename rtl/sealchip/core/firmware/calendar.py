"""The uptime, and date and time in BCD as DL/T 645-2007 reads and sets them (08H): ss mm hh DD MM YY.

The uptime counts from the reset on and wraps after 136 years. The time is FF until it has been set; the last
second of 2099 is followed by 2000, and leap years are observed. Bytes that are not a date and time are
refused.
"""

from ..assembler import at, imm, indexed, port
from .layout import CLOCK_BYTES, UPTIME_BYTES, In, Memory, Out, Public, Status, StatusOut
from .main import STATUS, set_status_bit

__all__ = ["LOCK_SECONDS", "TABLES", "boot", "emit"]

#: Seconds between two strobes at `Out.LOCK_TICK`.
LOCK_SECONDS = 128
# The low byte of the uptime is masked with it.
assert 0x100 % LOCK_SECONDS == 0
# At reset one loop over 16 bytes sets the first 8, the uptime, to zero and the others, the time, to FF.
assert Memory.CLOCK ^ Memory.UPTIME == Public.CLOCK ^ Public.UPTIME == 8

_DAY, _MONTH, _YEAR = 3, 4, 5
#: The last value of each unit, and the first one; the last day is entered anew for each month.
_LAST, _FIRST = Memory.OF_CALENDAR, Memory.OF_CALENDAR + 8
_NUMBER = Memory.OF_CALENDAR + 15
#: In BCD, four divides a year if it divides 2 * tens + ones, for which the lowest bit of the tens and the two
#: lowest bits of the ones suffice. These bits, and their values in leap years.
_LEAP_BITS, _LEAP = 0x13, (0x00, 0x12)
_FEBRUARY = 0x02
#: All bits that a month may have.
_MONTH_BITS = 0x1F


def _months():
    """Return the last day of each month, by its BCD number; 00 where there is no such month."""
    days = bytearray(_MONTH_BITS + 1)
    for number in (0x01, 0x03, 0x05, 0x07, 0x08, 0x10, 0x12):
        days[number] = 0x31
    for number in (0x04, 0x06, 0x09, 0x11):
        days[number] = 0x30
    return bytes(days)


#: Constants that the memory holds after configuration, by address.
TABLES = {
    _LAST: bytes([0x59, 0x59, 0x23, 0, 0x12, 0x99]),
    _FIRST: bytes([0, 0, 0, 1, 1, 0]),
    Memory.MONTHS: _months(),
    Memory.FEBRUARIES: bytes(0x29 if year in _LEAP else 0x28 for year in range(_LEAP_BITS + 1)),
}


def boot(a):
    """Clear the uptime and unset the time at reset."""
    with a.each(_NUMBER, range(16)):
        a.and_(imm(Memory.CLOCK ^ Memory.UPTIME))
        a.if_zero("calendar.zero")
        a.load(imm(0xFF))
        a.label("calendar.zero")
        a.store(indexed(Memory.UPTIME))
        a.publish(indexed(Public.UPTIME))


def emit(a):
    """Emit *calendar.second*, which counts a second, and *calendar.set*, which sets the time from DATA."""
    _second(a)
    _set(a)


def _second(a):
    """Emit *calendar.second*: uptime and, if it is set, time, one second on."""
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
    # In BCD the number after a 9 in the low digit is 7 more, else 1 more.
    a.load(indexed(Memory.CLOCK))
    a.and_(imm(0x0F))
    a.xor(imm(9))
    a.if_zero("calendar.tens")  # with A zero
    a.load(imm(-6))
    a.label("calendar.tens")
    a.add(imm(7))
    a.add(indexed(Memory.CLOCK))
    _put(a)
    a.jump("calendar.counted")


def _count(a):
    """Put out that the published time is being written."""
    a.load(at(STATUS))
    a.xor(imm(StatusOut.COUNTING))
    a.out(Out.STATUS)


def _uptime(a):
    """Add one to the uptime, and put out the lock tick when its low bits are all zero."""
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
    """Enter the last day of the month in `time`. Overwrites A and X.

    February's entry in the table of months is written first, with the length it has in that year.
    """
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
    """Take A for byte X of the time."""
    a.store(indexed(Memory.CLOCK))
    a.publish(indexed(Public.CLOCK))


def _set(a):
    """Emit *calendar.set*: check the six bytes of DATA, and take them for the time."""
    a.label("calendar.set")
    # From the year down: year and month decide how many days there may be.
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
    # Day 00 is refused here, and with it month 00, whose last day is 00.
    a.load(at(Memory.NEW_CLOCK + _DAY))
    a.if_zero("refused")
    a.load(port(In.STATUS))
    a.and_(imm(Status.SPOILED))
    a.if_not_zero("refused")
    # The time is being read: the command still waits, and the main loop takes it again.
    a.load(port(In.STATUS))
    a.and_(imm(Status.HOLD))
    a.if_not_zero("main")
    _count(a)
    with a.each(_NUMBER, range(CLOCK_BYTES)[::-1]):
        a.load(indexed(Memory.NEW_CLOCK))
        _put(a)
    set_status_bit(a, StatusOut.CLOCK_SET)
    a.jump("accepted")
