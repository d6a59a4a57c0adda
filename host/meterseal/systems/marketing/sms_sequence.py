"""Counts the messages to each phone; the SMS take their references from this number."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Integer, String, Table

from meterseal.store.database import insert
from meterseal.systems.marketing.tables import metadata

__all__ = ["next_sequence"]

_phones = Table(
    "phones",
    metadata,
    Column("number", String(21), primary_key=True),
    Column("message_count", Integer, nullable=False),
)


def next_sequence(conn: Connection, number: str) -> int:
    """Count one more message to `number` and return the count, from 1."""
    row = insert(conn, _phones).values(number=number, message_count=1)
    one_more = {"message_count": _phones.c.message_count + 1}
    counted = row.on_conflict_do_update(index_elements=["number"], set_=one_more)
    count: int = conn.execute(counted.returning(_phones.c.message_count)).scalar_one()
    return count
