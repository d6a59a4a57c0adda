"""One simulated meter: what it answers to a read, and what it does with a write.

A report is stored, mirrored and alarmed in one transaction before `write` returns, and so before the 94H
goes out: `test_meter_run.py::test_sigkill_loses_and_doubles_nothing`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from meterseal import bcd
from meterseal.clock import CST, Clock
from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.layout import LayoutError, unpack
from meterseal.domain.verdict import RecordVerdict
from meterseal.protocols.dlt645.active_report import TERMINAL_COVER_OPEN, ActiveReport
from meterseal.protocols.dlt645.control import Err
from meterseal.protocols.dlt645.cover import ENERGIES, NO_ENERGIES, CoverRecord
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write
from meterseal.protocols.dlt645.slave import Handler, Refusal
from meterseal.protocols.dlt645.values import (
    clock,
    clock_bytes,
    date_bytes,
    day,
    text_bytes,
    time_bytes,
    time_of_day,
)
from meterseal.sim.meter import journal
from meterseal.sim.meter.clock import BIG_STEP, MeterClock
from meterseal.sim.meter.energy import energies, energy
from meterseal.store import alarms, diagnostics, events, ingest
from meterseal.store.applied import Applied
from meterseal.store.database import Database
from meterseal.store.events import Outcome
from meterseal.store.trace_events import trace_alarms, trace_event
from meterseal.trace import Trace
from sealchip.interface import IDENTITY_REPORT, RECORD, Di

__all__ = ["Meter"]

#: Password levels that may set the clock and clear the active-report word.
LEVELS = (2, 4)
COVER_COUNT = 0x03300E00
COVER_RECORDS = range(0x03300E01, 0x03300E0B)
RECORDS = range(Di.RECORD_HISTORY, Di.RECORD_HISTORY + 16)
ACTIVE_REPORT = 0x04001501
ACTIVE_REPORT_RESET = 0x04001503
DATE, TIME, CLOCK = 0x04000101, 0x04000102, 0x0400010C
METER_NUMBER = 0x04000402


class Meter(Handler):
    """The meter at `address` with its own `seals`; without any, the first seal that reports becomes one.

    `password` is P0 P1 P2 for the levels 02 and 04; a seal's report needs none.
    """

    def __init__(
        self,
        address: str,
        database: Database,
        *,
        clock: Clock,
        trace: Trace,
        seals: list[str] | None = None,
        password: bytes = bytes(3),
    ) -> None:
        self.address = bcd.address(bcd.address_bytes(address))
        self._database = database
        self._system = clock
        self._trace = trace
        self._password = password
        with database.transaction() as conn:
            journal.register(conn, self.address, seals or [])
            self._clock = MeterClock(journal.load_offset(conn, self.address))
        self._reads: dict[int, Callable[[], bytes]] = {
            DATE: lambda: date_bytes(self.now()),
            TIME: lambda: time_bytes(self.now()),
            CLOCK: lambda: clock_bytes(self.now()),
            Di.ADDRESS: lambda: bcd.address_bytes(self.address),
            METER_NUMBER: lambda: bcd.address_bytes(self.address),
            Di.ASSET_NUMBER: lambda: text_bytes(f"METER{self.address}", IDENTITY_REPORT["asset"].width),
        }

    def now(self) -> datetime:
        """The meter's own time, to the second."""
        return self._clock.at(self._system.now())

    def read(self, di: int, parameters: bytes) -> bytes:
        """What the meter has under `di`."""
        if di in self._reads:
            return self._reads[di]()
        if di in ENERGIES:
            return bcd.bcd(energy(self.address, di, self.now()), 4)
        with self._database.reading() as conn:
            content = self._stored(conn, di, parameters)
        if content is None:
            raise Refusal(Err.NO_DATA)
        return content

    def write(self, write: Write) -> None:
        """Take a seal's report, the verdict on one, a clock setting, or the end of an active report."""
        if write.di == Di.REPORT:
            self._report(write.data)
        elif write.di == Di.REPORT_IDENTITY:
            self._identify(write.data)
        elif write.di not in (DATE, TIME, CLOCK, ACTIVE_REPORT_RESET, Di.VERDICT):
            raise Refusal(Err.NO_DATA)
        elif write.password[0] not in LEVELS or write.password[1:] != self._password:
            self.count("wrong_password", self.address, write.password + write.operator)
            raise Refusal(Err.UNAUTHORISED)
        elif write.di == ACTIVE_REPORT_RESET:
            self._reset_report(write.data)
        elif write.di == Di.VERDICT:
            self._apply_verdict(write.data)
        else:
            self._set_clock(self._asked_time(write), "write", write.operator)

    def set_time(self, at: datetime) -> None:
        """Take a broadcast time."""
        self._set_clock(at, "broadcast", b"")

    def malformed(self, request: Frame) -> None:
        """Count a request that makes no sense."""
        self.count("malformed_request", f"control {request.control:02X}", request.encode(preamble=0))

    def count(self, what: str, detail: str = "", raw: bytes = b"") -> None:
        """Count an oddity."""
        with self._database.transaction() as conn:
            diagnostics.count(conn, what, detail, at=self._system.now(), raw=raw)

    def _stored(self, conn: Connection, di: int, parameters: bytes) -> bytes | None:
        if di == COVER_COUNT:
            return bcd.bcd(journal.openings(conn, self.address) % 1_000_000, 3)
        if di in COVER_RECORDS:
            return self._cover_record(conn, di - COVER_COUNT)
        if di == ACTIVE_REPORT:
            count = min(journal.openings_since_clear(conn, self.address), 0xFF)
            return ActiveReport({TERMINAL_COVER_OPEN: count} if count else {}).encode()
        if di == Di.RECORD_NEWEST or di in RECORDS:
            n = 0 if di == Di.RECORD_NEWEST else di - Di.RECORD_HISTORY
            return journal.newest_record(conn, self.address, n)
        if di == Di.JOURNAL_BOUNDS:
            first, last = journal.bounds(conn, self.address)
            return first.to_bytes(4, "little") + last.to_bytes(4, "little")
        if di == Di.JOURNAL_ENTRY and len(parameters) == 4:
            entry = journal.entry(conn, self.address, int.from_bytes(parameters, "little"))
            return None if entry is None else entry.encode()
        if di == Di.REPORT_IDENTITY and len(parameters) in (0, 6):
            return journal.identity(conn, self.address, bcd.address(parameters) if parameters else None)
        return None

    def _cover_record(self, conn: Connection, n: int) -> bytes:
        opening = journal.opening(conn, self.address, n)
        if opening is None:
            return bytes(len(CoverRecord(None, None).encode()))
        before = energies(self.address, opening.started_at)
        after = energies(self.address, opening.ended_at) if opening.ended_at else NO_ENERGIES
        return CoverRecord(opening.started_at, opening.ended_at, before, after).encode()

    def _report(self, record: bytes) -> None:
        system = self._system.now()
        try:
            age = int.from_bytes(unpack(RECORD, record)["age"], "little")
            event = SealEvent.from_record(
                record,
                meter=self.address,
                occurred_at=self._clock.event(system, age),
                received_at=self._clock.at(system),
            )
        except LayoutError as error:
            self._unreadable(record, str(error))
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            known = journal.bound(conn, self.address)
            if not known:
                journal.bind(conn, self.address, event.seal)
            applied = ingest.apply(conn, event, system)
            number = journal.add_entry(conn, self.address, event, _again(event, applied))
            self._mirror(conn, event, applied)
            if known and event.seal not in known:
                self._stranger(conn, event, applied, system)
        self._tell(event, applied, number)

    def _apply_verdict(self, raw: bytes) -> None:
        try:
            verdict = RecordVerdict.decode(raw)
        except LayoutError:
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            applied = ingest.apply_verdict(conn, verdict, "found by the master station", self._system.now())
            self._mirror_openings(conn, verdict.seal, applied)
            own = applied.own
            # It was taken for a repetition of the forged one, and nobody else has heard of it.
            if own is not None and not journal.has(conn, self.address, own.record):
                journal.add_entry(conn, self.address, own, own.record)
                self._close(conn, own)
        trace_alarms(self._trace, applied)

    def _mirror(self, conn: Connection, event: SealEvent, applied: Applied) -> None:
        """Openings and closings into the standard records of the terminal cover."""
        self._mirror_openings(conn, event.seal, applied)
        if applied.outcome is Outcome.NEW:
            self._close(conn, event)

    def _close(self, conn: Connection, event: SealEvent) -> None:
        if event.proves_sealed:
            journal.close_openings(conn, self.address, event.seal, event.counter, event.occurred_at)

    def _mirror_openings(self, conn: Connection, seal: str, applied: Applied) -> None:
        for alarm in applied.raised:
            if alarm.code is not Code.SEAL_OPEN_UNMATCHED:
                continue
            # Not always what was just reported: that can show that the event after it was an opening.
            opened = events.find(conn, seal, alarm.counter)
            closed = events.following(conn, seal, alarm.counter, proves_sealed=True)
            if opened is not None:
                ended_at = None if closed is None else closed.occurred_at
                journal.open_cover(conn, self.address, seal, opened.counter, opened.occurred_at, ended_at)

    def _stranger(self, conn: Connection, event: SealEvent, applied: Applied, at: datetime) -> None:
        if alarms.active(conn, event.seal, Code.UNKNOWN_DEVICE):
            return
        detail = f"not one of the seals of meter {self.address}"
        new = alarms.raise_alarm(conn, Code.UNKNOWN_DEVICE, event.seal, event.counter, at, detail)
        applied.note(raised=new)
        diagnostics.count(conn, "unknown_seal", self.address, at=at, raw=event.record)

    def _tell(self, event: SealEvent, applied: Applied, number: int | None) -> None:
        if number is not None:
            trace_event(self._trace, event, meter=self.address, number=number)
        trace_alarms(self._trace, applied)

    def _unreadable(self, record: bytes, reason: str) -> None:
        """A record of a layout this meter does not know; refused, so that the seal's red lamp shows it."""
        at = self._system.now()
        with self._database.transaction() as conn:
            diagnostics.count(conn, "unreadable_record", self.address, at=at, raw=record)
            applied = Applied()
            applied.note(raised=alarms.raise_alarm(conn, Code.RECORD_UNREADABLE, self.address, 0, at, reason))
        trace_alarms(self._trace, applied)

    def _identify(self, report: bytes) -> None:
        try:
            seal = bcd.address(unpack(IDENTITY_REPORT, report)["seal"])
        except LayoutError:
            self.count("unreadable_identity", self.address, report)
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            journal.keep_identity(conn, self.address, seal, report)

    def _reset_report(self, word: bytes) -> None:
        """04001503: a bit 0 clears, 1 keeps (12 bytes)."""
        if len(word) != 12:
            raise Refusal(Err.OTHER)
        if not int.from_bytes(word, "little") >> TERMINAL_COVER_OPEN & 1:
            with self._database.transaction() as conn:
                journal.clear_report(conn, self.address)

    def _asked_time(self, write: Write) -> datetime:
        """The time that a write of date, time or both asks for; what it leaves out stays as it is."""
        now = self.now().astimezone(CST)
        try:
            if write.di == DATE:
                return datetime.combine(day(write.data), now.timetz())
            if write.di == TIME:
                return datetime.combine(now.date(), time_of_day(write.data), tzinfo=CST)
            return clock(write.data)
        except ValueError:
            raise Refusal(Err.OTHER) from None

    def _set_clock(self, to: datetime, by: str, operator: bytes) -> None:
        system = self._system.now()
        step = to - self._clock.at(system)
        corrected = self._clock.set(system, to)
        with self._database.transaction() as conn:
            journal.store_offset(conn, self.address, corrected.offset)
            if abs(step) > BIG_STEP:
                diagnostics.count(conn, "clock_step", f"{self.address} by {by}", at=system, raw=operator)
        self._clock = corrected
        self._trace("clock", meter=self.address, step_s=step / timedelta(seconds=1), by=by)


def _again(event: SealEvent, applied: Applied) -> bytes:
    """Why the journal should have the event even if it has one of the same fact."""
    if applied.outcome is Outcome.NEW:
        # That one was disowned, and this record says the same.
        return event.record
    return b"replayed" if any(alarm.code is Code.SEAL_REPLAY for alarm in applied.raised) else b""
