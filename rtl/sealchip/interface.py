"""What the chip and the host must agree on, defined once: identifiers, codes and byte layouts.

Gateware, host and documentation are all made from these tables (`docs/protocol.md` is checked
against them by `verif/project/test_docs.py`). The module imports no HDL: the host uses it freely.
What the chip has no part in stands with the host's protocols, such as the standard identifiers of
a meter in `meterseal.protocols.dlt645.identifiers`.

The data identifiers (DI) lie in the manufacturer range of DL/T 645-2007 and are this project's own
extension; no public identifier for a seal exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

__all__ = [
    "BAUD_FEATURE",
    "DEFAULT_BAUD",
    "DIAGNOSTICS",
    "DIVIDER_OHM",
    "ENTRY",
    "FLASH_IDENTITY_SLOTS",
    "FLASH_LOG_BASE",
    "FLASH_LOG_SECTORS",
    "FLASH_SECTOR_BYTES",
    "FLASH_SIZE",
    "FLASH_SLOT_BYTES",
    "FROM_SLAVE",
    "HEAD_OHM",
    "IDENTITY",
    "IDENTITY_REPORT",
    "JOURNAL_ENTRY",
    "LOOP_NOT_MEASURED",
    "LOOP_RAIL_MV",
    "MORE",
    "PROVISIONING",
    "RECORD",
    "RECORD_VERSION",
    "REFUSED",
    "SEALED_MV",
    "VERDICT",
    "Algorithm",
    "Di",
    "Err",
    "Field",
    "Flags",
    "Function",
    "Kind",
    "Layout",
    "StateClass",
    "VerdictCode",
]


class Di(IntEnum):
    """Data identifiers that the project defines or that the chip serves."""

    #: Read: the newest seal record.
    RECORD_NEWEST = 0x04805301
    #: Read: loop voltage now / minimum / maximum, class, excursions, uptime, clock.
    DIAGNOSTICS = 0x04805302
    #: Write: challenge; the next record echoes it and is signed over it.
    CHALLENGE = 0x04805303
    #: Read: the n-th newest record, n = low nibble (0 = newest).
    RECORD_HISTORY = 0x04805310
    #: Read, with follow-up frames (12H): the last 64 records, newest first, one a frame.
    EVENT_LOG = 0x04805304
    #: Read, meter only: first and last journal number, 4 + 4 bytes.
    JOURNAL_BOUNDS = 0x04805340
    #: Read, meter only: one journal entry; the request carries its number (4 bytes) after the DI.
    JOURNAL_ENTRY = 0x04805341
    #: Write, chip to meter: the report of one seal record.
    REPORT = 0x04805380
    #: Write, chip to meter: the seal's address and asset number, once after each power-up.
    REPORT_IDENTITY = 0x04805381
    #: Write, master station to meter through the terminal: what it found about a record.
    VERDICT = 0x04805390
    #: Write with password: provisioning, up to 048053FF; the items are those of `PROVISIONING`.
    PROVISIONING = 0x048053F0
    #: Write with password, no data: take the loop as it is now for sealed.
    SEAL = 0x048053FE
    #: Standard: communication address.
    ADDRESS = 0x04000401
    #: Standard: asset management code, ASCII.
    ASSET_NUMBER = 0x04000403


class Function(IntEnum):
    """Functions of DL/T 645-2007, control bits D4 to D0.

    The last two and the first came after the 2007 text.
    """

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


class Err(IntFlag):
    """Bits of the ERR byte of a refusal, DL/T 645-2007."""

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


class Kind(IntEnum):
    """The kind of an event, which is a fact and not yet an alarm."""

    #: The chip was powered up; the state class is that in which it found the loop.
    BOOT = 1
    #: The loop left *sealed*.
    OPENED = 2
    #: The loop became *sealed*.
    CLOSED = 3
    #: The loop changes too often for an event each time; the next event reports how it settled.
    FLAPPING = 4
    #: Sealing was requested while the loop was not closed.
    SEALING_REFUSED = 5
    #: Three wrong passwords: writes with password are refused for a time.
    LOCKED_OUT = 6
    #: A write with password changed the identity.
    PROVISIONED = 7


class StateClass(IntEnum):
    """The class of the loop. Only *sealed* needs positive proof; at power-up the loop is *unknown*."""

    UNKNOWN = 0
    OPEN = 1
    LOW = 2
    SEALED = 3
    HIGH = 4
    MISMATCH = 5


class Flags(IntFlag):
    """The circumstances of one record: bits 0 to 7 of its flags; bits 8 to 15 count excursions."""

    #: The chip had no power for an unknown time before this event.
    UNOBSERVED = 1 << 0
    #: The event is older than this power-up: `age` counts only from the power-up on.
    AGE_UNKNOWN = 1 << 1
    #: The record echoes a challenge.
    CHALLENGED = 1 << 2
    #: Excursions, too short to be events, were counted since the last record.
    EXCURSIONS = 1 << 3


class Algorithm(IntEnum):
    """The algorithm by which the MAC of a record is made."""

    UNSIGNED = 0
    SM4_CMAC = 1


class VerdictCode(IntEnum):
    """The verdict of a master station about a record."""

    #: Its MAC is not the seal's.
    AUTH_FAIL = 1
    #: It is the seal's, but has been replayed.
    REPLAY = 2


@dataclass(frozen=True)
class Field:
    """One field of a layout: its name, its width in bytes, and its meaning. Numbers are little endian."""

    name: str
    width: int
    doc: str


class Layout:
    """A row of fields in wire order, with their offsets."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self.offsets: dict[str, int] = {}
        self.size = 0
        for field in fields:
            self.offsets[field.name] = self.size
            self.size += field.width

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    def slice(self, name: str) -> slice:
        """Return the position of field `name` in the encoded bytes."""
        start = self.offsets[name]
        return slice(start, start + self[name].width)


