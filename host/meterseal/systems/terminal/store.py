"""The terminal's store keeps its position in each meter's journal, events, alarms and messages to transmit.

Each method is one transaction: a position moves together with the events it covers and with their
messages in the outbox, so that a terminal that dies at any moment loses and doubles nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, select

from meterseal.clock import Clock
from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.journal import JournalEntry
from meterseal.domain.layout import LayoutError
from meterseal.domain.verdict import RecordVerdict
from meterseal.protocols.csg1209022.alarm import CoverAlarm
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import point_da
from meterseal.protocols.csg1209022.user_data import SealReport
from meterseal.protocols.dlt645.cover import CoverRecord
from meterseal.store import alarms, diagnostics, ingest, outbox
from meterseal.store.applied import Applied
from meterseal.store.database import Database, Schema, insert
from sealchip.interface import RECORD, StateClass

__all__ = ["SCHEMA", "Message", "TerminalStore"]

TOPIC = "uplink"
#: Pause before a message that the master station refused is sent again.
REFUSED_PAUSE = timedelta(hours=1)

_tables = MetaData()
SCHEMA = Schema("terminal", 2, _tables)

_positions = Table(
    "positions",
    _tables,
    Column("meter", String(12), primary_key=True),
    # The last journal entry and the last opening (by the meter's count) that are stored here.
    Column("journal", BigInteger, nullable=False, default=0),
    Column("covers", Integer, nullable=False, default=0),
    # 1: an event came that may be an opening, and the meter's count was not looked at since.
    Column("openings_due", Integer, nullable=False, default=0),
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message goes to the master station; `id` is its id in the outbox."""

    afn: int
    da: bytes
    di: int
    content: bytes
    id: int = 0

    def encode(self) -> bytes:
        """Return the bytes that the outbox keeps."""
        return bytes([self.afn]) + self.da + self.di.to_bytes(4, "little") + self.content

    @classmethod
    def decode(cls, raw: bytes, id: int) -> Message:
        """Return the message that the outbox keeps as `raw` under `id`."""
        return cls(raw[0], raw[1:3], int.from_bytes(raw[3:7], "little"), raw[7:], id)


