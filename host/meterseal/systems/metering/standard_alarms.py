"""Standard alarms (AFN 13) are stored as terminals report them, one row for each new content.

Two openings of one meter in the same second differ in their count, so the content is part of the key.

A cover alarm is *settled* once a seal record explains it or once it has been alarmed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    select,
    update,
)

from meterseal.store.database import UtcMillis, insert
from meterseal.systems.metering.tables import metadata

__all__ = ["StandardAlarm", "append", "explain", "get", "near", "settle", "waiting"]

_alarms = Table(
    "standard_alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("terminal", String(16), nullable=False),
    Column("da", String(4), nullable=False),
    Column("point", Integer),
    Column("di", BigInteger, nullable=False),
    Column("occurred_at", UtcMillis, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("received_at", UtcMillis, nullable=False),
    Column("settled_at", UtcMillis),
    Column("seal", String(12)),
    Column("counter", BigInteger),
    UniqueConstraint("terminal", "da", "di", "occurred_at", "content"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class StandardAlarm:
    """An alarm concerns a measured point; `seal` and `counter` name the event that explains it, once known.

    `point` is None where `da` names several points, `occurred_at` is the meter's time of the alarm.
    """

    id: int
    terminal: str
    da: str
    point: int | None
    di: int
    occurred_at: datetime
    state: int
    content: bytes
    received_at: datetime
    settled_at: datetime | None
    seal: str | None
    counter: int | None


def append(
    conn: Connection,
    *,
    terminal: str,
    da: bytes,
    point: int | None,
    di: int,
    occurred_at: datetime,
    state: int,
    content: bytes,
    received_at: datetime,
    settled: bool,
) -> StandardAlarm | None:
    """Store an alarm once and return it; None when it was stored before."""
    row = insert(conn, _alarms).values(
        terminal=terminal,
        da=da.hex(),
        point=point,
        di=di,
        occurred_at=occurred_at,
        state=state,
        content=content,
        received_at=received_at,
        settled_at=received_at if settled else None,
    )
    new = conn.execute(row.on_conflict_do_nothing().returning(*_alarms.c)).one_or_none()
    return None if new is None else StandardAlarm(**new._mapping)


def near(
    conn: Connection, terminal: str, point: int, at: datetime, tolerance: timedelta
) -> list[StandardAlarm]:
    """Return the alarms of a measured point within `tolerance` of `at` that no seal record explains yet."""
    about = _alarms.c.occurred_at.between(at - tolerance, at + tolerance)
    return _many(conn, _here(terminal, point) & about & _alarms.c.seal.is_(None))


def get(conn: Connection, id: int) -> StandardAlarm:
    """Return the alarm with this id."""
    return _many(conn, _alarms.c.id == id)[0]


def waiting(conn: Connection, received_before: datetime) -> list[StandardAlarm]:
    """Return the alarms that are not settled and came up to this time."""
    return _many(conn, _alarms.c.settled_at.is_(None) & (_alarms.c.received_at <= received_before))


def settle(conn: Connection, id: int, at: datetime) -> None:
    """Settle an alarm that no seal record explains and that was raised by itself."""
    conn.execute(update(_alarms).where(_alarms.c.id == id).values(settled_at=at))


def explain(conn: Connection, id: int, seal: str, counter: int, at: datetime) -> None:
    """Settle an alarm by the seal's event that explains it."""
    found = {"settled_at": at, "seal": seal, "counter": counter}
    conn.execute(update(_alarms).where(_alarms.c.id == id).values(found))


def _here(terminal: str, point: int) -> ColumnElement[bool]:
    return (_alarms.c.terminal == terminal) & (_alarms.c.point == point)


def _many(conn: Connection, condition: ColumnElement[bool]) -> list[StandardAlarm]:
    rows = conn.execute(select(_alarms).where(condition).order_by(_alarms.c.id))
    return [StandardAlarm(**row._mapping) for row in rows]
