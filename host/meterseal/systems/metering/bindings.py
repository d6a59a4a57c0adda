"""A binding is where a seal last reported: its meter, terminal and measured point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Integer, String, Table, select

from meterseal.store.database import UtcMillis, insert
from meterseal.systems.metering.tables import metadata

__all__ = ["Binding", "bind", "find", "list_all", "seals_at"]

_bindings = Table(
    "bindings",
    metadata,
    Column("seal", String(12), primary_key=True),
    Column("meter", String(12), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("point", Integer, nullable=False),
    Column("last_seen_at", UtcMillis, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Binding:
    """A seal is reached through this meter, terminal and measured point."""

    seal: str
    meter: str
    terminal: str
    point: int
    last_seen_at: datetime


def bind(conn: Connection, seal: str, meter: str, terminal: str, point: int, at: datetime) -> None:
    """Store that the seal reported through this terminal and measured point at `at`."""
    here = {"meter": meter, "terminal": terminal, "point": point, "last_seen_at": at}
    row = insert(conn, _bindings).values(seal=seal, **here)
    conn.execute(row.on_conflict_do_update(index_elements=["seal"], set_=here))


def find(conn: Connection, seal: str) -> Binding | None:
    """Return where the seal last reported; None when it never did."""
    row = conn.execute(select(_bindings).where(_bindings.c.seal == seal)).one_or_none()
    return None if row is None else Binding(**row._mapping)


def list_all(conn: Connection) -> dict[str, Binding]:
    """Return all bindings by seal."""
    return {row.seal: Binding(**row._mapping) for row in conn.execute(select(_bindings))}


def seals_at(conn: Connection, terminal: str, point: int) -> set[str]:
    """Return the seals that last reported at this measured point."""
    here = (_bindings.c.terminal == terminal) & (_bindings.c.point == point)
    return set(conn.execute(select(_bindings.c.seal).where(here)).scalars())
