"""Events are stored once: one immutable row for each (seal, counter), however often they are repeated.

A second content under a known (seal, counter) is kept too, in `conflicts`; so is a record that was found
not to be the seal's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
)

from meterseal.domain.event import SealEvent
from meterseal.domain.record import Kind, StateClass
from meterseal.store import disowned
from meterseal.store.database import UtcMillis, insert, metadata

__all__ = [
    "Outcome",
    "after",
    "append",
    "between",
    "conflicts",
    "find",
    "following",
    "from_row",
    "history",
    "newest",
    "previous",
    "record_columns",
    "record_row",
    "seals",
    "take_candidate",
    "withdraw",
]


def record_columns() -> list[Column[Any]]:
    """Return new columns for a table of received records: the record, its meter and terminal, and the times.

    The record's bytes are authoritative; `seal` and `counter` repeat the fields that queries search for.
    """
    return [
        Column("id", Integer, primary_key=True),
        Column("seal", String(12), nullable=False),
        Column("counter", BigInteger, nullable=False),
        Column("record", LargeBinary, nullable=False),
        Column("meter", String(12)),
        Column("terminal", String(16)),
        Column("occurred_at", UtcMillis, nullable=False),
        Column("received_at", UtcMillis),
        Column("stored_at", UtcMillis, nullable=False),
    ]


def record_row(event: SealEvent, stored_at: datetime) -> dict[str, object]:
    """Return the values of `record_columns` for `event`, without the id."""
    return {
        "seal": event.seal,
        "counter": event.counter,
        "record": event.record,
        "meter": event.meter,
        "terminal": event.terminal,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "stored_at": stored_at,
    }


_events = Table(
    "events",
    metadata,
    *record_columns(),
    Column("boot", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("loop_mv", Integer),
    Column("flags", Integer, nullable=False),
    Index("events_by_time", "occurred_at"),
    # Metering and marketing, where ids mean something, never remove a row: their ids never come back and
    # `after` can trust them as positions. Without AUTOINCREMENT a repeated event uses none up: record
    # numbers, made of ids, have no gaps.
    UniqueConstraint("seal", "counter"),
)

_conflicts = Table(
    "conflicts",
    metadata,
    *record_columns(),
    Column("fact", LargeBinary, nullable=False),
    UniqueConstraint("seal", "counter", "fact"),
)

#: Other bytes with the same fact as a stored event: they replace it when it is found not to be the seal's.
_copies = Table("copies", metadata, *record_columns(), UniqueConstraint("seal", "counter", "record"))


class Outcome(Enum):
    """`append` found the event new, known or contradicting."""

    NEW = auto()
    #: The same fact was stored before.
    KNOWN = auto()
    #: Another fact is stored under the same (seal, counter); both are kept.
    CONFLICT = auto()


def append(conn: Connection, event: SealEvent, stored_at: datetime) -> tuple[Outcome, SealEvent | None]:
    """Store `event` once; return the outcome, and the event that is stored under its number now.

    The database's uniqueness constraint decides which of the three outcomes it is. A disowned record is kept
    among the conflicts and counts as known.
    """
    row = record_row(event, stored_at)
    if disowned.is_disowned(conn, event.seal, event.counter, event.record):
        conn.execute(insert(conn, _conflicts).values(**row, fact=event.fact).on_conflict_do_nothing())
        return Outcome.KNOWN, find(conn, event.seal, event.counter)
    content = {
        "boot": event.boot,
        "kind": event.kind,
        "state": event.state,
        "loop_mv": event.loop_mv,
        "flags": event.flags,
    }
    once = insert(conn, _events).values(**row, **content).on_conflict_do_nothing().returning(_events.c.id)
    id = conn.execute(once).scalar_one_or_none()
    if id is not None:
        return Outcome.NEW, replace(event, stored_at=stored_at, id=id)
    stored = find(conn, event.seal, event.counter)
    if stored is not None and stored.fact == event.fact:
        if stored.record != event.record:
            conn.execute(insert(conn, _copies).values(**row).on_conflict_do_nothing())
        return Outcome.KNOWN, stored
    conn.execute(insert(conn, _conflicts).values(**row, fact=event.fact).on_conflict_do_nothing())
    return Outcome.CONFLICT, stored


def withdraw(conn: Connection, event: SealEvent) -> None:
    """Move `event`, found not to be the seal's, to the conflicts, so that its number is free."""
    this = (_events.c.seal == event.seal) & (_events.c.counter == event.counter)
    row = conn.execute(select(_events).where(this)).one()._mapping
    kept = {name: row[name] for name in row if name in _conflicts.c and name != "id"}
    conn.execute(insert(conn, _conflicts).values(**kept, fact=event.fact).on_conflict_do_nothing())
    conn.execute(delete(_events).where(this))


