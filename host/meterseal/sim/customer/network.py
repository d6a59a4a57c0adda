"""Simulates the mobile network: a service centre that takes each message once, and the phones' inboxes.

A submission with TP-RD set, whose sender, destination and TP-MR are those of a message that the centre
still holds, is refused as a duplicate (3GPP TS 23.040 clause 9.2.3.25). The phone joins the parts of a
message. Everything is durable before `submit` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, Text, delete, select

from meterseal.protocols.gsm.pdu import Part, Submit
from meterseal.store.database import Database, Schema, UtcMillis, insert

__all__ = ["HELD_FOR", "SCHEMA", "Received", "inbox", "submit"]

#: Time for which the centre keeps the reference of a message.
HELD_FOR = timedelta(hours=1)

_tables = MetaData()
_held = Table(
    "submissions",
    _tables,
    Column("sender", Text, primary_key=True),
    Column("phone", String(21), primary_key=True),
    Column("reference", Integer, primary_key=True),
    Column("accepted_at", UtcMillis, nullable=False),
)
_parts = Table(
    "message_parts",
    _tables,
    Column("phone", String(21), primary_key=True),
    Column("reference", Integer, primary_key=True),
    Column("total", Integer, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("text", Text, nullable=False),
)
_inbox = Table(
    "inbox",
    _tables,
    Column("id", Integer, primary_key=True),
    Column("phone", String(21), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("received_at", UtcMillis, nullable=False),
    sqlite_autoincrement=True,
)
SCHEMA = Schema("customer", 2, _tables)


@dataclass(frozen=True, slots=True)
class Received:
    """One message as the phone with `number` shows it."""

    number: str
    text: str
    received_at: datetime


def submit(store: Database, message: Submit, now: datetime, *, sender: str) -> tuple[bool, Received | None]:
    """Take one submission of the modem `sender`; return whether it was accepted, and the message that it
    completes on the phone.
    """
    with store.transaction() as conn:
        if not _hold(conn, message, now, sender):
            return False, None
        text = message.text if message.part is None else _join(conn, message, message.part)
        if text is None:
            return True, None
        received = Received(message.number, text, now)
        conn.execute(_inbox.insert().values(phone=message.number, text=text, received_at=now))
    return True, received


def inbox(store: Database, number: str | None = None) -> list[Received]:
    """Return what one phone, or every phone, has received, oldest first."""
    query = select(_inbox).order_by(_inbox.c.id)
    if number is not None:
        query = query.where(_inbox.c.phone == number)
    with store.reading() as conn:
        return [Received(row.phone, row.text, row.received_at) for row in conn.execute(query)]


def _hold(conn: Connection, message: Submit, now: datetime, sender: str) -> bool:
    """Store the reference; return False for a duplicate whose rejection was requested."""
    conn.execute(delete(_held).where(_held.c.accepted_at < now - HELD_FOR))
    row = insert(conn, _held).values(
        sender=sender, phone=message.number, reference=message.reference, accepted_at=now
    )
    is_new = conn.execute(row.on_conflict_do_nothing()).rowcount == 1
    return is_new or not message.reject_duplicates


def _join(conn: Connection, message: Submit, part: Part) -> str | None:
    """Store one part; return the whole text once every part is there."""
    row = insert(conn, _parts).values(
        phone=message.number,
        reference=part.reference,
        total=part.total,
        part=part.index,
        text=message.text,
    )
    # References repeat after 256 messages: a part whose others never arrived is replaced.
    keys = ["phone", "reference", "total", "part"]
    conn.execute(row.on_conflict_do_update(index_elements=keys, set_={"text": row.excluded.text}))
    same = (_parts.c.phone == message.number) & (_parts.c.reference == part.reference)
    same &= _parts.c.total == part.total
    texts = conn.execute(select(_parts.c.text).where(same).order_by(_parts.c.part)).scalars().all()
    if len(texts) < part.total:
        return None
    conn.execute(delete(_parts).where(same))
    return "".join(texts)
