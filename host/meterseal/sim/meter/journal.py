"""The tables of a meter: its journal of reports, the mirrored openings, its clock, the seals bound to it.

Every function works in the caller's transaction; `address` is the meter's, so that one store serves all
meters of a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
    update,
)

from meterseal.domain.event import SealEvent
from meterseal.domain.journal import JournalEntry
from meterseal.store.database import Schema, UtcMillis, insert

__all__ = [
    "SCHEMA",
    "Opening",
    "add_entry",
    "bind",
    "bound",
    "bounds",
    "clear_report",
    "close_openings",
    "entry",
    "has",
    "identity",
    "keep_identity",
    "load_offset",
    "newest_record",
    "open_cover",
    "opening",
    "openings",
    "openings_since_clear",
    "register",
    "store_offset",
]

_tables = MetaData()
SCHEMA = Schema("meter", 2, _tables)

_meters = Table(
    "meters",
    _tables,
    Column("address", String(12), primary_key=True),
    # Milliseconds by which the meter's clock is ahead of the system's.
    Column("clock_offset_ms", BigInteger, nullable=False),
    # Openings that the active-report word no longer counts.
    Column("openings_cleared", Integer, nullable=False),
)

_seals = Table(
    "meter_seals",
    _tables,
    Column("meter", String(12), primary_key=True),
    Column("seal", String(12), primary_key=True),
    Column("bound", Integer, nullable=False),
    # The identity report as received: seal address and asset number.
    Column("identity", LargeBinary),
)

_journal = Table(
    "journal",
    _tables,
    Column("meter", String(12), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("seal", String(12), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("fact", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("occurred_at", UtcMillis, nullable=False),
    Column("received_at", UtcMillis, nullable=False),
    # One entry for each event, and one more for each copy that contradicts it; see `add_entry`.
    UniqueConstraint("meter", "seal", "counter", "fact"),
)

_covers = Table(
    "cover_openings",
    _tables,
    Column("meter", String(12), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("seal", String(12), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("started_at", UtcMillis, nullable=False),
    Column("ended_at", UtcMillis),
    UniqueConstraint("meter", "seal", "counter"),
)


@dataclass(frozen=True, slots=True)
class Opening:
    """One mirrored opening; `ended_at` is None until the seal is closed again."""

    started_at: datetime
    ended_at: datetime | None


def register(conn: Connection, address: str, seals: list[str]) -> None:
    """Register a meter with the seals that belong to it."""
    new = insert(conn, _meters).values(address=address, clock_offset_ms=0, openings_cleared=0)
    conn.execute(new.on_conflict_do_nothing())
    for seal in seals:
        bind(conn, address, seal)


def load_offset(conn: Connection, address: str) -> timedelta:
    """Return the offset of the meter's clock."""
    query = select(_meters.c.clock_offset_ms).where(_meters.c.address == address)
    return timedelta(milliseconds=conn.execute(query).scalar_one())