class TerminalStore:
    """The store belongs to the terminal `name` (`440106:1`); `points` are its measured points by meter."""

    def __init__(self, database: Database, clock: Clock, name: str, points: Mapping[str, int]) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._points = points

    def journal_position(self, meter: str) -> int:
        """Return the number of the last journal entry of `meter` that is stored."""
        return self._position(meter, _positions.c.journal)

    def covers_position(self, meter: str) -> int:
        """Return how many openings of `meter`, by its count, are stored."""
        return self._position(meter, _positions.c.covers)

    def openings_due(self, meter: str) -> bool:
        """Return whether an event came that may be an opening and whose record was not fetched yet."""
        return self._position(meter, _positions.c.openings_due) == 1

    def store_entry(self, meter: str, entry: JournalEntry) -> Applied:
        """Store a journal entry and queue its record for the master station, readable or not."""
        at = self._clock.now()
        with self._database.transaction() as conn:
            try:
                applied, key = self._event(conn, meter, entry, at)
            except LayoutError as error:
                applied, key = self._unreadable(conn, meter, entry, str(error), at), entry.record
            report = SealReport(meter, entry).encode()
            message = Message(Afn.USER_DEFINED, self._da(meter), UplinkDi.USER_DEFINED, report)
            self._post(conn, f"{meter}/{hashlib.sha256(key).hexdigest()[:32]}", message, at)
            _move(conn, meter, journal=entry.number)
            if entry.record[RECORD.offsets["state"]] != StateClass.SEALED:
                _move(conn, meter, openings_due=1)
        return applied

    def apply_verdict(self, verdict: RecordVerdict) -> Applied:
        """Apply what the master station found about a record."""
        with self._database.transaction() as conn:
            return ingest.apply_verdict(conn, verdict, "found by the master station", self._clock.now())

    def store_openings(self, meter: str, count: int, records: list[bytes], *, explained: bool) -> Applied:
        """Store the records of the newest openings, oldest first, the last one being number `count`.

        An opening that no journal entry explains raises an alarm of its own. One whose record cannot be read
        is still reported, with the time at which it was found.
        """
        at = self._clock.now()
        applied = Applied()
        with self._database.transaction() as conn:
            for number, raw in enumerate(records, count - len(records) + 1):
                record = self._cover_record(conn, meter, number, raw, at)
                alarm = CoverAlarm.of(record, number).encode()
                message = Message(Afn.ALARM, self._da(meter), UplinkDi.TERMINAL_COVER_OPEN, alarm)
                self._post(conn, f"{meter}/opened/{number}/{record.start:%Y%m%d%H%M%S}", message, at)
                if not explained:
                    detail = f"opening {number}"
                    new = alarms.raise_alarm(conn, Code.COVER_OPEN, meter, number, at, detail)
                    applied.note(raised=new)
            _move(conn, meter, covers=count, openings_due=0)
        return applied

    def skip_entry(self, meter: str, number: int, raw: bytes, reason: str) -> Applied:
        """Skip a journal entry that cannot be read; keep the bytes that came in its place."""
        at = self._clock.now()
        with self._database.transaction() as conn:
            diagnostics.keep(conn, "journal_entry", f"{meter}/{number}", raw, reason, at)
            _move(conn, meter, journal=number)
            return _begin(conn, Code.RECORD_UNREADABLE, meter, f"journal entry {number}: {reason}", at)

    def restart(self, meter: str, what: str) -> None:
        """Start again from 0, because the meter's own count did (`journal` or `covers`)."""
        with self._database.transaction() as conn:
            diagnostics.count(conn, f"{what}_restarted", meter, at=self._clock.now())
            _move(conn, meter, **{what: 0})

    def begin(self, code: Code, meter: str, detail: str) -> Applied:
        """Raise an alarm about a meter, unless it is active already."""
        with self._database.transaction() as conn:
            return _begin(conn, code, meter, detail, self._clock.now())

    def end(self, code: Code, meter: str) -> Applied:
        """Clear the alarm about a meter."""
        at = self._clock.now()
        with self._database.transaction() as conn:
            active = alarms.active(conn, meter, code)
            applied = Applied()
            for alarm in active:
                applied.note(cleared=alarms.clear_one(conn, code, meter, alarm.counter, at))
        return applied

    def count(self, what: str, detail: str = "", raw: bytes = b"") -> None:
        """Count one case of the diagnostic `what`, with `raw` as its sample."""
        with self._database.transaction() as conn:
            diagnostics.count(conn, what, detail, at=self._clock.now(), raw=raw)

    def next_message(self) -> Message | None:
        """Return the oldest message that may be sent now."""
        with self._database.reading() as conn:
            items = outbox.due(conn, TOPIC, self._clock.now(), 1)
        return Message.decode(items[0].body, items[0].id) if items else None

    def unsent_alarms(self) -> list[Message]:
        """Return the alarms (AFN 13) that the master station has not confirmed, oldest first."""
        with self._database.reading() as conn:
            items = outbox.due(conn, TOPIC, self._clock.now() + REFUSED_PAUSE)
        messages = (Message.decode(item.body, item.id) for item in items)
        return [message for message in messages if message.afn == Afn.ALARM]

    def delivered(self, id: int) -> None:
        """Mark a message as stored by the master station."""
        with self._database.transaction() as conn:
            outbox.done(conn, id, self._clock.now())

    def unconfirmed(self, id: int) -> None:
        """Release a message that was not confirmed: it may be sent again at once."""
        self._failed(id, timedelta(), "not confirmed")

    def refused(self, id: int) -> None:
        """Keep a message that the master station denied, and send it again after an hour."""
        self._failed(id, REFUSED_PAUSE, "denied by the master station")

    def _failed(self, id: int, pause: timedelta, reason: str) -> None:
        with self._database.transaction() as conn:
            outbox.failed(conn, id, self._clock.now() + pause, reason)

    def _position(self, meter: str, column: Column[int]) -> int:
        with self._database.reading() as conn:
            found = conn.execute(select(column).where(_positions.c.meter == meter)).scalar_one_or_none()
        return found or 0

    def _event(
        self, conn: Connection, meter: str, entry: JournalEntry, at: datetime
    ) -> tuple[Applied, bytes]:
        event = SealEvent.from_record(
            entry.record,
            meter=meter,
            terminal=self._name,
            occurred_at=entry.occurred_at,
            received_at=entry.received_at,
        )
        applied = ingest.apply(conn, event, at)
        # A replay has the bytes of the report that it repeats, and goes up all the same.
        replayed = any(alarm.code is Code.SEAL_REPLAY for alarm in applied.raised)
        key = event.record + (b"replayed" if replayed else b"")
        return applied, key

    def _unreadable(
        self, conn: Connection, meter: str, entry: JournalEntry, reason: str, at: datetime
    ) -> Applied:
        diagnostics.keep(conn, "seal_record", meter, entry.record, reason, at)
        return _begin(conn, Code.RECORD_UNREADABLE, meter, reason, at)

    def _cover_record(
        self, conn: Connection, meter: str, number: int, raw: bytes, at: datetime
    ) -> CoverRecord:
        try:
            record = CoverRecord.decode(raw)
        except ValueError:
            record = CoverRecord(None, None)
        if record.start is not None:
            return record
        diagnostics.keep(conn, "cover_record", f"{meter}/{number}", raw, "its time cannot be read", at)
        return replace(record, start=at)

    def _post(self, conn: Connection, key: str, message: Message, at: datetime) -> None:
        outbox.put(conn, TOPIC, key, message.encode(), at)

    def _da(self, meter: str) -> bytes:
        return point_da(self._points[meter])


def _move(conn: Connection, meter: str, **to: int) -> None:
    row = insert(conn, _positions).values(meter=meter, **to)
    conn.execute(row.on_conflict_do_update(index_elements=["meter"], set_=to))


def _begin(conn: Connection, code: Code, subject: str, detail: str, at: datetime) -> Applied:
    """Raise an alarm about a meter; it has no event to be numbered by, so such alarms count from 1."""
    if alarms.active(conn, subject, code):
        return Applied()
    before = [alarm for alarm in alarms.list_all(conn, subject) if alarm.code is code]
    applied = Applied()
    applied.note(raised=alarms.raise_alarm(conn, code, subject, len(before) + 1, at, detail))
    return applied
