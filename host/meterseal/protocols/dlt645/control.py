"""Control codes, error bits and limits of DL/T 645-2007."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "CLEARS",
    "FROM_SLAVE",
    "MORE",
    "READ_MAX",
    "REFUSED",
    "SEQ_MAX",
    "TB_MAX",
    "TD_MAX",
    "TD_MIN",
    "WITH_DI",
    "WRITE_MAX",
    "Err",
    "Function",
]

#: Control bit D7: the frame comes from a slave.
FROM_SLAVE = 0x80
#: Control bit D6: the slave refuses; the data is one ERR byte.
REFUSED = 0x40
#: Control bit D5: follow-up frames can be fetched with 12H.
MORE = 0x20

#: Most data bytes (L) of a read answer, DI included.
READ_MAX = 200
#: Most data bytes (L) of a write, DI, password and operator code included.
WRITE_MAX = 50
#: Last sequence number of a follow-up frame.
SEQ_MAX = 255
#: A slave answers no earlier than this, seconds after the last byte of the request,
TD_MIN = 0.020
#: and no later than this.
TD_MAX = 0.500
#: A longer gap between two bytes ends the frame, seconds.
TB_MAX = 0.500


class Function(IntEnum):
    """Control bits D4 to D0. The last two and the first came after the 2007 text."""

    #: 安全认证
    SECURITY = 0x03
    #: 广播校时
    BROADCAST_TIME = 0x08
    #: 读数据
    READ = 0x11
    #: 读后续数据
    READ_MORE = 0x12
    #: 读通信地址
    READ_ADDRESS = 0x13
    #: 写数据
    WRITE = 0x14
    #: 写通信地址
    WRITE_ADDRESS = 0x15
    #: 冻结命令
    FREEZE = 0x16
    #: 更改通信速率
    CHANGE_BAUD = 0x17
    #: 修改密码
    CHANGE_PASSWORD = 0x18
    #: 最大需量清零
    CLEAR_DEMAND = 0x19
    #: 电表清零
    CLEAR_METER = 0x1A
    #: 事件清零
    CLEAR_EVENTS = 0x1B
    #: 跳合闸、报警、保电
    RELAY = 0x1C
    #: 多功能端子输出控制
    MULTIFUNCTION = 0x1D


#: Functions that clear something: password, operator code, and for events a DI.
CLEARS = frozenset({Function.CLEAR_DEMAND, Function.CLEAR_METER, Function.CLEAR_EVENTS})

#: Control codes whose data begins with a DI.
WITH_DI = frozenset({0x03, 0x11, 0x12, 0x14, 0x18, 0x83, 0x91, 0x92, 0xB1, 0xB2})


class Err(IntFlag):
    """Bits of the ERR byte of a refusal."""

    #: 其他错误
    OTHER = 1 << 0
    #: 无请求数据
    NO_DATA = 1 << 1
    #: 密码错或未授权
    UNAUTHORISED = 1 << 2
    #: 通信速率不能更改
    RATE = 1 << 3
    #: 年时区数超
    YEAR_ZONES = 1 << 4
    #: 日时段数超
    DAY_SEGMENTS = 1 << 5
    #: 费率数超
    TARIFFS = 1 << 6
