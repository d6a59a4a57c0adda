"""Reports whose record is not proved to be the seal's: kept whole, and no events.

They take no place among the events, so that the seal's own record of that counter can still come. When a
key is corrected, a report that is proved then is taken at the next start as if it came now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    select,
    update,
)

from meterseal.store.database import Moment, insert
from meterseal.systems.metering.tables import metadata

__all__ = ["Withheld", "keep", "taken", "waiting"]

_withheld = Table(
    "withheld",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seal", String(12), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("point", Integer),
    Column("stored_at", Moment, nullable=False),
    Column("taken_at", Moment),
    UniqueConstraint("seal", "counter", "record"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Withheld:
    """One report; `report` is the content of its AFN 15, `point` where it named one."""

    id: int
    seal: str
    counter: int
    record: bytes
    report: bytes
    terminal: str
    point: int | None
    stored_at: datetime


def keep(
    conn: Connection,
    *,
    seal: str,
    counter: int,
    record: bytes,
    report: bytes,
    terminal: str,
    point: int | None,
    at: datetime,
) -> None:
    """Keep a report, once for each record."""
    row = insert(conn, _withheld).values(
        seal=seal,
        counter=counter,
        record=record,
        report=report,
        terminal=terminal,
        point=point,
        stored_at=at,
    )
    conn.execute(row.on_conflict_do_nothing())


def waiting(conn: Connection) -> list[Withheld]:
    """Reports that are still no events, oldest first."""
    columns = [column for column in _withheld.c if column.name != "taken_at"]
    rows = conn.execute(select(*columns).where(_withheld.c.taken_at.is_(None)).order_by(_withheld.c.id))
    return [Withheld(**row._mapping) for row in rows]


def taken(conn: Connection, id: int, at: datetime) -> None:
    """The report is proved now, and its record an event."""
    conn.execute(update(_withheld).where(_withheld.c.id == id).values(taken_at=at))
