"""Codes of the uplink with their names in Chinese and English."""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "AFN_NAMES",
    "DI_NAMES",
    "FUNCTION_NAMES",
    "WRITE_ERROR_NAMES",
    "Afn",
    "Ask",
    "Name",
    "Reply",
    "UplinkDi",
    "WriteError",
]

#: Chinese and English.
Name = tuple[str, str]


class Afn(IntEnum):
    """The application function codes."""

    CONFIRM = 0x00
    LINK = 0x02
    WRITE = 0x04
    SECURITY = 0x06
    READ = 0x0A
    CURRENT = 0x0C
    HISTORY = 0x0D
    EVENTS = 0x0E
    FILE = 0x0F
    RELAY = 0x10
    TASK = 0x12
    ALARM = 0x13
    USER_DEFINED = 0x15
    TERMINAL_ASKS = 0x20


AFN_NAMES: dict[int, Name] = {
    Afn.CONFIRM: ("确认/否认", "confirm or deny"),
    Afn.LINK: ("链路接口检测", "link"),
    Afn.WRITE: ("写参数", "write parameters"),
    Afn.SECURITY: ("安全认证", "security"),
    Afn.READ: ("读参数", "read parameters"),
    Afn.CURRENT: ("读当前数据", "read current data"),
    Afn.HISTORY: ("读历史数据", "read history"),
    Afn.EVENTS: ("读事件记录", "read events"),
    Afn.FILE: ("文件传输", "file transfer"),
    Afn.RELAY: ("中继转发", "relay"),
    Afn.TASK: ("读任务数据", "read task data"),
    Afn.ALARM: ("告警数据", "alarm"),
    Afn.USER_DEFINED: ("用户自定义数据", "user-defined data"),
    Afn.TERMINAL_ASKS: ("终端请求主站", "terminal asks the master station"),
}


class Ask(IntEnum):
    """The function codes of the side that starts an exchange (PRM = 1)."""

    RESET = 1
    USER_DATA = 4
    LINK_TEST = 9
    CLASS_1 = 10
    CLASS_2 = 11


class Reply(IntEnum):
    """The function codes of the side that answers (PRM = 0)."""

    ACK = 0
    USER_DATA = 8
    DENY = 9
    LINK_STATUS = 11


#: By (PRM, function code).
FUNCTION_NAMES: dict[tuple[bool, int], Name] = {
    (True, Ask.RESET): ("复位命令", "reset"),
    (True, Ask.USER_DATA): ("发送用户数据", "send user data"),
    (True, Ask.LINK_TEST): ("链路测试", "link test"),
    (True, Ask.CLASS_1): ("请求1级数据", "request class 1 data"),
    (True, Ask.CLASS_2): ("请求2级数据", "request class 2 data"),
    (False, Reply.ACK): ("确认", "acknowledge"),
    (False, Reply.USER_DATA): ("响应用户数据", "user data"),
    (False, Reply.DENY): ("否认", "deny"),
    (False, Reply.LINK_STATUS): ("链路状态", "link status"),
}


class WriteError(IntEnum):
    """The values of ERR in the answer to a write."""

    OK = 0
    RELAY_SILENT = 1
    ILLEGAL_CONTENT = 2
    NOT_PERMITTED = 3
    NO_SUCH_ITEM = 4
    TIME_INVALID = 5
    NO_TARGET = 6
    VERIFICATION_FAILED = 7


WRITE_ERROR_NAMES: dict[int, Name] = {
    WriteError.OK: ("正确", "ok"),
    WriteError.RELAY_SILENT: ("中继命令没有返回", "relay got no answer"),
    WriteError.ILLEGAL_CONTENT: ("设置内容非法", "illegal content"),
    WriteError.NOT_PERMITTED: ("密码权限不足", "not permitted"),
    WriteError.NO_SUCH_ITEM: ("无此数据项", "no such item"),
    WriteError.TIME_INVALID: ("命令时间失效", "command out of time"),
    WriteError.NO_TARGET: ("目标地址不存在", "no such target"),
    WriteError.VERIFICATION_FAILED: ("校验失败", "verification failed"),
}


class UplinkDi(IntEnum):
    """The data identifiers of the uplink that the project uses or explains."""

    CONFIRM = 0xE0000000
    TERMINAL_CLOCK = 0xE0000130
    HEARTBEAT_PERIOD = 0xE0000107
    ALARM_REPORT_MASK = 0xE0000150
    ALARM_JUDGE_MASK = 0xE0000151
    EVENT_MASK = 0xE0000152
    TERMINAL_ASSET_NUMBER = 0xE0000B03
    LOGIN = 0xE0001000
    HEARTBEAT = 0xE0001001
    LOGOUT = 0xE0001002
    METER_TRIP = 0xE0001100
    METER_CLOSE = 0xE0001101
    USER_DEFINED = 0xE0002000
    STATUS_WORD = 0xE1800001
    SIGNAL_STRENGTH = 0xE1800015
    UNSENT_ALARMS = 0xE20010FF
    CABINET_DOOR = 0xE2000001
    RELAY_STATE_CHANGED = 0xE200003B
    TERMINAL_COVER_OPEN = 0xE200004D
    METER_COVER_OPEN = 0xE200004E
    FILE_START = 0xE3010001
    FILE_DATA = 0xE3010002
    RELAY = 0xE3020001


DI_NAMES: dict[int, Name] = {
    UplinkDi.CONFIRM: ("全部确认/否认", "confirm or deny everything"),
    UplinkDi.TERMINAL_CLOCK: ("终端时间", "terminal clock"),
    UplinkDi.HEARTBEAT_PERIOD: ("心跳周期", "heartbeat period"),
    UplinkDi.ALARM_REPORT_MASK: ("告警上报屏蔽字", "alarm report mask"),
    UplinkDi.ALARM_JUDGE_MASK: ("告警判断屏蔽字", "alarm judge mask"),
    UplinkDi.EVENT_MASK: ("事件屏蔽字", "event mask"),
    UplinkDi.TERMINAL_ASSET_NUMBER: ("终端资产编号", "terminal asset number"),
    UplinkDi.LOGIN: ("登录", "login"),
    UplinkDi.HEARTBEAT: ("心跳", "heartbeat"),
    UplinkDi.LOGOUT: ("退出登录", "logout"),
    UplinkDi.METER_TRIP: ("电能表拉闸", "meter relay trip"),
    UplinkDi.METER_CLOSE: ("电能表合闸", "meter relay close"),
    UplinkDi.USER_DEFINED: ("用户自定义", "user-defined"),
    UplinkDi.STATUS_WORD: ("终端状态字", "terminal status word"),
    UplinkDi.SIGNAL_STRENGTH: ("信号强度", "signal strength"),
    UplinkDi.UNSENT_ALARMS: ("未上报告警", "alarms not sent yet"),
    UplinkDi.CABINET_DOOR: ("计量柜门开启告警", "metering cabinet door opened"),
    UplinkDi.RELAY_STATE_CHANGED: ("继电器变位告警", "relay state changed"),
    UplinkDi.TERMINAL_COVER_OPEN: ("表端钮盒开启告警", "terminal cover opened"),
    UplinkDi.METER_COVER_OPEN: ("表盖开启告警", "meter cover opened"),
    UplinkDi.FILE_START: ("文件传输启动", "file transfer start"),
    UplinkDi.FILE_DATA: ("文件传输数据", "file transfer data"),
    UplinkDi.RELAY: ("中继转发", "relay of a meter frame"),
}
