"""The data identifiers that are used here: name, length, and the meaning of the data.

Standard items as several open implementations agree on them; the manufacturer range 0480 53xx is this
project's own extension, from `sealchip.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meterseal.protocols.annotation import Annotation, plain
from meterseal.protocols.dlt645 import seal_shapes, shapes
from meterseal.protocols.dlt645.cover import COVER_BYTES, ENERGIES
from meterseal.protocols.dlt645.identifiers import RECORDS_KEPT
from meterseal.protocols.dlt645.identifiers import StandardDi as Standard
from meterseal.protocols.dlt645.shapes import Shape
from sealchip.interface import (
    DIAGNOSTICS,
    IDENTITY,
    IDENTITY_REPORT,
    JOURNAL_ENTRY,
    PROVISIONING,
    RECORD,
    VERDICT,
    Di,
)

__all__ = ["ITEMS", "Item", "find"]


@dataclass(frozen=True)
class Item:
    """One data item; `size` in bytes, None where it varies.

    `framed`: each frame of a long answer is complete by itself, not a part of one item.
    """

    di: int
    zh: str
    en: str
    size: int | None
    shape: Shape = shapes.opaque
    framed: bool = False

    def explain(self, content: bytes) -> list[Annotation]:
        """Annotate `content`; bytes that do not fit the item are shown as they are, with the reason."""
        try:
            return self._read(content)
        except ValueError as error:
            shown = plain(content)
            return [
                Annotation("DATA", content, f"{shown}(不符合该数据项)", f"{shown} (does not fit: {error})")
            ]

    def _read(self, content: bytes) -> list[Annotation]:
        if self.size not in (None, len(content)):
            raise ValueError(f"{len(content)} bytes, expected {self.size}")
        return self.shape(content)


def _numbered(first: int, last: int, zh: str, en: str, size: int, shape: Shape) -> list[Item]:
    """Return items with consecutive DIs: the n-th newest record, counted from 1 as the standard does."""
    return [
        Item(di, zh.format(di - first + 1), en.format(di - first + 1), size, shape)
        for di in range(first, last + 1)
    ]


def _records(count: int, zh: str, en: str, size: int, shape: Shape) -> list[Item]:
    """Return the items of the records that follow the identifier `count` of their number."""
    return _numbered(count + 1, count + RECORDS_KEPT, zh, en, size, shape)


_ENERGY = shapes.number(2, "kWh")
_CURRENT = shapes.number(3, "A", signed=True)
_REACTIVE = shapes.number(2, "kvarh")
_ENERGY_NAMES = (
    ("正向有功总电能", "forward active energy, total"),
    ("反向有功总电能", "reverse active energy, total"),
    ("第一象限无功总电能", "reactive energy, quadrant 1, total"),
    ("第二象限无功总电能", "reactive energy, quadrant 2, total"),
    ("第三象限无功总电能", "reactive energy, quadrant 3, total"),
    ("第四象限无功总电能", "reactive energy, quadrant 4, total"),
)
_PHASES = ((0x100, "A相", "phase A"), (0x200, "B相", "phase B"), (0x300, "C相", "phase C"))


def _measured() -> list[Item]:
    """Return energies, voltages, currents and power."""
    items = [
        Item(
            0x00000000,
            "组合有功总电能",
            "combined active energy, total",
            4,
            shapes.number(2, "kWh", signed=True),
        ),
        Item(
            0x0001FF00,
            "正向有功电能数据块",
            "forward active energy, block",
            None,
            shapes.number(2, "kWh", width=4),
        ),
        Item(0x0201FF00, "电压数据块", "voltages, block", 6, shapes.number(1, "V", width=2)),
        Item(0x0202FF00, "电流数据块", "currents, block", 9, shapes.number(3, "A", width=3, signed=True)),
        Item(0x02030000, "总有功功率", "active power, total", 3, shapes.number(4, "kW", signed=True)),
    ]
    for index, (zh, en) in enumerate(_ENERGY_NAMES):
        items.append(Item(ENERGIES[index], zh, en, 4, _ENERGY if index < 2 else _REACTIVE))
    for offset, zh, en in _PHASES:
        items.append(Item(0x02010000 + offset, f"{zh}电压", f"voltage, {en}", 2, shapes.number(1, "V")))
        items.append(Item(0x02020000 + offset, f"{zh}电流", f"current, {en}", 3, _CURRENT))
    return items


def _events() -> list[Item]:
    """Return counts and records of power cuts and openings."""
    count = shapes.number(0)
    cover = shapes.cover_record
    return [
        Item(Standard.POWER_CUT_COUNT, "掉电总次数", "power cuts, count", 3, count),
        *_records(Standard.POWER_CUT_COUNT, "上{}次掉电记录", "power cut, {} back", 12, shapes.period),
        Item(Standard.METER_COVER_COUNT, "开表盖总次数", "meter cover openings, count", 3, count),
        *_records(
            Standard.METER_COVER_COUNT,
            "上{}次开表盖记录",
            "meter cover opening, {} back",
            COVER_BYTES,
            cover,
        ),
        Item(Standard.TERMINAL_COVER_COUNT, "开端钮盖总次数", "terminal cover openings, count", 3, count),
        *_records(
            Standard.TERMINAL_COVER_COUNT,
            "上{}次开端钮盖记录",
            "terminal cover opening, {} back",
            COVER_BYTES,
            cover,
        ),
    ]


def _parameters() -> list[Item]:
    """Return clock, addresses, status words and active report."""
    return [
        Item(Standard.DATE, "日期及星期", "date and weekday", 4, shapes.date),
        Item(Standard.TIME, "时间", "time", 3, shapes.time_of_day),
        Item(Standard.CLOCK, "日期、星期及时间", "date, weekday and time", 7, shapes.clock),
        Item(Di.ADDRESS, "通信地址", "communication address", 6, shapes.address),
        Item(Standard.METER_NUMBER, "表号", "meter number", 6, shapes.address),
        Item(Di.ASSET_NUMBER, "资产管理编码", "asset number", 32, shapes.text),
        *_numbered(0x04000501, 0x04000507, "电表运行状态字{}", "status word {}", 2, shapes.bits),
        # 14 bytes by the table, 18 from one real meter.
        Item(0x040005FF, "电表运行状态字数据块", "status words, block", None, shapes.bits),
        Item(Standard.ACTIVE_REPORT_MODE, "主动上报模式字", "active-report mode word", 8, shapes.bits),
        Item(
            Standard.ACTIVE_REPORT,
            "主动上报状态字",
            "active-report status word",
            None,
            shapes.active_report,
        ),
        Item(
            Standard.ACTIVE_REPORT_RESET,
            "复位主动上报状态字",
            "reset of the active-report status word",
            12,
            shapes.bits,
        ),
    ]


def _seal() -> list[Item]:
    """Return the project's own items."""
    record = seal_shapes.seal_record
    entry = seal_shapes.journal_entry
    return [
        Item(Di.RECORD_NEWEST, "最新封印记录", "newest seal record", RECORD.size, record),
        Item(Di.DIAGNOSTICS, "封印诊断数据", "seal diagnostics", DIAGNOSTICS.size, seal_shapes.diagnostics),
        Item(Di.CHALLENGE, "封印质询", "seal challenge", 4),
        *_numbered(
            Di.RECORD_HISTORY,
            Di.RECORD_HISTORY + 15,
            "第{}新封印记录",
            "seal record, {} newest",
            RECORD.size,
            record,
        ),
        Item(Di.EVENT_LOG, "封印事件日志", "seal event log", RECORD.size, record, framed=True),
        Item(Di.JOURNAL_BOUNDS, "封印日志范围", "seal journal, bounds", None, seal_shapes.journal_bounds),
        Item(Di.JOURNAL_ENTRY, "封印日志记录", "seal journal, entry", JOURNAL_ENTRY.size, entry),
        Item(Di.REPORT, "封印主动上报", "seal report", RECORD.size, record),
        Item(
            Di.REPORT_IDENTITY,
            "封印身份上报",
            "seal identity report",
            IDENTITY_REPORT.size,
            seal_shapes.identity_report,
        ),
        Item(Di.VERDICT, "封印记录判定", "verdict on a seal record", VERDICT.size, seal_shapes.verdict),
        *_provisioning(),
        Item(Di.SEAL, "施封命令", "seal command", 0),
    ]


def _provisioning() -> list[Item]:
    """Return one item for each field of the identity that can be written."""
    return [
        Item(
            Di.PROVISIONING + offset,
            f"封印配置:{seal_shapes.IDENTITY_NAMES[field][0]}",
            f"seal provisioning: {seal_shapes.IDENTITY_NAMES[field][1]}",
            IDENTITY[field].width,
            seal_shapes.provisioned(field),
        )
        for offset, field in PROVISIONING.items()
    ]


#: Every item by its DI.
ITEMS = {item.di: item for item in (*_measured(), *_events(), *_parameters(), *_seal())}


def find(di: int) -> Item:
    """Return the item of `di`; an unknown one shows its data as it is."""
    return ITEMS.get(di) or replace(_UNKNOWN, di=di)


_UNKNOWN = Item(0, "未知数据标识", "unknown data identifier", None)