RECORD_VERSION = 1
#: `loop_mv` of a front end that cannot measure.
LOOP_NOT_MEASURED = 0xFFFF

#: The seal record. It fills a 14H write exactly (50 bytes less DI, password and operator code).
RECORD = Layout(
    Field("version", 1, "layout version, 1"),
    Field("algorithm", 1, "0 = unsigned, 1 = SM4-CMAC"),
    Field("seal", 6, "seal address, BCD, low byte first"),
    Field("boot", 4, "boot count in which the event happened"),
    Field("counter", 4, "event counter, one more for every event, kept through power loss"),
    Field(
        "kind", 1, "1 boot, 2 opened, 3 closed, 4 flapping, 5 sealing refused, 6 locked out, 7 provisioned"
    ),
    Field("state", 1, "state class: 0 unknown, 1 open, 2 low, 3 sealed, 4 high, 5 mismatch"),
    Field("loop_mv", 2, "loop voltage in mV, FFFF = not measured"),
    Field(
        "flags",
        2,
        "bit 0 unobserved, 1 age unknown, 2 challenged, 3 excursions; "
        "8-15 excursions since the last record, saturating at FF",
    ),
    Field("age", 4, "seconds from the event to this copy of the record"),
    Field("challenge", 4, "challenge echo, 0 without one"),
    Field("mac", 8, "message authentication code, 0 when unsigned"),
)

#: The report of the chip's identity after a power-up.
IDENTITY_REPORT = Layout(
    Field("seal", 6, "seal address, BCD, low byte first"),
    Field("asset", 32, "asset number, ASCII, last character first, padded with 00 at the end"),
)

#: The answer about the state of the chip; FF.. = not measured, not set.
DIAGNOSTICS = Layout(
    Field("loop_mv", 2, "loop voltage now in mV"),
    Field("loop_min_mv", 2, "least voltage since power-up of a loop that has settled, in mV"),
    Field("loop_max_mv", 2, "greatest voltage since power-up of a loop that has settled, in mV"),
    Field("state", 1, "state class"),
    Field("excursions", 2, "excursions too short for an event since power-up, saturating"),
    Field("uptime", 4, "seconds since power-up"),
    Field("clock", 6, "the chip's clock, ss mm hh DD MM YY"),
)

#: The entry that a meter keeps of one report and serves to the terminal.
JOURNAL_ENTRY = Layout(
    Field("number", 4, "journal number, one more for every entry"),
    Field("occurred", 6, "meter's time of the event (report time less age), ss mm hh DD MM YY"),
    Field("received", 6, "meter's time of the report, ss mm hh DD MM YY"),
    Field("record", RECORD.size, "the seal record as received"),
)

