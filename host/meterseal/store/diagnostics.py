"""Diagnostics count what was discarded or not understood: how often, since when, and with a sample.

`what` and `detail` come from small sets (a reason, a peer), so that garbage cannot fill the disk; the
bytes of the last case are the sample. Bytes that must not be lost are stored by `keep`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    select,
)

from meterseal.clock import isoformat
from meterseal.octets.hexadecimal import hex_digits
from meterseal.store.database import UtcMillis, insert, metadata

__all__ = [
    "SAMPLE_BYTES",
    "Diagnostic",
    "Kept",
    "count",
    "document",
    "keep",
    "kept",
    "kept_document",
    "list_all",
]

#: Longest sample, in bytes.
SAMPLE_BYTES = 256

_diagnostics = Table(
    "diagnostics",
    metadata,
    Column("what", String(32), primary_key=True),
    Column("detail", String(128), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_at", UtcMillis, nullable=False),
    Column("last_at", UtcMillis, nullable=False),
    Column("sample", LargeBinary, nullable=False),
)

_kept = Table(
    "kept",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("what", String(32), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("reason", String(400), nullable=False),
    Column("stored_at", UtcMillis, nullable=False),
    UniqueConstraint("what", "origin", "digest"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic; `sample` holds the first `SAMPLE_BYTES` bytes of the last case."""

    what: str
    detail: str
    count: int
    first_at: datetime
    last_at: datetime
    sample: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that could not be decoded are kept whole, with the reason."""

    id: int
    what: str
    origin: str
    raw: bytes
    reason: str
    stored_at: datetime


def count(
    conn: Connection, what: str, detail: str = "", *, at: datetime, raw: bytes = b"", times: int = 1
) -> None:
    """Count `times` more cases of `what`, and make the first bytes of `raw` its sample."""
    row = insert(conn, _diagnostics).values(
        what=what, detail=detail[:128], count=times, first_at=at, last_at=at, sample=raw[:SAMPLE_BYTES]
    )
    new = row.excluded
    again = {"count": _diagnostics.c.count + new.count, "last_at": new.last_at, "sample": new.sample}
    conn.execute(row.on_conflict_do_update(index_elements=["what", "detail"], set_=again))


def keep(conn: Connection, what: str, origin: str, raw: bytes, reason: str, at: datetime) -> int | None:
    """Store `raw` whole, once for each origin; return its id, or None when it was stored before."""
    row = insert(conn, _kept).values(
        what=what,
        origin=origin,
        digest=hashlib.sha256(raw).digest(),
        raw=raw,
        reason=reason[:400],
        stored_at=at,
    )
    return conn.execute(row.on_conflict_do_nothing().returning(_kept.c.id)).scalar_one_or_none()


def list_all(conn: Connection) -> list[Diagnostic]:
    """Return all diagnostics, ordered by name."""
    rows = conn.execute(select(_diagnostics).order_by(_diagnostics.c.what, _diagnostics.c.detail))
    return [Diagnostic(**row._mapping) for row in rows]


def kept(conn: Connection, limit: int | None = 100) -> list[Kept]:
    """Return the newest `limit` kept byte strings, the newest first."""
    columns = [column for column in _kept.c if column.name != "digest"]
    rows = conn.execute(select(*columns).order_by(_kept.c.id.desc()).limit(limit))
    return [Kept(**row._mapping) for row in rows]


def document(diagnostic: Diagnostic) -> dict[str, object]:
    """The diagnostic as every JSON document shows it."""
    return {
        "what": diagnostic.what,
        "detail": diagnostic.detail,
        "count": diagnostic.count,
        "first_at": isoformat(diagnostic.first_at),
        "last_at": isoformat(diagnostic.last_at),
        "sample": hex_digits(diagnostic.sample),
    }


def kept_document(kept: Kept) -> dict[str, object]:
    """Return kept bytes as every JSON document shows them."""
    return {
        "id": kept.id,
        "what": kept.what,
        "origin": kept.origin,
        "raw": hex_digits(kept.raw),
        "reason": kept.reason,
        "stored_at": isoformat(kept.stored_at),
    }
