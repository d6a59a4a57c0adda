"""The outbox holds what must reach another system: queued with the event, kept, and done once delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
    update,
)

from meterseal.store.database import UtcMillis, insert, metadata

__all__ = ["Item", "done", "due", "failed", "history", "next_at", "pending", "put"]

_outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", String(32), nullable=False),
    Column("key", String(128), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", UtcMillis, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", UtcMillis, nullable=False),
    Column("done_at", UtcMillis, index=True),
    Column("last_error", String(200)),
    UniqueConstraint("topic", "key"),
    sqlite_autoincrement=True,
)
_open = _outbox.c.done_at.is_(None)


@dataclass(frozen=True, slots=True)
class Item:
    """An item is one message to deliver; `attempts` counts the failures so far."""

    id: int
    topic: str
    key: str
    body: bytes
    created_at: datetime
    attempts: int
    done_at: datetime | None = None
    last_error: str | None = None


def put(conn: Connection, topic: str, key: str, body: bytes, created_at: datetime) -> bool:
    """Queue `body` once for each (topic, key); return False when it was queued before."""
    row = insert(conn, _outbox).values(
        topic=topic, key=key, body=body, created_at=created_at, not_before=created_at
    )
    return conn.execute(row.on_conflict_do_nothing()).rowcount == 1


def due(conn: Connection, topic: str, now: datetime, limit: int = 100) -> list[Item]:
    """Return up to `limit` items that may be tried now, oldest first."""
    waiting = _open & (_outbox.c.topic == topic) & (_outbox.c.not_before <= now)
    rows = conn.execute(select(_outbox).where(waiting).order_by(_outbox.c.id).limit(limit))
    return [_item(row) for row in rows]


def history(conn: Connection, limit: int | None = 100) -> list[Item]:
    """Return items, delivered or not, the last queued first."""
    return [_item(row) for row in conn.execute(select(_outbox).order_by(_outbox.c.id.desc()).limit(limit))]


def next_at(conn: Connection, topic: str) -> datetime | None:
    """Return when the next item may be tried; None when nothing waits."""
    first = select(func.min(_outbox.c.not_before)).where(_open & (_outbox.c.topic == topic))
    earliest: datetime | None = conn.execute(first).scalar_one()
    return earliest


def done(conn: Connection, id: int, at: datetime) -> None:
    """Mark an item as delivered."""
    conn.execute(update(_outbox).where((_outbox.c.id == id) & _open).values(done_at=at, last_error=None))


def failed(conn: Connection, id: int, not_before: datetime, error: str) -> None:
    """Count a failed attempt; the item may be tried again from `not_before` on."""
    change = {"attempts": _outbox.c.attempts + 1, "not_before": not_before, "last_error": error[:200]}
    conn.execute(update(_outbox).where((_outbox.c.id == id) & _open).values(change))


def pending(conn: Connection, topic: str | None = None) -> int:
    """Return how many items wait."""
    waiting = _open if topic is None else _open & (_outbox.c.topic == topic)
    return conn.execute(select(func.count()).select_from(_outbox).where(waiting)).scalar_one()


def _item(row: Row[*tuple[object, ...]]) -> Item:
    columns = row._mapping
    return Item(**{name: columns[name] for name in Item.__dataclass_fields__})
