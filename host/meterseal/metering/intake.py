"""What a terminal's report becomes, in one transaction: event or alarm, judged, and handed on.

Nothing is dropped: a report that cannot be read is kept as bytes, counted and alarmed. Everything may be
repeated; a repetition changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from meterseal import handover
from meterseal.alarms import Code
from meterseal.metering import bindings, standard_alarms
from meterseal.metering.changes import Changes, Told
from meterseal.metering.monitor import Monitor, is_cover
from meterseal.metering.registry import terminal_name
from meterseal.seal.layout import LayoutError
from meterseal.store import diagnostics, ledger, outbox
from meterseal.store.events import Outcome, SealEvent
from meterseal.uplink.alarm import AlarmError, AlarmHead, AlarmState
from meterseal.uplink.codes import Afn, UplinkDi
from meterseal.uplink.frame import Frame
from meterseal.uplink.user_data import SealReport, UserDataError

__all__ = ["TOPIC", "Intake", "Taken"]

#: Outbox topic of events on their way to marketing.
TOPIC = "marketing"


@dataclass(slots=True)
class Taken:
    """What one report did. `understood` False: it is kept, but sending it again will not help."""

    understood: bool = True
    event: SealEvent | None = None
    outcome: Outcome | None = None
    raised: list[Told] = field(default_factory=list)
    cleared: list[Told] = field(default_factory=list)


class Intake:
    """Stores reports; every method works in the caller's transaction."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def heard(self, conn: Connection, terminal: str, now: datetime) -> Taken:
        """A login or a heartbeat."""
        changes = Changes(conn, now)
        self._monitor.heard(changes, terminal)
        return Taken(raised=changes.raised, cleared=changes.cleared)

    def report(self, conn: Connection, frame: Frame, now: datetime, online_since: datetime | None) -> Taken:
        """A report of any kind; `online_since` is the login on the connection that brought it."""
        changes = Changes(conn, now)
        terminal = terminal_name(frame.address)
        self._monitor.heard(changes, terminal)
        taken = Taken(raised=changes.raised, cleared=changes.cleared)
        try:
            if (frame.afn, frame.di) == (Afn.USER_DEFINED, UplinkDi.USER_DEFINED):
                self._seal_report(changes, taken, frame, terminal, online_since)
            elif frame.afn == Afn.ALARM:
                self._standard_alarm(changes, frame, terminal)
            else:
                why = f"AFN {frame.afn:02X} DI {frame.di:08X} is not expected from a terminal"
                diagnostics.count(conn, "unsupported_report", terminal, at=now, raw=frame.encode())
                diagnostics.keep(conn, "report", terminal, frame.body, why, now)
                taken.understood = False
        except (UserDataError, LayoutError, AlarmError) as error:
            self._unreadable(changes, frame, terminal, error)
        return taken

    def _seal_report(
        self, changes: Changes, taken: Taken, frame: Frame, terminal: str, online_since: datetime | None
    ) -> None:
        report = SealReport.decode(frame.content)
        event = SealEvent.of(
            report.entry.record,
            meter=report.meter,
            terminal=terminal,
            occurred_at=report.entry.occurred_at,
            received_at=report.entry.received_at,
            stored_at=changes.at,
        )
        recorded = ledger.record(changes.conn, event, changes.at)
        changes.note(recorded)
        taken.event, taken.outcome = event, recorded.outcome
        if recorded.outcome is Outcome.CONFLICT:
            diagnostics.count(changes.conn, "conflict", event.seal, at=changes.at, raw=event.record)
            self._hand_on(changes, event, f"{handover.key(event)}-{_digest(event)}")
        if recorded.outcome is Outcome.NEW:
            if frame.point is not None:
                at = (report.meter, terminal, frame.point, changes.at)
                bindings.bind(changes.conn, event.seal, *at)
            self._monitor.stored(changes, event, online_since)
            self._hand_on(changes, event, handover.key(event))

    def _hand_on(self, changes: Changes, event: SealEvent, key: str) -> None:
        outbox.put(changes.conn, TOPIC, key, handover.encode(event), changes.at)

    def _standard_alarm(self, changes: Changes, frame: Frame, terminal: str) -> None:
        head = AlarmHead.decode(frame.content)
        cover = is_cover(frame.di)
        new = standard_alarms.append(
            changes.conn,
            terminal=terminal,
            da=frame.da,
            point=frame.point,
            di=frame.di,
            at=head.at,
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
