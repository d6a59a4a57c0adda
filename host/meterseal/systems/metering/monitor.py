"""The monitor raises alarms that no single event shows.

They are lost terminals, drifting meter clocks, unknown devices, and cover alarms that no seal explains.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from meterseal.clock import isoformat
from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.record import Kind, StateClass
from meterseal.protocols.csg1209022.alarm import AlarmState
from meterseal.protocols.csg1209022.codes import UplinkDi
from meterseal.store import alarms, diagnostics, events
from meterseal.systems.metering import bindings, standard_alarms, terminals
from meterseal.systems.metering.registry import Registry
from meterseal.systems.metering.settings import Settings
from meterseal.systems.metering.standard_alarms import StandardAlarm
from meterseal.systems.metering.unit_of_work import UnitOfWork

__all__ = ["Monitor", "is_cover"]

_COVERS = frozenset({UplinkDi.TERMINAL_COVER_OPEN, UplinkDi.METER_COVER_OPEN})


def is_cover(di: int) -> bool:
    """Return whether `di` is an alarm about an opened cover of a meter."""
    return di in _COVERS


class Monitor:
    """The monitor applies its rules by settings and registry; every method works in one transaction."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry

    def start(self, work: UnitOfWork) -> None:
        """Expect the registered terminals, and clear alarms about devices that were registered since."""
        for name in sorted(self._registry.terminals):
            terminals.expect(work.conn, name, work.at)
        for alarm in alarms.active(work.conn, code=Code.UNKNOWN_TERMINAL):
            if self._registry.knows_terminal(alarm.subject):
                work.clear(Code.UNKNOWN_TERMINAL, alarm.subject)
        for alarm in alarms.active(work.conn, code=Code.UNKNOWN_DEVICE):
            binding = bindings.find(work.conn, alarm.subject)
            if self._registry.knows_seal(alarm.subject, binding.meter if binding else None):
                work.clear(Code.UNKNOWN_DEVICE, alarm.subject)

    def seen(self, work: UnitOfWork, terminal: str) -> None:
        """Note that the terminal sent something."""
        terminals.seen(work.conn, terminal, work.at)
        work.clear(Code.TERMINAL_LOST, terminal)
        if not self._registry.knows_terminal(terminal):
            diagnostics.count(work.conn, "unknown_terminal", terminal, at=work.at)
            work.raise_while_none(Code.UNKNOWN_TERMINAL, terminal, _seconds(work.at), "not registered")

    def stored(self, work: UnitOfWork, event: SealEvent, online_since: datetime | None) -> None:
        """Check a new event of a seal; `online_since` is the login of the connection that brought it."""
        if not self._registry.knows_seal(event.seal, event.meter):
            diagnostics.count(work.conn, "unknown_seal", event.seal, at=work.at)
            detail = f"not registered for meter {event.meter}, reported by terminal {event.terminal}"
            work.raise_while_none(Code.UNKNOWN_DEVICE, event.seal, event.counter, detail)
        self._check_clock(work, event, online_since)
        if _is_open(event):
            self._explain_covers(work, event)

    def alarmed(self, work: UnitOfWork, alarm: StandardAlarm) -> None:
        """Take a new standard alarm about a meter's cover."""
        if alarm.state == AlarmState.RECOVERED:
            self._recovered(work, alarm)
        elif not self._explained(work, alarm) and not self._expects_record(work.conn, alarm):
            self._raise_cover(work, alarm)

    def tick(self, work: UnitOfWork, listening_since: datetime) -> None:
        """Apply the rules of time alone; no terminal is lost before `listening_since` plus the patience."""
        patience = timedelta(seconds=self._settings.patience)
        if work.at - listening_since >= patience:
            for terminal in terminals.silent(work.conn, work.at - patience):
                self._lost(work, terminal)
        grace = timedelta(seconds=self._settings.cover_grace)
        for alarm in standard_alarms.waiting(work.conn, work.at - grace):
            if not self._explained(work, alarm):
                self._raise_cover(work, alarm)

    def _lost(self, work: UnitOfWork, terminal: terminals.Terminal) -> None:
        since = terminal.last_seen_at
        detail = "never heard" if since is None else f"silent since {isoformat(since)}"
        key = _seconds(since or terminal.added_at)
        work.raise_while_none(Code.TERMINAL_LOST, terminal.name, key, detail)

    def _check_clock(self, work: UnitOfWork, event: SealEvent, online_since: datetime | None) -> None:
        if event.received_at is None:
            return
        ahead = event.received_at - work.at
        limit = timedelta(seconds=self._settings.clock_drift)
        # A record may have waited for the connection. Only one that the meter dates after the login has
        # not, so a lag in it is the clock's.
        waited = online_since is None or event.received_at < online_since
        if ahead > limit or (ahead < -limit and not waited):
            detail = f"meter {event.meter}: clock {ahead.total_seconds():+.0f} s"
            work.raise_while_none(Code.CLOCK_DRIFT, event.seal, event.counter, detail)
        elif abs(ahead) <= limit:
            work.clear(Code.CLOCK_DRIFT, event.seal)

    @property
    def _tolerance(self) -> timedelta:
        return timedelta(seconds=self._settings.cover_tolerance)

    def _explain_covers(self, work: UnitOfWork, event: SealEvent) -> None:
        here = bindings.find(work.conn, event.seal)
        if here is None:
            return
        covers = standard_alarms.near(
            work.conn, here.terminal, here.point, event.occurred_at, self._tolerance
        )
        for alarm in covers:
            standard_alarms.explain(work.conn, alarm.id, event.seal, event.counter, work.at)
            work.clear(Code.COVER_OPEN, alarm.terminal, alarm.id)

    def _explained(self, work: UnitOfWork, alarm: StandardAlarm) -> bool:
        if alarm.point is None:
            return False
        here = bindings.seals_at(work.conn, alarm.terminal, alarm.point)
        about = (alarm.occurred_at - self._tolerance, alarm.occurred_at + self._tolerance)
        for event in events.between(work.conn, *about):
            if event.seal in here and _is_open(event):
                standard_alarms.explain(work.conn, alarm.id, event.seal, event.counter, work.at)
                return True
        return False

    def _expects_record(self, conn: Connection, alarm: StandardAlarm) -> bool:
        if alarm.point is None:
            return False
        registered = self._registry.has_seal_at(alarm.terminal, alarm.point)
        return registered or bool(bindings.seals_at(conn, alarm.terminal, alarm.point))

    def _raise_cover(self, work: UnitOfWork, alarm: StandardAlarm) -> None:
        where = f"DA {alarm.da}" if alarm.point is None else f"point {alarm.point}"
        detail = f"{where}: {alarm.di:08X} at {isoformat(alarm.occurred_at)}, no seal record"
        work.raise_alarm(Code.COVER_OPEN, alarm.terminal, alarm.id, detail)
        standard_alarms.settle(work.conn, alarm.id, work.at)

    def _recovered(self, work: UnitOfWork, recovery: StandardAlarm) -> None:
        for alarm in alarms.active(work.conn, recovery.terminal, Code.COVER_OPEN):
            opened = standard_alarms.get(work.conn, alarm.counter)
            if (opened.da, opened.di) == (recovery.da, recovery.di):
                work.clear(Code.COVER_OPEN, alarm.subject, alarm.counter)


def _is_open(event: SealEvent) -> bool:
    found_open = event.kind is Kind.BOOT and event.state not in (StateClass.SEALED, StateClass.UNKNOWN)
    return event.kind is Kind.OPENED or found_open


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
