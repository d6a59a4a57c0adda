"""BCD as both protocols use it: addresses, numbers and times, low byte first.

Errors are `ValueError` and name the bytes.
"""

from __future__ import annotations

from datetime import datetime

from meterseal.clock import CST
from meterseal.octets.hexadecimal import hex_bytes, hex_digits

__all__ = ["address", "address_bytes", "bcd", "moment", "moment_bytes", "number", "password_bytes"]


def address(raw: bytes) -> str:
    """Return the printed digits of an address, high digit first; wildcard bytes stay `AA`."""
    return hex_digits(raw[::-1])


def address_bytes(digits: str) -> bytes:
    """Return the six wire bytes of an address of up to 12 digits (`AA` bytes are wildcards)."""
    padded = digits.upper().rjust(12, "0")
    if len(padded) != 12 or not set(padded) <= set("0123456789A"):
        raise ValueError(f"address {digits!r}: expected up to 12 decimal digits or A")
    return bytes.fromhex(padded)[::-1]


def bcd(value: int, width: int) -> bytes:
    """Encode `value` as `width` BCD bytes, low byte first."""
    digits = str(value).rjust(2 * width, "0")
    if value < 0 or len(digits) != 2 * width:
        raise ValueError(f"{value} does not fit {width} BCD bytes")
    return bytes.fromhex(digits)[::-1]


def password_bytes(digits: str) -> bytes:
    """Return P0 P1 P2 of a password of six digits."""
    if len(digits) != 6 or not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"password {digits!r}: give six decimal digits")
    return bcd(int(digits), 3)


def number(raw: bytes) -> int:
    """Return the number that BCD bytes hold, low byte first."""
    digits = raw[::-1].hex()
    if not digits.isdecimal():
        raise ValueError(f"{hex_bytes(raw)} is not BCD")
    return int(digits)


def moment_bytes(at: datetime) -> bytes:
    """Encode `at` as `ss mm hh DD MM YY` in China Standard Time."""
    local = at.astimezone(CST)
    fields = (local.second, local.minute, local.hour, local.day, local.month, local.year % 100)
    return b"".join(bcd(field, 1) for field in fields)


def moment(raw: bytes) -> datetime:
    """Return the time that `ss mm hh DD MM YY` holds, aware, years 2000 to 2099."""
    if len(raw) != 6:
        raise ValueError(f"{hex_bytes(raw)}: a time has 6 bytes")
    second, minute, hour, day, month, year = (number(raw[i : i + 1]) for i in range(6))
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=CST)
    except ValueError as error:
        raise ValueError(f"{hex_bytes(raw)} is not a time: {error}") from None
