"""A unit of work is one running transaction of the metering system: connection, time, and what it
has applied.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import Code
from meterseal.store import alarms
from meterseal.store.applied import Applied

__all__ = ["UnitOfWork"]


class UnitOfWork:
    """Carries one transaction through the rules: all its changes have the time `at`, and `applied`
    collects them.
    """

    def __init__(self, conn: Connection, at: datetime) -> None:
        self.conn = conn
        self.at = at
        self.applied = Applied()

    def raise_alarm(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise the alarm of exactly this (subject, counter)."""
        self.applied.note(raised=alarms.raise_alarm(self.conn, code, subject, counter, self.at, detail))

    def raise_while_none(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise the alarm unless one of this code is active, for a lasting condition instead of an event."""
        if not alarms.active(self.conn, subject, code):
            self.raise_alarm(code, subject, counter, detail)

    def clear(self, code: Code, subject: str, counter: int | None = None) -> None:
        """Clear the active alarms of `code`, or the one with `counter`."""
        for alarm in alarms.active(self.conn, subject, code):
            if counter in (None, alarm.counter):
                self.applied.note(cleared=alarms.clear_one(self.conn, code, subject, alarm.counter, self.at))