#: The verdict of the master station about one record, sent to the meter that reported it.
VERDICT = Layout(
    Field("seal", 6, "seal address in the record, BCD, low byte first"),
    Field("counter", 4, "event counter in the record"),
    Field("code", 1, "1 = MAC not the seal's, 2 = replayed"),
    Field("digest", 8, "which record: first bytes of SHA-256 over its 38 bytes"),
)

#: The identity record in flash, in two slots; the chip takes the newer one whose CRC is right.
IDENTITY = Layout(
    Field("version", 1, "layout version, 1"),
    Field("baud", 1, "baud feature word of DL/T 645: 02 = 600 … 08 = 2400 … 40 = 19200"),
    Field("meter", 6, "meter address, BCD, low byte first"),
    # These two stay together: they are the identity report.
    Field("seal", 6, "seal address, BCD, low byte first"),
    Field("asset", 32, "asset number, ASCII, last character first, padded with 00 at the end"),
    Field("key", 16, "SM4 key"),
    Field("phone", 16, "customer's phone, ASCII, padded with 00"),
    Field("sequence", 2, "provisioning sequence number"),
    Field("password", 3, "password P0 P1 P2 of writes, BCD, low byte first"),
    Field("reserved", 43, "00"),
    Field("crc", 2, "CRC-16/IBM-3740 over all before it, high byte first"),
)

#: One slot of the event log in flash. Age and signature are made when a record is sent.
ENTRY = Layout(
    Field("boot", 4, "boot count"),
    Field("counter", 4, "event counter"),
    Field("kind", 1, "kind of event"),
    Field("state", 1, "state class"),
    Field("loop_mv", 2, "loop voltage in mV"),
    Field("flags", 2, "flags known when it happened"),
    Field("baseline_mv", 2, "loop voltage learned at sealing in mV, in force since this event; FFFF = none"),
    Field("stamp", 4, "uptime in seconds when it happened"),
    # An erase that is cut short leaves random bits, and one in 65536 of such slots would pass the CRC alone.
    Field("zeros", 4, "00: what an interrupted erase does not leave"),
    Field("crc", 2, "CRC-16/IBM-3740 over all before it, high byte first"),
    Field("acked", 1, "FF until the meter has acknowledged the report, then 00"),
)

#: The items that may be written with the password: offset from `Di.PROVISIONING` to the field of `IDENTITY`.
PROVISIONING = {0: "seal", 1: "meter", 2: "asset", 3: "key", 4: "phone", 5: "baud", 6: "password"}

FLASH_SIZE = 0x4000
FLASH_SECTOR_BYTES = 0x1000
FLASH_IDENTITY_SLOTS = (0x0000, 0x1000)
FLASH_LOG_BASE = 0x2000
#: Two sectors: while one fills, the other keeps the last 64 events.
FLASH_LOG_SECTORS = 2
FLASH_SLOT_BYTES = 64

#: Control bit D7: the frame comes from a slave.
FROM_SLAVE = 0x80
#: Control bit D6: the slave refuses; the data is one ERR byte.
REFUSED = 0x40
#: Control bit D5: follow-up frames can be fetched with 12H.
MORE = 0x20

#: Bits per second of a seal whose identity names no other rate, and of every line until another one is set.
DEFAULT_BAUD = 2400
#: Baud feature word of DL/T 645-2007 (also in the identity) to bits per second.
BAUD_FEATURE = {0x02: 600, 0x04: 1200, 0x08: 2400, 0x10: 4800, 0x20: 9600, 0x40: 19200}

#: The loop's circuit: the rail that `loop_drive` switches, the end-of-line resistor inside the seal head, and
#: the divider from the second plate, above and below the tap that the comparator sees.
LOOP_RAIL_MV = 5000
HEAD_OHM = 3000
DIVIDER_OHM = (14_800, 10_000)
#: Voltage of the closed loop with a good contact, in mV, from these resistors.
SEALED_MV = LOOP_RAIL_MV * sum(DIVIDER_OHM) // (HEAD_OHM + sum(DIVIDER_OHM))
