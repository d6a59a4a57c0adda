"""What the project's own items say: seal record, identity, diagnostics, journal.

Layouts: `sealchip.interface`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meterseal import bcd
from meterseal.clock import isoformat
from meterseal.dlt645 import values
from meterseal.explain import Line, plain
from meterseal.seal.layout import unpack
from meterseal.seal.record import Flags, Kind, SealRecord, StateClass
from sealchip.interface import DIAGNOSTICS, IDENTITY_REPORT, JOURNAL_ENTRY, LOOP_NOT_MEASURED, RECORD, Layout

__all__ = ["diagnostics", "identity_report", "journal_bounds", "journal_entry", "seal_record"]

Words = tuple[str, str]

_KINDS = {Kind.BOOT: ("上电", "boot"), Kind.OPENED: ("开启", "opened"), Kind.CLOSED: ("施封", "closed")}
_STATES = {
    StateClass.UNKNOWN: ("未知", "unknown"),
    StateClass.OPEN: ("断开", "open"),
    StateClass.LOW: ("电压偏低", "low"),
    StateClass.SEALED: ("完好", "sealed"),
    StateClass.HIGH: ("电压偏高", "high"),
    StateClass.MISMATCH: ("不符", "mismatch"),
}
_FLAGS = {
    Flags.UNOBSERVED: ("曾断电未监测", "unobserved"),
    Flags.AGE_UNKNOWN: ("时间自上电起算", "age counts from power-up"),
    Flags.CHALLENGED: ("应答质询", "challenged"),
    Flags.EXCURSIONS: ("有短时波动", "excursions"),
}
_NONE = ("无", "none")


def _same(words: str) -> Words:
    return words, words


def _count(raw: bytes) -> Words:
    return _same(str(int.from_bytes(raw, "little")))


def _seconds(raw: bytes) -> Words:
    return _same(f"{int.from_bytes(raw, 'little')} s")


def _millivolts(raw: bytes) -> Words:
    value = int.from_bytes(raw, "little")
    return ("未测量", "not measured") if value == LOOP_NOT_MEASURED else _same(f"{value} mV")


def _address(raw: bytes) -> Words:
    return _same(bcd.address(raw))


def _hex(raw: bytes) -> Words:
    return _same(plain(raw))


def _text(raw: bytes) -> Words:
    return _same(values.text(raw) or "–")


def _moment(raw: bytes) -> Words:
    return ("未设置", "not set") if raw == b"\xff" * 6 else _same(isoformat(bcd.moment(raw)))


def _algorithm(raw: bytes) -> Words:
    return ("未签名", "unsigned") if raw == b"\0" else _same("SM4-CMAC")


def _kind(raw: bytes) -> Words:
    return _KINDS[Kind(raw[0])]


def _state(raw: bytes) -> Words:
    return _STATES[StateClass(raw[0])]


def _flags(raw: bytes) -> Words:
    found = [words for flag, words in _FLAGS.items() if flag & int.from_bytes(raw, "little")]
    return ("、".join(zh for zh, _ in found), ", ".join(en for _, en in found)) if found else _NONE


Meaning = tuple[str, str, Callable[[bytes], Words]]

_RECORD: Mapping[str, Meaning] = {
    "version": ("布局版本", "layout version", _count),
    "algorithm": ("算法", "algorithm", _algorithm),
    "seal": ("封印地址", "seal address", _address),
    "boot": ("上电次数", "boot count", _count),
    "counter": ("事件计数", "event counter", _count),
    "kind": ("事件", "event", _kind),
    "state": ("回路状态", "loop state", _state),
    "loop_mv": ("回路电压", "loop voltage", _millivolts),
    "flags": ("标志", "flags", _flags),
    "age": ("距今", "age", _seconds),
    "challenge": ("质询", "challenge", _hex),
    "mac": ("校验码", "MAC", _hex),
}
_IDENTITY: Mapping[str, Meaning] = {
    "seal": ("封印地址", "seal address", _address),
    "asset": ("资产编号", "asset number", _text),
}
_DIAGNOSTICS: Mapping[str, Meaning] = {
    "loop_mv": ("回路电压", "loop voltage", _millivolts),
    "loop_min_mv": ("最低回路电压", "least loop voltage", _millivolts),
    "loop_max_mv": ("最高回路电压", "greatest loop voltage", _millivolts),
    "state": ("回路状态", "loop state", _state),
    "excursions": ("短时波动次数", "excursions", _count),
    "uptime": ("运行时间", "uptime", _seconds),
    "clock": ("时钟", "clock", _moment),
}
_JOURNAL: Mapping[str, Meaning] = {
    "number": ("记录序号", "journal number", _count),
    "occurred": ("发生时间", "occurred at", _moment),
    "received": ("接收时间", "received at", _moment),
}


def _lines(layout: Layout, meanings: Mapping[str, Meaning], raw: bytes) -> list[Line]:
    """A line for each field of `layout` that has a meaning."""
    lines = []
    for name, part in unpack(layout, raw).items():
        if name in meanings:
            zh, en, show = meanings[name]
            value = show(part)
            lines.append(Line(name, part, f"{zh} {value[0]}", f"{en} {value[1]}"))
    return lines


def seal_record(raw: bytes) -> list[Line]:
    """04805301, 0480531n, 04805380."""
    SealRecord.decode(raw)
    return _lines(RECORD, _RECORD, raw)


def identity_report(raw: bytes) -> list[Line]:
    """04805381."""
    return _lines(IDENTITY_REPORT, _IDENTITY, raw)


def diagnostics(raw: bytes) -> list[Line]:
    """04805302."""
    return _lines(DIAGNOSTICS, _DIAGNOSTICS, raw)


def journal_bounds(raw: bytes) -> list[Line]:
    """04805340: first and last journal number."""
    if len(raw) != 8:
        raise ValueError(f"{raw.hex(' ').upper()}: journal bounds have 8 bytes")
    first, last = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
    return [
        Line("first", raw[:4], f"最早记录 {first}", f"first entry {first}"),
        Line("last", raw[4:], f"最新记录 {last}", f"last entry {last}"),
    ]


def journal_entry(raw: bytes) -> list[Line]:
    """04805341: number, times, and the record inside."""
    return _lines(JOURNAL_ENTRY, _JOURNAL, raw) + seal_record(unpack(JOURNAL_ENTRY, raw)["record"])
