"""An uplink frame is explained field by field, in Chinese and English."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from meterseal.clock import isoformat
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.annotation import Annotation, plain, plain_field
from meterseal.protocols.csg1209022.alarm import ARD11_BYTES, AlarmHead, AlarmState, CoverAlarm
from meterseal.protocols.csg1209022.codes import (
    AFN_NAMES,
    DI_NAMES,
    FUNCTION_NAMES,
    WRITE_ERROR_NAMES,
    Afn,
    Name,
    UplinkDi,
)
from meterseal.protocols.csg1209022.frame import NO, YES, Frame, da_points
from meterseal.protocols.csg1209022.relay import Parity, RelayAnswer, RelayRequest, StopBits
from meterseal.protocols.csg1209022.user_data import HEAD_BYTES, SealReport
from meterseal.protocols.dlt645 import seal_shapes, shapes
from meterseal.protocols.dlt645.explain import explain as explain_meter_frame
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.protocols.dlt645.items import find

__all__ = ["explain"]

#: Identifiers of the uplink itself; below them are those of DL/T 645.
OWN_DIS = 0xE0000000
UNKNOWN: Name = ("未知", "unknown")
ALARM_STATES: dict[int, Name] = {
    AlarmState.OCCURRED: ("发生", "occurred"),
    AlarmState.RECOVERED: ("恢复", "recovered"),
    AlarmState.UNKNOWN: UNKNOWN,
}
PARITIES: dict[Parity, Name] = {
    Parity.NONE: ("无校验", "no parity"),
    Parity.EVEN: ("偶校验", "even parity"),
    Parity.ODD: ("奇校验", "odd parity"),
}
STOP_BITS: dict[StopBits, str] = {StopBits.ONE: "1", StopBits.ONE_AND_HALF: "1.5", StopBits.TWO: "2"}
#: Functions that may read several identifiers at once.
SEVERAL = frozenset({Afn.READ, Afn.CURRENT})


def explain(frame: Frame) -> list[Annotation]:
    """Annotate each field, in wire order.

    Guarantee: `test_uplink_explain.py::test_lines_hold_every_byte_in_order`, except that the data of a
    relayed meter frame is shown without its +33H.
    """
    raw = frame.encode()
    length = int.from_bytes(raw[1:3], "little")
    return [
        Annotation("68", raw[:1], "帧起始符", "start"),
        Annotation("L", raw[1:3], f"长度 {length} 字节", f"{length} bytes"),
        Annotation("L", raw[3:5], "长度(重复)", "length, again"),
        Annotation("68", raw[5:6], "帧起始符", "start"),
        _control(frame),
        *_address(frame),
        Annotation("AFN", raw[14:15], *_coded(frame.afn, AFN_NAMES)),
        _seq(frame),
        *_body(frame),
        *_tail(frame),
        Annotation("CS", raw[-2:-1], "校验码正确", "checksum is right"),
        Annotation("16", raw[-1:], "结束符", "end"),
    ]


def _coded(code: int, names: dict[int, Name]) -> Name:
    zh, en = names.get(code, UNKNOWN)
    return f"{code:02X} {zh}", f"{code:02X} {en}"


def _control(frame: Frame) -> Annotation:
    zh, en = FUNCTION_NAMES.get((frame.prm, frame.function), UNKNOWN)
    way = ("上行", "up") if frame.dir_up else ("下行", "down")
    side = ("启动站", "starts the exchange") if frame.prm else ("从动站", "answers")
    return Annotation("C", bytes([frame.control]), f"{way[0]},{side[0]},{zh}", f"{way[1]}, {side[1]}, {en}")


def _address(frame: Frame) -> list[Annotation]:
    raw, address = frame.address.encode(), frame.address
    broadcast = ("(广播)", " (broadcast)") if address.broadcast else ("", "")
    number = f"{address.number:06X}"
    return [
        Annotation("A1", raw[:3], f"行政区划 {address.region}", f"region {address.region}"),
        Annotation("A2", raw[3:6], f"终端地址 {number}{broadcast[0]}", f"terminal {number}{broadcast[1]}"),
        Annotation("A3", raw[6:], f"主站地址 {address.station}", f"master station {address.station}"),
    ]


def _seq(frame: Frame) -> Annotation:
    kinds = {
        (True, True): ("单帧", "single frame"),
        (True, False): ("首帧", "first frame"),
        (False, True): ("末帧", "last frame"),
        (False, False): ("中间帧", "middle frame"),
    }
    zh, en = kinds[frame.fir, frame.fin]
    if frame.con:
        zh, en = f"{zh},要求确认", f"{en}, confirmation wanted"
    if frame.tp is not None:
        zh, en = f"{zh},带时间标签", f"{en}, with time label"
    return Annotation("SEQ", bytes([frame.seq]), f"{zh},序号 {frame.number}", f"{en}, number {frame.number}")


def _da(da: bytes) -> Annotation:
    points = da_points(da)
    if points is None:
        return Annotation("DA", da, "所有测量点", "every measured point")
    if points == (0,):
        return Annotation("DA", da, "终端", "the terminal")
    listed = ", ".join(map(str, points))
    return Annotation("DA", da, f"测量点 {listed or '无'}", f"measured point {listed or 'none'}")


def _di(di: int) -> Annotation:
    zh, en = DI_NAMES.get(di, UNKNOWN) if di >= OWN_DIS else (find(di).zh, find(di).en)
    return Annotation("DI", di.to_bytes(4, "little"), f"{di:08X} {zh}", f"{di:08X} {en}")


def _body(frame: Frame) -> list[Annotation]:
    asks = frame.prm and not frame.dir_up
    if asks and frame.afn in SEVERAL and len(frame.identifiers) > 1:
        return [line for da, di in frame.identifiers for line in (_da(da), _di(di))]
    return [_da(frame.da), _di(frame.di), *_content(frame, asks=asks)]


def _content(frame: Frame, *, asks: bool) -> list[Annotation]:
    content = frame.content
    if asks and frame.afn in (Afn.READ, Afn.CURRENT, Afn.HISTORY, Afn.EVENTS, Afn.TASK):
        return plain_field("PARAMETERS", content)
    try:
        return _reader(frame)(content)
    except ValueError as error:
        shown = plain(content)
        return [Annotation("DATA", content, f"{shown}(不符合该数据标识)", f"{shown} (does not fit: {error})")]


def _reader(frame: Frame) -> Callable[[bytes], list[Annotation]]:
    if frame.afn == Afn.RELAY and frame.di == UplinkDi.RELAY:
        return _relay_answer if frame.dir_up else _relay_request
    if frame.afn == Afn.USER_DEFINED and frame.di == UplinkDi.USER_DEFINED:
        return _seal_report
    if frame.afn == Afn.ALARM:
        return _alarm
    if frame.afn == Afn.WRITE and frame.dir_up:
        return _error
    if frame.di < OWN_DIS:
        return find(frame.di).explain
    return READERS.get(frame.di, lambda raw: plain_field("DATA", raw))


def _confirmation(raw: bytes) -> list[Annotation]:
    if raw not in (YES, NO):
        raise ValueError("expected 00 or 01")
    return [
        Annotation("DATA", raw, "确认" if raw == YES else "否认", "confirmed" if raw == YES else "denied")
    ]


def _version(raw: bytes) -> list[Annotation]:
    version = f"{raw[1]:X}.{raw[0]:02X}" if len(raw) == 2 else hex_bytes(raw)
    return [Annotation("DATA", raw, f"规约版本 {version}", f"protocol version {version}")]


def _moment(raw: bytes) -> list[Annotation]:
    return [Annotation("DATA", raw, isoformat(bcd.moment(raw)), isoformat(bcd.moment(raw)))] if raw else []


def _minutes(raw: bytes) -> list[Annotation]:
    minutes = bcd.number(raw)
    return [Annotation("DATA", raw, f"{minutes} 分钟", f"{minutes} minutes")]


READERS: dict[int, Callable[[bytes], list[Annotation]]] = {
    UplinkDi.CONFIRM: _confirmation,
    UplinkDi.LOGIN: _version,
    UplinkDi.HEARTBEAT: _moment,
    UplinkDi.HEARTBEAT_PERIOD: _minutes,
    UplinkDi.TERMINAL_CLOCK: _moment,
}


def _error(raw: bytes) -> list[Annotation]:
    if len(raw) != 1:
        raise ValueError(f"{len(raw)} bytes, ERR has one")
    return [Annotation("ERR", raw, *_coded(raw[0], WRITE_ERROR_NAMES))]


def _alarm(raw: bytes) -> list[Annotation]:
    head = AlarmHead.decode(raw)
    at = isoformat(head.at)
    lines = [
        Annotation("STATE", raw[:1], *ALARM_STATES[head.state]),
        Annotation("TIME", raw[1:7], f"时间 {at}", f"time {at}"),
    ]
    if len(raw) != ARD11_BYTES:
        return [*lines, *plain_field("DATA", head.rest)]
    alarm = CoverAlarm.decode(raw)
    # The meter's cover record has the same energies, after start and end.
    energies = shapes.cover_record(raw[1:7] + b"\xff" * 6 + raw[10:])[2:]
    return [*lines, Annotation("COUNT", raw[7:10], f"次数 {alarm.count}", f"count {alarm.count}"), *energies]


def _seal_report(raw: bytes) -> list[Annotation]:
    report = SealReport.decode(raw)
    return [
        Annotation("VENDOR", raw[:2], f"厂商代码 {raw[:2].decode()}", f"vendor code {raw[:2].decode()}"),
        Annotation("VERSION", raw[2:3], f"版本 {raw[2]}", f"layout version {raw[2]}"),
        Annotation("METER", raw[3:HEAD_BYTES], f"电能表 {report.meter}", f"meter {report.meter}"),
        *seal_shapes.journal_entry(raw[HEAD_BYTES:]),
    ]


def _relay_request(raw: bytes) -> list[Annotation]:
    request = RelayRequest.decode(raw)
    stop_bits = STOP_BITS[request.stop_bits]
    fields: Iterable[tuple[str, Name]] = (
        ("TYPE", (f"中继类型 {request.type}", f"type {request.type}")),
        ("PORT", (f"端口 {request.port}", f"port {request.port}")),
        ("BAUD", (f"{request.baud} bit/s", f"{request.baud} bit/s")),
        ("PARITY", PARITIES[request.parity]),
        ("DATABITS", (f"数据位 {request.data_bits}", f"{request.data_bits} data bits")),
        ("STOPBITS", (f"{stop_bits} 停止位", f"{stop_bits} stop bits")),
        ("TIMEOUT", (f"超时 {request.timeout} 秒", f"timeout {request.timeout} s")),
        ("LENGTH", (f"{len(request.frame)} 字节", f"{len(request.frame)} bytes")),
    )
    lines = [Annotation(field, raw[at : at + 1], *text) for at, (field, text) in enumerate(fields)]
    return [*lines, *_meter_frame(request.frame)]


def _relay_answer(raw: bytes) -> list[Annotation]:
    answer = RelayAnswer.decode(raw)
    return [
        Annotation("TYPE", raw[:1], f"中继类型 {answer.type}", f"type {answer.type}"),
        Annotation("LENGTH", raw[1:2], f"{raw[1]} 字节", f"{raw[1]} bytes")
        if answer.frame
        else Annotation("LENGTH", raw[1:2], "电能表无应答", "the meter did not answer"),
        *_meter_frame(answer.frame),
    ]


def _meter_frame(raw: bytes) -> list[Annotation]:
    if not raw:
        return []
    preamble = raw[: len(raw) - len(raw.lstrip(b"\xfe"))]
    lines = [Annotation("FE", preamble, "前导字节", "preamble")] if preamble else []
    lines += explain_meter_frame(MeterFrame.decode(raw))
    return [replace(line, field=f"645 {line.field}") for line in lines]


def _tail(frame: Frame) -> list[Annotation]:
    lines = []
    if frame.password is not None:
        lines.append(Annotation("PW", frame.password, "消息认证码", "message authentication"))
    if frame.tp is not None:
        second, minute, hour, day = frame.tp[:4].hex(" ").split()
        sent, delay = f"{hour}:{minute}:{second}", frame.tp[4]
        zh, en = (
            f"{day}日 {sent} 发送,允许延时 {delay} 分钟",
            f"sent on day {day} at {sent}, valid {delay} min",
        )
        lines.append(Annotation("Tp", frame.tp, zh, en))
    return lines