def take_candidate(conn: Connection, seal: str, counter: int) -> SealEvent | None:
    """Remove and return the oldest kept record of this number that is not disowned, or None."""
    for table in (_conflicts, _copies):
        here = (table.c.seal == seal) & (table.c.counter == counter)
        for kept in _many(conn, select(table).where(here).order_by(table.c.id)):
            if not disowned.is_disowned(conn, seal, counter, kept.record):
                conn.execute(delete(table).where(table.c.id == kept.id))
                return kept
    return None


def find(conn: Connection, seal: str, counter: int) -> SealEvent | None:
    """Return the event stored under (seal, counter)."""
    return _one(conn, _of(seal).where(_events.c.counter == counter))


def previous(conn: Connection, seal: str, counter: int) -> SealEvent | None:
    """Return the known event with the next lower counter."""
    lower = _of(seal).where(_events.c.counter < counter)
    return _one(conn, lower.order_by(_events.c.counter.desc()).limit(1))


def following(conn: Connection, seal: str, counter: int, *, proves_sealed: bool = False) -> SealEvent | None:
    """Return the known event with the next higher counter; on request, the next that proves it sealed."""
    higher = _of(seal).where(_events.c.counter > counter)
    if proves_sealed:
        higher = higher.where((_events.c.state == StateClass.SEALED) & (_events.c.kind != Kind.FLAPPING))
    return _one(conn, higher.order_by(_events.c.counter).limit(1))


def newest(conn: Connection, seal: str, n: int = 0) -> SealEvent | None:
    """Return the n-th newest event of a seal by counter; 0 is the newest."""
    return _one(conn, _of(seal).order_by(_events.c.counter.desc()).offset(n).limit(1))


def after(conn: Connection, id: int, limit: int = 100) -> list[SealEvent]:
    """Return events stored after the one with `id`, in the order of storing."""
    return _many(conn, select(_events).where(_events.c.id > id).order_by(_events.c.id).limit(limit))


def history(conn: Connection, seal: str | None = None, limit: int | None = 100) -> list[SealEvent]:
    """Return events, the last stored first; those of one seal by counter, the highest first."""
    if seal is None:
        return _many(conn, select(_events).order_by(_events.c.id.desc()).limit(limit))
    return _many(conn, _of(seal).order_by(_events.c.counter.desc()).limit(limit))


def between(conn: Connection, since: datetime, until: datetime) -> list[SealEvent]:
    """Return the events of this period, both ends included, in the order of their times."""
    happened = _events.c.occurred_at.between(since, until)
    return _many(conn, select(_events).where(happened).order_by(_events.c.occurred_at, _events.c.id))


def seals(conn: Connection) -> list[SealEvent]:
    """Return the newest event of every seal, by seal address."""
    top = select(_events.c.seal, func.max(_events.c.counter).label("counter")).group_by(_events.c.seal)
    last = top.subquery()
    both = (_events.c.seal == last.c.seal) & (_events.c.counter == last.c.counter)
    return _many(conn, select(_events).join(last, both).order_by(_events.c.seal))


def conflicts(conn: Connection, seal: str | None = None) -> list[SealEvent]:
    """Return the records that contradict a stored event, oldest first."""
    rows = select(_conflicts).order_by(_conflicts.c.id)
    return _many(conn, rows if seal is None else rows.where(_conflicts.c.seal == seal))


def _of(seal: str) -> Select[*tuple[object, ...]]:
    return select(_events).where(_events.c.seal == seal)


def _one(conn: Connection, query: Select[*tuple[object, ...]]) -> SealEvent | None:
    row = conn.execute(query).one_or_none()
    return None if row is None else from_row(row)


def _many(conn: Connection, query: Select[*tuple[object, ...]]) -> list[SealEvent]:
    return [from_row(row) for row in conn.execute(query)]


def from_row(row: Row[*tuple[object, ...]]) -> SealEvent:
    """Return the event in a row with `record_columns`."""
    return SealEvent.from_record(
        row.record,
        meter=row.meter,
        terminal=row.terminal,
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        stored_at=row.stored_at,
        id=row.id,
    )
