"""Alarms are raised, cleared and acknowledged here, in one row for each (code, subject, counter)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    Update,
    select,
    update,
)

from meterseal.clock import isoformat
from meterseal.domain.alarm_rules import SEVERITY, Code, Severity
from meterseal.store.database import UtcMillis, insert, metadata

__all__ = [
    "Alarm",
    "acknowledge",
    "active",
    "clear",
    "clear_one",
    "document",
    "ended_by",
    "list_all",
    "raise_alarm",
    "reactivate",
]

_alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("code", String(32), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("raised_at", UtcMillis, nullable=False),
    Column("cleared_at", UtcMillis),
    Column("cleared_by", BigInteger),
    Column("acknowledged_at", UtcMillis),
    Column("acknowledged_by", String(64)),
    Column("detail", String(200), nullable=False),
    UniqueConstraint("code", "subject", "counter"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm is active until it has a `cleared_at`.

    `subject` is the device concerned: a seal or a meter by its address, a terminal by its name (`440106:1`).
    `counter` belongs to the event that raised the alarm, `cleared_by` to the event that ended it.
    """

    id: int
    code: Code
    severity: Severity
    subject: str
    counter: int
    raised_at: datetime
    cleared_at: datetime | None
    cleared_by: int | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    detail: str


def raise_alarm(
    conn: Connection, code: Code, subject: str, counter: int, at: datetime, detail: str = ""
) -> Alarm | None:
    """Raise once; a repetition only renews the detail of an alarm that is still active.

    An alarm that an earlier event had cleared (`cleared_by` below `counter`) becomes active again. Returns
    the alarm when it is new or active again, else None. `detail` is cut to 200 characters.
    """
    row = insert(conn, _alarms).values(
        code=code,
        severity=SEVERITY[code],
        subject=subject,
        counter=counter,
        raised_at=at,
        detail=detail[:200],
    )
    this = _is(code, subject, counter)
    if (new := _changed(conn, row.on_conflict_do_nothing())) is not None:
        return new
    again = update(_alarms).where(this & (_alarms.c.cleared_by < counter))
    active = again.values(raised_at=at, cleared_at=None, cleared_by=None, detail=detail[:200])
    if (alarm := _changed(conn, active)) is not None:
        return alarm
    conn.execute(update(_alarms).where(this & _alarms.c.cleared_at.is_(None)).values(detail=detail[:200]))
    return None


def clear(
    conn: Connection, codes: Iterable[Code], subject: str, at: datetime, by_counter: int
) -> list[Alarm]:
    """Clear the alarms of `codes` that events before `by_counter` raised; return those newly cleared.

    An alarm that a later event has cleared already counts as cleared by this earlier one from now on.
    """
    raised_before = update(_alarms).where(
        _alarms.c.code.in_(list(codes)) & (_alarms.c.subject == subject) & (_alarms.c.counter < by_counter)
    )
    active = raised_before.where(_alarms.c.cleared_at.is_(None))
    newly = _all_changed(conn, active.values(cleared_at=at, cleared_by=by_counter))
    conn.execute(raised_before.where(_alarms.c.cleared_by > by_counter).values(cleared_by=by_counter))
    return newly


def clear_one(
    conn: Connection, code: Code, subject: str, counter: int, at: datetime, by_counter: int | None = None
) -> Alarm | None:
    """Clear exactly this alarm and return it; None when it is not active."""
    still = _is(code, subject, counter) & _alarms.c.cleared_at.is_(None)
    return _changed(conn, update(_alarms).where(still).values(cleared_at=at, cleared_by=by_counter))


def ended_by(conn: Connection, subject: str, counter: int) -> list[Alarm]:
    """Return the alarms about a seal that its event `counter` ended."""
    return _many(conn, (_alarms.c.subject == subject) & (_alarms.c.cleared_by == counter))


def reactivate(conn: Connection, alarm: Alarm, at: datetime) -> Alarm:
    """Make an alarm active again that had not ended after all; return it."""
    this = update(_alarms).where(_alarms.c.id == alarm.id)
    (again,) = _all_changed(conn, this.values(raised_at=at, cleared_at=None, cleared_by=None))
    return again


def acknowledge(conn: Connection, id: int, at: datetime, who: str) -> bool:
    """Store who acknowledged the alarm first; return False when it was acknowledged before or is unknown."""
    first = (_alarms.c.id == id) & _alarms.c.acknowledged_at.is_(None)
    change = update(_alarms).where(first).values(acknowledged_at=at, acknowledged_by=who)
    return conn.execute(change).rowcount == 1


def active(conn: Connection, subject: str | None = None, code: Code | None = None) -> list[Alarm]:
    """Return the alarms that are not cleared, oldest first."""
    condition: ColumnElement[bool] = _alarms.c.cleared_at.is_(None)
    if subject is not None:
        condition &= _alarms.c.subject == subject
    if code is not None:
        condition &= _alarms.c.code == code
    return _many(conn, condition)


def list_all(
    conn: Connection, subject: str | None = None, counter: int | None = None, limit: int | None = None
) -> list[Alarm]:
    """Return the newest `limit` alarms, cleared ones included, oldest first."""
    query = select(_alarms).order_by(_alarms.c.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(_alarms.c.subject == subject)
    if counter is not None:
        query = query.where(_alarms.c.counter == counter)
    return [_alarm(row._mapping) for row in reversed(conn.execute(query).all())]


def document(alarm: Alarm) -> dict[str, object]:
    """Return the alarm as every JSON document shows it."""
    return {
        "id": alarm.id,
        "code": alarm.code.value,
        "severity": alarm.severity.value,
        "seal": alarm.subject,
        "counter": alarm.counter,
        "active": alarm.cleared_at is None,
        "raised_at": isoformat(alarm.raised_at),
        "cleared_at": alarm.cleared_at and isoformat(alarm.cleared_at),
        "cleared_by": alarm.cleared_by,
        "acknowledged_at": alarm.acknowledged_at and isoformat(alarm.acknowledged_at),
        "acknowledged_by": alarm.acknowledged_by,
        "detail": alarm.detail,
    }


def _is(code: Code, subject: str, counter: int) -> ColumnElement[bool]:
    return (_alarms.c.code == code) & (_alarms.c.subject == subject) & (_alarms.c.counter == counter)


def _changed(conn: Connection, change: Insert | Update) -> Alarm | None:
    """Return the one alarm that an INSERT or UPDATE writes, or None when there is none."""
    return next(iter(_all_changed(conn, change)), None)


def _all_changed(conn: Connection, change: Insert | Update) -> list[Alarm]:
    rows = conn.execute(change.returning(*_alarms.c))
    # The database returns the rows in no particular order.
    return sorted((_alarm(row._mapping) for row in rows), key=lambda alarm: alarm.id)


def _many(conn: Connection, condition: ColumnElement[bool]) -> list[Alarm]:
    rows = conn.execute(select(_alarms).where(condition).order_by(_alarms.c.id))
    return [_alarm(row._mapping) for row in rows]


def _alarm(row: RowMapping) -> Alarm:
    return Alarm(**{**row, "code": Code(row["code"]), "severity": Severity(row["severity"])})
