"""A frame is explained field by field, in Chinese and English, as `meterseal frame decode` shows it."""

from __future__ import annotations

from collections.abc import Callable

from meterseal.clock import isoformat
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.annotation import Annotation, plain, plain_field
from meterseal.protocols.dlt645.addressing import BROADCAST, WILDCARD
from meterseal.protocols.dlt645.control import CLEARS, FROM_SLAVE, MORE, Err, Function
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.items import find
from meterseal.protocols.dlt645.requests import Clear, PasswordChange, Write
from sealchip.interface import BAUD_FEATURE

__all__ = ["explain"]

_FUNCTIONS = {
    Function.SECURITY: ("安全认证", "security authentication"),
    Function.BROADCAST_TIME: ("广播校时", "broadcast time"),
    Function.READ: ("读数据", "read data"),
    Function.READ_MORE: ("读后续数据", "read follow-up data"),
    Function.READ_ADDRESS: ("读通信地址", "read address"),
    Function.WRITE: ("写数据", "write data"),
    Function.WRITE_ADDRESS: ("写通信地址", "write address"),
    Function.FREEZE: ("冻结命令", "freeze"),
    Function.CHANGE_BAUD: ("更改通信速率", "change baud rate"),
    Function.CHANGE_PASSWORD: ("修改密码", "change password"),
    Function.CLEAR_DEMAND: ("最大需量清零", "clear demand"),
    Function.CLEAR_METER: ("电表清零", "clear meter"),
    Function.CLEAR_EVENTS: ("事件清零", "clear events"),
    Function.RELAY: ("跳合闸、报警、保电", "relay control"),
    Function.MULTIFUNCTION: ("多功能端子输出控制", "multifunction output"),
}
_ERRORS = {
    Err.OTHER: ("其他错误", "other error"),
    Err.NO_DATA: ("无请求数据", "no such data"),
    Err.UNAUTHORISED: ("密码错或未授权", "wrong password or not authorised"),
    Err.RATE: ("通信速率不能更改", "rate cannot change"),
    Err.YEAR_ZONES: ("年时区数超", "too many yearly zones"),
    Err.DAY_SEGMENTS: ("日时段数超", "too many day segments"),
    Err.TARIFFS: ("费率数超", "too many tariffs"),
}
#: Relay command N1.
_TRIP = 0x1A
_ADDRESSES = {BROADCAST: ("广播地址", "broadcast"), WILDCARD: ("通配地址", "any slave")}


def explain(frame: Frame) -> list[Annotation]:
    """Annotate each field, in wire order without preamble; data bytes are shown without +33H."""
    raw = frame.encode(preamble=0)
    return [
        Annotation("68", raw[:1], "帧起始符", "start"),
        _address("A0..A5", frame.address),
        Annotation("68", raw[7:8], "帧起始符", "start"),
        Annotation("C", raw[8:9], *_control(frame)),
        Annotation("L", raw[9:10], f"数据域 {raw[9]} 字节", f"{raw[9]} data bytes"),
        *_data(frame),
        Annotation("CS", raw[-2:-1], "校验码正确", "checksum is right"),
        Annotation("16", raw[-1:], "结束符", "end"),
    ]


def _address(field: str, address: str) -> Annotation:
    zh, en = _ADDRESSES.get(address, ("地址", "address"))
    if address.startswith("AA") and address != WILDCARD:
        zh, en = "缩位地址", "shortened address"
    return Annotation(field, bytes.fromhex(address)[::-1], f"{zh} {address}", f"{en} {address}")


def _control(frame: Frame) -> tuple[str, str]:
    known = frame.function in _FUNCTIONS
    zh, en = _FUNCTIONS[Function(frame.function)] if known else ("未知功能", "unknown function")
    zh += ":从站" if frame.from_slave else ":主站请求"
    en += ": slave " if frame.from_slave else ": request by the master"
    if frame.refused:
        return zh + "异常应答", en + "refuses"
    if frame.from_slave:
        zh, en = zh + "正常应答", en + "answers"
    return (zh + ",有后续帧", en + ", more follows") if frame.more else (zh, en)


def _data(frame: Frame) -> list[Annotation]:
    """Annotate the data field; data that does not fit the control code is shown as it is."""
    if frame.refused:
        return _refusal(frame.data)
    explain_data = _DATA.get(frame.control, _plain)
    try:
        return explain_data(frame)
    except ValueError as error:
        shown = plain(frame.data)
        return [
            Annotation("DATA", frame.data, f"{shown}(不符合该控制码)", f"{shown} (does not fit: {error})")
        ]


def _refusal(data: bytes) -> list[Annotation]:
    if len(data) != 1:
        return plain_field("DATA", data)
    found = [words for bit, words in _ERRORS.items() if bit & data[0]]
    zh = "、".join(zh for zh, _ in found) or "未说明"
    en = ", ".join(en for _, en in found) or "no reason given"
    return [Annotation("ERR", data, zh, en)]


def _plain(frame: Frame) -> list[Annotation]:
    return plain_field("DATA", frame.data)


def _di(di: int) -> Annotation:
    item = find(di)
    return Annotation("DI", di.to_bytes(4, "little"), f"{di:08X} {item.zh}", f"{di:08X} {item.en}")


def _with_di(frame: Frame) -> int:
    if frame.di is None:
        raise ValueError(f"{len(frame.data)} bytes, a DI has 4")
    return frame.di


def _read(frame: Frame) -> list[Annotation]:
    return [_di(_with_di(frame)), *plain_field("PARAMETERS", frame.content)]


