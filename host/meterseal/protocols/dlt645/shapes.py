"""An item's data is explained field by field, in Chinese and English.

A *shape* turns an item's data into annotations. It raises `ValueError` for data that it cannot read; the
caller then shows the bytes as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from meterseal.clock import isoformat
from meterseal.octets import bcd
from meterseal.protocols.annotation import Annotation, plain
from meterseal.protocols.dlt645 import values
from meterseal.protocols.dlt645.active_report import (
    METER_COVER_OPEN,
    TERMINAL_COVER_OPEN,
    WORD_BYTES,
    ActiveReport,
)
from meterseal.protocols.dlt645.cover import ENERGIES, CoverRecord

__all__ = [
    "Shape",
    "active_report",
    "address",
    "bits",
    "clock",
    "cover_record",
    "date",
    "number",
    "opaque",
    "period",
    "text",
    "time_of_day",
]

Shape = Callable[[bytes], list[Annotation]]

_NOT_VALID = ("无效", "not valid")
#: Names of bits of the active-report word.
_REPORTS = {
    METER_COVER_OPEN: ("开表盖", "meter cover opened"),
    TERMINAL_COVER_OPEN: ("开端钮盖", "terminal cover opened"),
}


def _data(raw: bytes, zh: str, en: str | None = None) -> list[Annotation]:
    return [Annotation("DATA", raw, zh, zh if en is None else en)]


def opaque(raw: bytes) -> list[Annotation]:
    """Show bytes as they are."""
    return _data(raw, plain(raw))


def number(decimals: int, unit: str = "", *, width: int = 0, signed: bool = False) -> Shape:
    """Return a shape of one BCD number, or of several of `width` bytes; `signed`: the top bit is the sign."""

    def show(raw: bytes) -> list[Annotation]:
        step = width or len(raw)
        parts = [raw[at : at + step] for at in range(0, len(raw), step)]
        return [Annotation("DATA", part, *_number(part, decimals, unit, signed=signed)) for part in parts]

    return show


def _number(raw: bytes, decimals: int, unit: str, *, signed: bool = False) -> tuple[str, str]:
    if raw == b"\xff" * len(raw):
        return _NOT_VALID
    sign = ""
    if signed and raw[-1] & 0x80:
        sign, raw = "-", raw[:-1] + bytes([raw[-1] & 0x7F])
    value = f"{sign}{bcd.number(raw) / 10**decimals:.{decimals}f} {unit}".rstrip()
    return value, value


def address(raw: bytes) -> list[Annotation]:
    """Show an address of 12 digits."""
    return _data(raw, bcd.address(raw))


def text(raw: bytes) -> list[Annotation]:
    """Show ASCII text, sent last character first."""
    return _data(raw, values.text(raw) or "–")


def date(raw: bytes) -> list[Annotation]:
    """Show the date in `WW DD MM YY`."""
    return _data(raw, values.day(raw).isoformat())


def time_of_day(raw: bytes) -> list[Annotation]:
    """Show the time in `ss mm hh`."""
    return _data(raw, values.time_of_day(raw).isoformat())


def clock(raw: bytes) -> list[Annotation]:
    """Show date and time in `ss mm hh WW DD MM YY`."""
    return _data(raw, isoformat(values.clock(raw)))


def bits(raw: bytes) -> list[Annotation]:
    """Show the numbers of the bits that are set."""
    word = int.from_bytes(raw, "little")
    names = " ".join(str(bit) for bit in range(8 * len(raw)) if word >> bit & 1)
    return _data(raw, f"置位:{names or '无'}", f"set: {names or 'none'}")


def active_report(raw: bytes) -> list[Annotation]:
    """Show each set bit of 04001501 and its count."""
    lines = bits(raw[:WORD_BYTES])
    for bit, count in ActiveReport.decode(raw).counts.items():
        zh, en = _REPORTS.get(bit, (f"第{bit}位", f"bit {bit}"))
        lines.append(Annotation("COUNT", bytes([count]), f"{zh} {count} 次", f"{en}: {count}"))
    return lines


def _moment(at: datetime | None) -> tuple[str, str]:
    return _NOT_VALID if at is None else (isoformat(at), isoformat(at))


def _labelled(field: str, raw: bytes, label: tuple[str, str], value: tuple[str, str]) -> Annotation:
    return Annotation(field, raw, f"{label[0]} {value[0]}", f"{label[1]} {value[1]}")


def period(raw: bytes) -> list[Annotation]:
    """Show start and end of an event, 6 bytes each."""
    record = CoverRecord.decode(raw + b"\xff" * 48)
    return [
        _labelled("START", raw[:6], ("开始", "start"), _moment(record.start)),
        _labelled("END", raw[6:12], ("结束", "end"), _moment(record.end)),
    ]


def cover_record(raw: bytes) -> list[Annotation]:
    """Show the 60-byte record of an opening."""
    CoverRecord.decode(raw)
    lines = period(raw[:12])
    for at, label in ((12, ("之前", "before")), (36, ("之后", "after"))):
        for index, di in enumerate(ENERGIES):
            part = raw[at + 4 * index : at + 4 * index + 4]
            lines.append(
                _labelled(f"{di:08X}", part, label, _number(part, 2, "kWh" if index < 2 else "kvarh"))
            )
    return lines
