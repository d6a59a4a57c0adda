"""A terminal's report becomes an event or an alarm: checked, stored and passed on in one transaction.

Nothing is dropped: a report that cannot be read is kept as bytes, counted and alarmed, and so is one whose
record is not proved to be the seal's. A repetition of any report changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.layout import LayoutError
from meterseal.domain.verdict import VerdictCode
from meterseal.protocols import handover
from meterseal.protocols.csg1209022.alarm import AlarmError, AlarmHead, AlarmState
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import Frame
from meterseal.protocols.csg1209022.user_data import SealReport, UserDataError
from meterseal.store import diagnostics, ingest, outbox
from meterseal.store.applied import Applied
from meterseal.store.events import Outcome
from meterseal.systems.metering import bindings, findings, quarantine, standard_alarms
from meterseal.systems.metering.findings import Route
from meterseal.systems.metering.monitor import Monitor, is_cover
from meterseal.systems.metering.registry import terminal_name
from meterseal.systems.metering.tables import MARKETING
from meterseal.systems.metering.unit_of_work import UnitOfWork
from meterseal.systems.metering.verification import MacStatus, Verifier

__all__ = ["Intake"]


class Intake:
    """The intake stores reports; every method works in the caller's transaction.

    A record that `verifier` does not trust is not applied as an event, so it clears no alarm
    (`test_a_forged_closing_clears_nothing`).
    """

    def __init__(self, monitor: Monitor, verifier: Verifier) -> None:
        self._monitor = monitor
        self._verifier = verifier

    def seen(self, conn: Connection, terminal: str, now: datetime) -> Applied:
        """Note a login or a heartbeat of `terminal`."""
        work = UnitOfWork(conn, now)
        self._monitor.seen(work, terminal)
        return work.applied

    def report(self, conn: Connection, frame: Frame, now: datetime, online_since: datetime | None) -> Applied:
        """Store a report of any kind; `online_since` is the login on the connection that brought it."""
        work = UnitOfWork(conn, now)
        terminal = terminal_name(frame.address)
        self._monitor.seen(work, terminal)
        try:
            if (frame.afn, frame.di) == (Afn.USER_DEFINED, UplinkDi.USER_DEFINED):
                self._seal_report(work, frame.content, terminal, frame.point, online_since)
            elif frame.afn == Afn.ALARM:
                self._standard_alarm(work, frame, terminal)
            else:
                why = f"AFN {frame.afn:02X} DI {frame.di:08X} is not expected from a terminal"
                diagnostics.count(conn, "unsupported_report", terminal, at=now, raw=frame.encode())
                diagnostics.keep(conn, "report", terminal, frame.body, why, now)
                work.applied.understood = False
        except (UserDataError, LayoutError, AlarmError) as error:
            self._unreadable(work, frame, terminal, error)
        return work.applied

    def retake(self, conn: Connection, now: datetime) -> list[Applied]:
        """Apply the quarantined reports that are proved under the present keys."""
        done = []
        for report in quarantine.waiting(conn):
            event = replace(report.event, stored_at=now)
            if not self._verifier.trusts(self._verifier.check(event.decoded, event.record)):
                continue
            work = UnitOfWork(conn, now)
            self._take(work, event, report.report, report.point, None)
            work.clear(Code.SEAL_AUTH_FAIL, event.seal, event.counter)
            quarantine.release(conn, report.id, now)
            done.append(work.applied)
        return done

    def proved(
        self, conn: Connection, record: bytes, meter: str, terminal: str, now: datetime
    ) -> list[Applied]:
        """Apply the quarantined reports of the event that a seal has just signed over a challenge.

        Times and route are those of the answer, since in the reports they may be forged too.
        """
        event = SealEvent.from_record(record, meter=meter, terminal=terminal, occurred_at=now, stored_at=now)
        event = replace(event, occurred_at=now - timedelta(seconds=event.decoded.age))
        done = []
        for report in quarantine.waiting(conn):
            if report.event.fact != event.fact:
                continue
            work = UnitOfWork(conn, now)
            self._take(work, event, report.report, None, None)
            quarantine.release(conn, report.id, now)
            done.append(work.applied)
        return done

    def _seal_report(
        self,
        work: UnitOfWork,
        content: bytes,
        terminal: str,
        point: int | None,
        online_since: datetime | None,
    ) -> None:
        report = SealReport.decode(content)
        event = SealEvent.from_record(
            report.entry.record,
            meter=report.meter,
            terminal=terminal,
            occurred_at=report.entry.occurred_at,
            received_at=report.entry.received_at,
            stored_at=work.at,
        )
        self._take(work, event, content, point, online_since)

    def _take(
        self,
        work: UnitOfWork,
        event: SealEvent,
        content: bytes,
        point: int | None,
        online_since: datetime | None,
    ) -> None:
        status = self._verifier.check(event.decoded, event.record)
        if not self._verifier.trusts(status):
            self._quarantine(work, event, status, content, point)
            return
        applied = ingest.apply(work.conn, event, work.at)
        work.applied.include(applied)
        work.applied.event, work.applied.outcome = applied.event, applied.outcome
        if applied.outcome is Outcome.KNOWN and applied.raised:
            # A replay: marketing derives that from the copy by itself, as the meter and the terminal did.
            self._hand_on(work, event, f"{handover.key(event)}-again")
        if applied.outcome is Outcome.CONFLICT:
            diagnostics.count(work.conn, "conflict", event.seal, at=work.at, raw=event.record)
            self._hand_on(work, event, f"{handover.key(event)}-{_digest(event)}")
            if status is MacStatus.VERIFIED:
                detail = "signed by the seal, and not what it had said under this number"
                route = Route(str(event.meter), str(event.terminal), point)
                findings.issue(work, VerdictCode.REPLAY, event.record, detail, route)
        if applied.outcome is Outcome.NEW:
            if point is not None:
                bindings.bind(work.conn, event.seal, str(event.meter), str(event.terminal), point, work.at)
            self._monitor.stored(work, event, online_since)
            self._hand_on(work, event, handover.key(event))

    def _quarantine(
        self, work: UnitOfWork, event: SealEvent, status: MacStatus, report: bytes, point: int | None
    ) -> None:
        diagnostics.count(work.conn, "withheld", event.seal, at=work.at, raw=event.record)
        quarantine.keep(work.conn, event, report, point, work.at)
        claim = f"{event.kind.name.lower()}, {event.state.name.lower()}"
        detail = f"report by terminal {event.terminal}: {status.reason}; it says {claim}; kept, no event"
        route = Route(str(event.meter), str(event.terminal), point)
        findings.issue(work, VerdictCode.AUTH_FAIL, event.record, detail, route)

    def _hand_on(self, work: UnitOfWork, event: SealEvent, key: str) -> None:
        outbox.put(work.conn, MARKETING, key, handover.encode(event), work.at)

    def _standard_alarm(self, work: UnitOfWork, frame: Frame, terminal: str) -> None:
        head = AlarmHead.decode(frame.content)
        cover = is_cover(frame.di)
        new = standard_alarms.append(
            work.conn,
            terminal=terminal,
            da=frame.da,
            point=frame.point,
            di=frame.di,
            occurred_at=head.at,
            state=head.state,
            content=frame.content,
            received_at=work.at,
            settled=not cover or head.state is AlarmState.RECOVERED,
        )
        if new is not None and cover:
            self._monitor.alarmed(work, new)

    def _unreadable(self, work: UnitOfWork, frame: Frame, terminal: str, error: ValueError) -> None:
        raw = frame.encode()
        diagnostics.count(work.conn, "unreadable_report", terminal, at=work.at, raw=raw)
        kept = diagnostics.keep(work.conn, "report", terminal, frame.body, str(error), work.at)
        if kept is not None:
            work.raise_alarm(Code.RECORD_UNREADABLE, terminal, kept, f"kept as {kept}: {error}")


def _digest(event: SealEvent) -> str:
    return hashlib.sha256(event.fact).hexdigest()[:16]
