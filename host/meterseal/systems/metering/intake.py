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
from meterseal.systems.metering.changes import Changes
from meterseal.systems.metering.findings import Route
from meterseal.systems.metering.monitor import Monitor, is_cover
from meterseal.systems.metering.registry import terminal_name
from meterseal.systems.metering.tables import MARKETING
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
        changes = Changes(conn, now)
        self._monitor.seen(changes, terminal)
        return changes.applied

    def report(self, conn: Connection, frame: Frame, now: datetime, online_since: datetime | None) -> Applied:
        """Store a report of any kind; `online_since` is the login on the connection that brought it."""
        changes = Changes(conn, now)
        terminal = terminal_name(frame.address)
        self._monitor.seen(changes, terminal)
        try:
            if (frame.afn, frame.di) == (Afn.USER_DEFINED, UplinkDi.USER_DEFINED):
                self._seal_report(changes, frame.content, terminal, frame.point, online_since)
            elif frame.afn == Afn.ALARM:
                self._standard_alarm(changes, frame, terminal)
            else:
                why = f"AFN {frame.afn:02X} DI {frame.di:08X} is not expected from a terminal"
                diagnostics.count(conn, "unsupported_report", terminal, at=now, raw=frame.encode())
                diagnostics.keep(conn, "report", terminal, frame.body, why, now)
                changes.applied.understood = False
        except (UserDataError, LayoutError, AlarmError) as error:
            self._unreadable(changes, frame, terminal, error)
        return changes.applied

    def retake(self, conn: Connection, now: datetime) -> list[Applied]:
        """Apply the quarantined reports that are proved under the present keys."""
        done = []
        for report in quarantine.waiting(conn):
            event = replace(report.event, stored_at=now)
            if not self._verifier.trusts(self._verifier.check(event.decoded, event.record)):
                continue
            changes = Changes(conn, now)
            self._take(changes, event, report.report, report.point, None)
            changes.clear(Code.SEAL_AUTH_FAIL, event.seal, event.counter)
            quarantine.release(conn, report.id, now)
            done.append(changes.applied)
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
            changes = Changes(conn, now)
            self._take(changes, event, report.report, None, None)
            quarantine.release(conn, report.id, now)
            done.append(changes.applied)
        return done

    def _seal_report(
        self,
        changes: Changes,
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
            stored_at=changes.at,
        )
        self._take(changes, event, content, point, online_since)

    def _take(
        self,
        changes: Changes,
        event: SealEvent,
        content: bytes,
        point: int | None,
        online_since: datetime | None,
    ) -> None:
        status = self._verifier.check(event.decoded, event.record)
        if not self._verifier.trusts(status):
            self._quarantine(changes, event, status, content, point)
            return
        applied = ingest.apply(changes.conn, event, changes.at)
        changes.applied.include(applied)
        changes.applied.event, changes.applied.outcome = applied.event, applied.outcome
        if applied.outcome is Outcome.KNOWN and applied.raised:
            # A replay: marketing derives that from the copy by itself, as the meter and the terminal did.
            self._hand_on(changes, event, f"{handover.key(event)}-again")
        if applied.outcome is Outcome.CONFLICT:
            diagnostics.count(changes.conn, "conflict", event.seal, at=changes.at, raw=event.record)
            self._hand_on(changes, event, f"{handover.key(event)}-{_digest(event)}")
            if status is MacStatus.VERIFIED:
                detail = "signed by the seal, and not what it had said under this number"
                route = Route(str(event.meter), str(event.terminal), point)
                findings.issue(changes, VerdictCode.REPLAY, event.record, detail, route)
        if applied.outcome is Outcome.NEW:
            if point is not None:
                bindings.bind(
                    changes.conn, event.seal, str(event.meter), str(event.terminal), point, changes.at
                )
            self._monitor.stored(changes, event, online_since)
            self._hand_on(changes, event, handover.key(event))

    def _quarantine(
        self, changes: Changes, event: SealEvent, status: MacStatus, report: bytes, point: int | None
    ) -> None:
        diagnostics.count(changes.conn, "withheld", event.seal, at=changes.at, raw=event.record)
        quarantine.keep(changes.conn, event, report, point, changes.at)
        claim = f"{event.kind.name.lower()}, {event.state.name.lower()}"
        detail = f"report by terminal {event.terminal}: {status.reason}; it says {claim}; kept, no event"
        route = Route(str(event.meter), str(event.terminal), point)
        findings.issue(changes, VerdictCode.AUTH_FAIL, event.record, detail, route)

    def _hand_on(self, changes: Changes, event: SealEvent, key: str) -> None:
        outbox.put(changes.conn, MARKETING, key, handover.encode(event), changes.at)

    def _standard_alarm(self, changes: Changes, frame: Frame, terminal: str) -> None:
        head = AlarmHead.decode(frame.content)
        cover = is_cover(frame.di)
        new = standard_alarms.append(
            changes.conn,
            terminal=terminal,
            da=frame.da,
            point=frame.point,
            di=frame.di,
            occurred_at=head.at,
            state=head.state,
            content=frame.content,
            received_at=changes.at,
            settled=not cover or head.state is AlarmState.RECOVERED,
        )
        if new is not None and cover:
            self._monitor.alarmed(changes, new)

    def _unreadable(self, changes: Changes, frame: Frame, terminal: str, error: ValueError) -> None:
        raw = frame.encode()
        diagnostics.count(changes.conn, "unreadable_report", terminal, at=changes.at, raw=raw)
        kept = diagnostics.keep(changes.conn, "report", terminal, frame.body, str(error), changes.at)
        if kept is not None:
            changes.raise_alarm(Code.RECORD_UNREADABLE, terminal, kept, f"kept as {kept}: {error}")


def _digest(event: SealEvent) -> str:
    return hashlib.sha256(event.fact).hexdigest()[:16]
