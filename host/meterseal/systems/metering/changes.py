"""The alarms that one transaction raises and clears, noted so that they can be told once it is durable."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import Code
from meterseal.store import alarms
from meterseal.store.alarms import Alarm
from meterseal.store.ingest import Recorded

__all__ = ["Changes"]


class Changes:
    """One transaction's alarms, all at the same time `at`."""

    def __init__(self, conn: Connection, at: datetime) -> None:
        self.conn = conn
        self.at = at
        self.raised: list[Alarm] = []
        self.cleared: list[Alarm] = []

    def raise_alarm(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise the alarm of this very (subject, counter)."""
        new = alarms.raise_alarm(self.conn, code, subject, counter, self.at, detail)
        self.raised += [new] if new else []

    def raise_while_none(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise unless one of this code is active: for a condition that lasts, not for an event."""
        if not alarms.active(self.conn, subject, code):
            self.raise_alarm(code, subject, counter, detail)

    def clear(self, code: Code, subject: str, counter: int | None = None) -> None:
        """Clear the active alarms of `code`, or the one with `counter`."""
        for alarm in alarms.active(self.conn, subject, code):
            if counter in (None, alarm.counter):
                ended = alarms.clear_one(self.conn, code, subject, alarm.counter, self.at)
                self.cleared += [ended] if ended else []

    def note(self, recorded: Recorded) -> None:
        """What the ledger raised and cleared."""
        self.raised += recorded.raised
        self.cleared += recorded.cleared
