"""Items encode dates, times of day, clocks and text in these forms.

Addresses, counts and moments, which both protocols use, are in `meterseal.octets.bcd`.
"""

from __future__ import annotations

from datetime import date, datetime, time

from meterseal.clock import CST
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes

__all__ = ["clock", "clock_bytes", "date_bytes", "day", "text", "text_bytes", "time_bytes", "time_of_day"]


def date_bytes(at: datetime) -> bytes:
    """Encode the date of 04000101: `WW DD MM YY`, Sunday is 00."""
    local = at.astimezone(CST)
    return bytes([local.isoweekday() % 7]) + bcd.moment_bytes(at)[3:]


def day(raw: bytes) -> date:
    """Return the date that `WW DD MM YY` holds; the weekday is ignored."""
    if len(raw) != 4:
        raise ValueError(f"{hex_bytes(raw)}: a date has 4 bytes")
    return bcd.moment(bytes(3) + raw[1:]).date()


def time_bytes(at: datetime) -> bytes:
    """Encode the time of 04000102: `ss mm hh`."""
    return bcd.moment_bytes(at)[:3]


def time_of_day(raw: bytes) -> time:
    """Return the time that `ss mm hh` holds."""
    if len(raw) != 3:
        raise ValueError(f"{hex_bytes(raw)}: a time of day has 3 bytes")
    return bcd.moment(raw + b"\x01\x01\x00").time()


def clock_bytes(at: datetime) -> bytes:
    """Encode the clock of 0400010C: `ss mm hh WW DD MM YY`."""
    return time_bytes(at) + date_bytes(at)


def clock(raw: bytes) -> datetime:
    """Return the time that `ss mm hh WW DD MM YY` holds; the weekday is ignored."""
    if len(raw) != 7:
        raise ValueError(f"{hex_bytes(raw)}: date, weekday and time have 7 bytes")
    return bcd.moment(raw[:3] + raw[4:])


def text_bytes(value: str, width: int) -> bytes:
    """Encode ASCII, last character first, padded with 00."""
    raw = value.encode("ascii")[::-1].ljust(width, b"\0")
    if len(raw) != width:
        raise ValueError(f"{value!r} is longer than {width} characters")
    return raw


def text(raw: bytes) -> str:
    """Return the text in `raw`, last character first; meters pad with 00, FF or blanks on either side."""
    return raw[::-1].strip(b"\0\xff ").decode("ascii", "backslashreplace")
