"""A record is disowned when a master station found that it is not the seal's; no copy becomes an event."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    Table,
    delete,
    select,
)

from meterseal.domain.verdict import RecordVerdict, digest
from meterseal.store.database import UtcMillis, insert, metadata

__all__ = ["add", "forget", "is_disowned"]

_disowned = Table(
    "disowned",
    metadata,
    Column("seal", String(12), primary_key=True),
    Column("counter", BigInteger, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("found_at", UtcMillis, nullable=False),
)


def add(conn: Connection, verdict: RecordVerdict, at: datetime) -> bool:
    """Disown a record; return False when it was disowned before."""
    row = insert(conn, _disowned).values(
        seal=verdict.seal, counter=verdict.counter, digest=verdict.digest, found_at=at
    )
    return conn.execute(row.on_conflict_do_nothing()).rowcount == 1


def is_disowned(conn: Connection, seal: str, counter: int, record: bytes) -> bool:
    """Return whether this very record was found not to be the seal's."""
    found = select(_disowned.c.digest).where(_under(seal, counter))
    # There is nearly always none, and then no digest is computed.
    digests = list(conn.execute(found).scalars())
    return bool(digests) and digest(record) in digests


def forget(conn: Connection, seal: str, counter: int, record: bytes) -> bool:
    """Accept a record as the seal's after all; return False when it was not disowned."""
    this = _under(seal, counter) & (_disowned.c.digest == digest(record))
    return conn.execute(delete(_disowned).where(this)).rowcount == 1


def _under(seal: str, counter: int) -> ColumnElement[bool]:
    return (_disowned.c.seal == seal) & (_disowned.c.counter == counter)
