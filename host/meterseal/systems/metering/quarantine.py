"""Quarantined reports are stored verbatim and not applied as events, because their record is not proved.

They take no number among the events, so that the seal's own record of that counter can still come. When a
key is corrected, a report that is proved then is applied at the next start as if it came now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, UniqueConstraint, select, update

from meterseal.domain.event import SealEvent
from meterseal.store import events
from meterseal.store.database import UtcMillis, insert
from meterseal.systems.metering.tables import metadata

__all__ = ["Quarantined", "keep", "release", "waiting"]

_quarantine = Table(
    "quarantine",
    metadata,
    *events.record_columns(),
    Column("report", LargeBinary, nullable=False),
    Column("point", Integer),
    Column("released_at", UtcMillis),
    UniqueConstraint("seal", "counter", "record"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A quarantined report has the event that it claims, the content of its AFN 15 and its point, if any."""

    id: int
    event: SealEvent
    report: bytes
    point: int | None


def keep(conn: Connection, event: SealEvent, report: bytes, point: int | None, at: datetime) -> None:
    """Quarantine a report, once for each record."""
    row = insert(conn, _quarantine).values(**events.record_row(event, at), report=report, point=point)
    conn.execute(row.on_conflict_do_nothing())


def waiting(conn: Connection) -> list[Quarantined]:
    """Return the reports that are still quarantined, oldest first."""
    held = select(_quarantine).where(_quarantine.c.released_at.is_(None)).order_by(_quarantine.c.id)
    return [Quarantined(row.id, events.from_row(row), row.report, row.point) for row in conn.execute(held)]


def release(conn: Connection, id: int, at: datetime) -> None:
    """Mark a report as released, because its record is proved now and applied as an event."""
    conn.execute(update(_quarantine).where(_quarantine.c.id == id).values(released_at=at))