def store_offset(conn: Connection, address: str, offset: timedelta) -> None:
    """Store the offset of the meter's clock."""
    values = {"clock_offset_ms": offset // timedelta(milliseconds=1)}
    conn.execute(update(_meters).where(_meters.c.address == address).values(values))


def bind(conn: Connection, address: str, seal: str) -> None:
    """Bind `seal` to this meter as one of its own."""
    row = insert(conn, _seals).values(meter=address, seal=seal, bound=1)
    own = row.on_conflict_do_update(index_elements=["meter", "seal"], set_={"bound": 1})
    conn.execute(own)


def bound(conn: Connection, address: str) -> list[str]:
    """Return the meter's own seals."""
    own = (_seals.c.meter == address) & (_seals.c.bound == 1)
    return list(conn.execute(select(_seals.c.seal).where(own)).scalars())


def keep_identity(conn: Connection, address: str, seal: str, identity: bytes) -> None:
    """Store the identity report of a seal, which does not bind the seal to this meter."""
    row = insert(conn, _seals).values(meter=address, seal=seal, bound=0, identity=identity)
    upsert = row.on_conflict_do_update(index_elements=["meter", "seal"], set_={"identity": identity})
    conn.execute(upsert)


def identity(conn: Connection, address: str, seal: str | None) -> bytes | None:
    """Return the identity report of `seal`, or of the first of the meter's own seals."""
    query = select(_seals.c.identity).where((_seals.c.meter == address) & _seals.c.identity.is_not(None))
    query = query.where(_seals.c.seal == seal) if seal else query.where(_seals.c.bound == 1)
    found: bytes | None = conn.execute(query.order_by(_seals.c.seal).limit(1)).scalar_one_or_none()
    return found


def has(conn: Connection, address: str, record: bytes) -> bool:
    """Return whether the journal has a record of exactly these bytes."""
    this = (_journal.c.meter == address) & (_journal.c.record == record)
    return conn.execute(select(_journal.c.number).where(this).limit(1)).first() is not None


def add_entry(conn: Connection, address: str, event: SealEvent, again: bytes = b"") -> int | None:
    """Add `event` once; return its journal number, or None when the journal already has this fact.

    A fact that the journal already has is added once more for each other `again`, so that readers of the
    journal learn of the repetition.
    """
    number = _add_entry(conn, address, event, event.fact)
    return _add_entry(conn, address, event, event.fact + again) if number is None and again else number


def _add_entry(conn: Connection, address: str, event: SealEvent, fact: bytes) -> int | None:
    highest = func.coalesce(func.max(_journal.c.number), 0)
    number = select(highest + 1).where(_journal.c.meter == address).scalar_subquery()
    row = insert(conn, _journal).values(
        meter=address,
        number=number,
        seal=event.seal,
        counter=event.counter,
        fact=fact,
        record=event.record,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
    )
    once = row.on_conflict_do_nothing(index_elements=["meter", "seal", "counter", "fact"])
    return conn.execute(once.returning(_journal.c.number)).scalar_one_or_none()


def bounds(conn: Connection, address: str) -> tuple[int, int]:
    """Return the first and last journal number, 0 and 0 while the journal is empty."""
    query = select(func.min(_journal.c.number), func.max(_journal.c.number))
    first, last = conn.execute(query.where(_journal.c.meter == address)).one()
    return first or 0, last or 0


def entry(conn: Connection, address: str, number: int) -> JournalEntry | None:
    """Return journal entry `number`; None where there is none."""
    this = (_journal.c.meter == address) & (_journal.c.number == number)
    row = conn.execute(select(_journal).where(this)).one_or_none()
    if row is None:
        return None
    return JournalEntry(row.number, row.occurred_at, row.received_at, row.record)


def newest_record(conn: Connection, address: str, n: int) -> bytes | None:
    """Return the n-th newest record of the meter's own seals, 0 = newest, as first received."""
    own = (_seals.c.meter == _journal.c.meter) & (_seals.c.seal == _journal.c.seal) & (_seals.c.bound == 1)
    query = select(_journal.c.record).join(_seals, own).where(_journal.c.meter == address)
    found: bytes | None = conn.execute(
        query.order_by(_journal.c.number.desc()).offset(n).limit(1)
    ).scalar_one_or_none()
    return found


def open_cover(
    conn: Connection, address: str, seal: str, counter: int, started_at: datetime, ended_at: datetime | None
) -> None:
    """Mirror an opening once; `ended_at` is None unless its closing arrived before it."""
    highest = func.coalesce(func.max(_covers.c.number), 0)
    row = insert(conn, _covers).values(
        meter=address,
        number=select(highest + 1).where(_covers.c.meter == address).scalar_subquery(),
        seal=seal,
        counter=counter,
        started_at=started_at,
        ended_at=ended_at,
    )
    key = ["meter", "seal", "counter"]
    conn.execute(row.on_conflict_do_update(index_elements=key, set_={"ended_at": ended_at}))


def close_openings(conn: Connection, address: str, seal: str, counter: int, ended_at: datetime) -> None:
    """End the openings of `seal` before its event `counter`."""
    before = (_covers.c.meter == address) & (_covers.c.seal == seal) & (_covers.c.counter < counter)
    conn.execute(update(_covers).where(before & _covers.c.ended_at.is_(None)).values(ended_at=ended_at))


def openings(conn: Connection, address: str) -> int:
    """Return the number of openings mirrored so far."""
    query = select(func.count()).select_from(_covers).where(_covers.c.meter == address)
    return conn.execute(query).scalar_one()


def opening(conn: Connection, address: str, n: int) -> Opening | None:
    """Return the n-th newest opening, 1 = newest."""
    query = select(_covers).where(_covers.c.meter == address)
    row = conn.execute(query.order_by(_covers.c.number.desc()).offset(n - 1).limit(1)).one_or_none()
    return None if row is None else Opening(row.started_at, row.ended_at)


def openings_since_clear(conn: Connection, address: str) -> int:
    """Return the number of openings that the active-report word shows."""
    query = select(_meters.c.openings_cleared).where(_meters.c.address == address)
    cleared: int = conn.execute(query).scalar_one()
    return openings(conn, address) - cleared


def clear_report(conn: Connection, address: str) -> None:
    """Clear the active-report word of the openings so far; the records stay."""
    values = {"openings_cleared": openings(conn, address)}
    conn.execute(update(_meters).where(_meters.c.address == address).values(values))
