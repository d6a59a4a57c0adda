"""The project's own items are explained: seal record, identity, diagnostics, journal.

Layouts: `sealchip.interface`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meterseal.clock import isoformat
from meterseal.domain.layout import unpack
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes, hex_digits
from meterseal.protocols.annotation import Annotation, plain
from meterseal.protocols.dlt645 import values
from sealchip.interface import (
    BAUD_FEATURE,
    DIAGNOSTICS,
    IDENTITY_REPORT,
    JOURNAL_ENTRY,
    LOOP_NOT_MEASURED,
    RECORD,
    VERDICT,
    Layout,
    VerdictCode,
)

__all__ = [
    "IDENTITY_NAMES",
    "diagnostics",
    "identity_report",
    "journal_bounds",
    "journal_entry",
    "provisioned",
    "seal_record",
    "verdict",
]

Words = tuple[str, str]

_KINDS = {
    Kind.BOOT: ("上电", "boot"),
    Kind.OPENED: ("开启", "opened"),
    Kind.CLOSED: ("施封", "closed"),
    Kind.FLAPPING: ("反复通断", "flapping"),
    Kind.SEALING_REFUSED: ("拒绝施封", "sealing refused"),
    Kind.LOCKED_OUT: ("密码错误闭锁", "locked out"),
    Kind.PROVISIONED: ("配置已更改", "provisioned"),
}
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
_VERDICTS = {
    VerdictCode.AUTH_FAIL: ("校验失败", "MAC not the seal's"),
    VerdictCode.REPLAY: ("旧记录重放", "played again"),
}
#: Names of the identity's fields.
IDENTITY_NAMES: Mapping[str, Words] = {
    "seal": ("封印地址", "seal address"),
    "meter": ("电能表地址", "meter address"),
    "asset": ("资产编号", "asset number"),
    "key": ("密钥", "key"),
    "phone": ("电话号码", "phone"),
    "baud": ("通信速率", "baud rate"),
    "password": ("密码", "password"),
}


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


def _raw(raw: bytes) -> Words:
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
    found = [words for flag, words in _FLAGS.items() if flag & raw[0]]
    if raw[1]:
        found.append((f"波动 {raw[1]} 次", f"{raw[1]} of them"))
    return ("、".join(zh for zh, _ in found), ", ".join(en for _, en in found)) if found else _NONE


def _verdict_code(raw: bytes) -> Words:
    return _VERDICTS[VerdictCode(raw[0])]


def _phone(raw: bytes) -> Words:
    return _same(raw.rstrip(b"\0").decode("ascii") or "–")


def _baud(raw: bytes) -> Words:
    if raw[0] not in BAUD_FEATURE:
        raise ValueError(f"{hex_digits(raw)} is no feature word of a rate")
    return _same(f"{BAUD_FEATURE[raw[0]]} bit/s")


def _secret(raw: bytes) -> Words:
    """Show the length only, because explanations get copied and passed on."""
    return f"{len(raw)} 字节", f"{len(raw)} bytes"


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
    "challenge": ("质询", "challenge", _raw),
    "mac": ("校验码", "MAC", _raw),
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
_VERDICT: Mapping[str, Meaning] = {
    "seal": ("封印地址", "seal address", _address),
    "counter": ("事件计数", "event counter", _count),
    "code": ("判定", "found", _verdict_code),
    "digest": ("记录摘要", "digest of the record", _raw),
}
_PROVISIONED: Mapping[str, Callable[[bytes], Words]] = {
    "seal": _address,
    "meter": _address,
    "asset": _text,
    "key": _secret,
    "phone": _phone,
    "baud": _baud,
    "password": _secret,
}
_JOURNAL: Mapping[str, Meaning] = {
    "number": ("记录序号", "journal number", _count),
    "occurred": ("发生时间", "occurred at", _moment),
    "received": ("接收时间", "received at", _moment),
}


def _lines(layout: Layout, meanings: Mapping[str, Meaning], raw: bytes) -> list[Annotation]:
    """Annotate each field of `layout` that has a meaning."""
    lines = []
    for name, part in unpack(layout, raw).items():
        if name in meanings:
            zh, en, show = meanings[name]
            value = show(part)
            lines.append(Annotation(name, part, f"{zh} {value[0]}", f"{en} {value[1]}"))
    return lines


def seal_record(raw: bytes) -> list[Annotation]:
    """Annotate a seal record: 04805301, 04805304, 0480531n, 04805380."""
    SealRecord.decode(raw)
    return _lines(RECORD, _RECORD, raw)


def identity_report(raw: bytes) -> list[Annotation]:
    """Annotate the identity report 04805381."""
    return _lines(IDENTITY_REPORT, _IDENTITY, raw)


def diagnostics(raw: bytes) -> list[Annotation]:
    """Annotate the diagnostics 04805302."""
    return _lines(DIAGNOSTICS, _DIAGNOSTICS, raw)


def verdict(raw: bytes) -> list[Annotation]:
    """Annotate the verdict 04805390."""
    return _lines(VERDICT, _VERDICT, raw)


def provisioned(field: str) -> Callable[[bytes], list[Annotation]]:
    """Return how 048053F0.. shows the identity's `field`."""

    def show(raw: bytes) -> list[Annotation]:
        zh, en = IDENTITY_NAMES[field]
        value = _PROVISIONED[field](raw)
        return [Annotation(field, raw, f"{zh} {value[0]}", f"{en} {value[1]}")]

    return show


def journal_bounds(raw: bytes) -> list[Annotation]:
    """Annotate the first and the last journal number, 04805340."""
    if len(raw) != 8:
        raise ValueError(f"{hex_bytes(raw)}: journal bounds have 8 bytes")
    first, last = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
    return [
        Annotation("first", raw[:4], f"最早记录 {first}", f"first entry {first}"),
        Annotation("last", raw[4:], f"最新记录 {last}", f"last entry {last}"),
    ]


def journal_entry(raw: bytes) -> list[Annotation]:
    """Annotate the journal entry 04805341: number, times, and the record inside."""
    return _lines(JOURNAL_ENTRY, _JOURNAL, raw) + seal_record(unpack(JOURNAL_ENTRY, raw)["record"])