def _seq(raw: bytes) -> Annotation:
    return Annotation("SEQ", raw, f"后续帧序号 {raw[0]}", f"follow-up frame {raw[0]}")


def _read_more(frame: Frame) -> list[Annotation]:
    if len(frame.data) != 5:
        raise ValueError(f"{len(frame.data)} bytes, DI and SEQ have 5")
    return [_di(_with_di(frame)), _seq(frame.content)]


def _answer(frame: Frame) -> list[Annotation]:
    di = _with_di(frame)
    return [_di(di), *_item_part(di, frame.content, whole=not frame.more)]


def _more_answer(frame: Frame) -> list[Annotation]:
    di = _with_di(frame)
    if not frame.content:
        raise ValueError("a follow-up frame ends with SEQ")
    return [_di(di), *_item_part(di, frame.content[:-1], whole=False), _seq(frame.content[-1:])]


def _item_part(di: int, content: bytes, *, whole: bool) -> list[Annotation]:
    """Annotate a part of an item, which cannot be read as the item."""
    item = find(di)
    return item.explain(content) if whole or item.framed else plain_field("DATA", content)


def _password(raw: bytes, zh: str = "密码", en: str = "password") -> list[Annotation]:
    level = f"{raw[0]:02X}"
    return [
        Annotation("PA", raw[:1], f"{zh}权限 {level}", f"{en} level {level}"),
        Annotation("P0..P2", raw[1:], f"{zh} {raw[:0:-1].hex()}", f"{en} {raw[:0:-1].hex()}"),
    ]


def _operator(raw: bytes) -> Annotation:
    code = hex_digits(raw[::-1])
    return Annotation("C0..C3", raw, f"操作者代码 {code}", f"operator code {code}")


def _write(frame: Frame) -> list[Annotation]:
    write = Write.parse(frame)
    content = find(write.di).explain(write.data) if write.data else []
    return [_di(write.di), *_password(write.password), _operator(write.operator), *content]


def _new_password(frame: Frame) -> list[Annotation]:
    change = PasswordChange.parse(frame)
    old = _password(change.old, "原密码", "old password")
    return [_di(change.di), *old, *_password(change.new, "新密码", "new password")]


def _changed_password(frame: Frame) -> list[Annotation]:
    if len(frame.data) != 4:
        raise ValueError(f"{len(frame.data)} bytes, a level and a password have 4")
    return _password(frame.data, "新密码", "new password")


def _clear(frame: Frame) -> list[Annotation]:
    clear = Clear.parse(frame)
    which = [] if clear.di is None else [_di(clear.di)]
    return [*_password(clear.password), _operator(clear.operator), *which]


def _address_alone(frame: Frame) -> list[Annotation]:
    if len(frame.data) != 6:
        raise ValueError(f"{len(frame.data)} bytes, an address has 6")
    return [_address("DATA", bcd.address(frame.data))]


def _time(frame: Frame) -> list[Annotation]:
    at = isoformat(bcd.moment(frame.data))
    return [Annotation("DATA", frame.data, f"时间 {at}", f"time {at}")]


def _freeze(frame: Frame) -> list[Annotation]:
    if len(frame.data) != 4:
        raise ValueError(f"{len(frame.data)} bytes, mm hh DD MM have 4")
    minute, hour, day, month = frame.data.hex(" ").split()
    at = f"{month}-{day} {hour}:{minute}"
    return [Annotation("DATA", frame.data, f"冻结时间 {at}(99 为任意)", f"freeze at {at} (99 = any)")]


def _relay(frame: Frame) -> list[Annotation]:
    """Annotate password, operator code, N1, N2 and end of validity, known from frames, not the 2007 text."""
    data = frame.data
    if len(data) != 16:
        raise ValueError(f"{len(data)} bytes, expected 16")
    command = ("跳闸", "trip") if data[8] == _TRIP else ("命令", "command")
    until = isoformat(bcd.moment(data[10:]))
    return [
        *_password(data[:4]),
        _operator(data[4:8]),
        Annotation("N1", data[8:9], f"{command[0]} {data[8]:02X}", f"{command[1]} {data[8]:02X}"),
        *plain_field("N2", data[9:10]),
        Annotation("N3..N8", data[10:], f"有效截止时间 {until}", f"valid until {until}"),
    ]


def _baud(frame: Frame) -> list[Annotation]:
    if len(frame.data) != 1 or frame.data[0] not in BAUD_FEATURE:
        raise ValueError("the feature word is one byte with one bit from 1 to 6")
    baud = BAUD_FEATURE[frame.data[0]]
    return [Annotation("Z", frame.data, f"特征字:{baud} bit/s", f"feature word: {baud} bit/s")]


_DATA: dict[int, Callable[[Frame], list[Annotation]]] = {
    Function.READ: _read,
    FROM_SLAVE | Function.READ: _answer,
    FROM_SLAVE | MORE | Function.READ: _answer,
    Function.READ_MORE: _read_more,
    FROM_SLAVE | Function.READ_MORE: _more_answer,
    FROM_SLAVE | MORE | Function.READ_MORE: _more_answer,
    Function.WRITE: _write,
    Function.CHANGE_PASSWORD: _new_password,
    FROM_SLAVE | Function.CHANGE_PASSWORD: _changed_password,
    Function.BROADCAST_TIME: _time,
    Function.WRITE_ADDRESS: _address_alone,
    FROM_SLAVE | Function.READ_ADDRESS: _address_alone,
    Function.FREEZE: _freeze,
    Function.RELAY: _relay,
    Function.CHANGE_BAUD: _baud,
    FROM_SLAVE | Function.CHANGE_BAUD: _baud,
    **dict.fromkeys(CLEARS, _clear),
}
