"""This table lists the terminals that are registered or ever connected, and when each last sent something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, func, select

from meterseal.store.database import UtcMillis, insert
from meterseal.systems.metering.tables import metadata

__all__ = ["Terminal", "expect", "list_all", "seen", "silent"]

_terminals = Table(
    "terminals",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("added_at", UtcMillis, nullable=False),
    Column("last_seen_at", UtcMillis),
)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal has a name such as `440106:1`; `last_seen_at` is None until it sends something."""

    name: str
    added_at: datetime
    last_seen_at: datetime | None


def expect(conn: Connection, name: str, at: datetime) -> None:
    """Add a terminal that is expected to connect."""
    conn.execute(insert(conn, _terminals).values(name=name, added_at=at).on_conflict_do_nothing())


def seen(conn: Connection, name: str, at: datetime) -> None:
    """Store that the terminal sent something at `at`."""
    row = insert(conn, _terminals).values(name=name, added_at=at, last_seen_at=at)
    conn.execute(row.on_conflict_do_update(index_elements=["name"], set_={"last_seen_at": at}))


def silent(conn: Connection, since: datetime) -> list[Terminal]:
    """Return the terminals that sent nothing after `since`."""
    last = func.coalesce(_terminals.c.last_seen_at, _terminals.c.added_at)
    rows = conn.execute(select(_terminals).where(last <= since).order_by(_terminals.c.name))
    return [Terminal(**row._mapping) for row in rows]


def list_all(conn: Connection) -> list[Terminal]:
    """Return all terminals, by name."""
    return [Terminal(**row._mapping) for row in conn.execute(select(_terminals).order_by(_terminals.c.name))]
