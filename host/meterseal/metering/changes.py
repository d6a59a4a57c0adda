"""The alarms that one transaction raises and clears, noted so that they can be told once it is durable."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from meterseal.alarms import Code
from meterseal.store import alarms
from meterseal.store.ledger import Recorded
from meterseal.trace import Trace

__all__ = ["Changes", "Told", "tell"]


class Told(NamedTuple):
    """One alarm that was raised or cleared."""

    code: Code
    seal: str
    counter: int


class Changes:
    """One transaction's alarms, all at the same time `at`."""

    def __init__(self, conn: Connection, at: datetime) -> None:
        self.conn = conn
        self.at = at
        self.raised: list[Told] = []
        self.cleared: list[Told] = []

    def raise_alarm(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise the alarm of this very (subject, counter)."""
        if alarms.raise_alarm(self.conn, code, subject, counter, self.at, detail):
            self.raised.append(Told(code, subject, counter))

    def raise_while_none(self, code: Code, subject: str, counter: int, detail: str) -> None:
        """Raise unless one of this code is active: for a condition that lasts, not for an event."""
        if not alarms.active(self.conn, subject, code):
            self.raise_alarm(code, subject, counter, detail)

    def clear(self, code: Code, subject: str, counter: int | None = None) -> None:
        """Clear the active alarms of `code`, or the one with `counter`."""
        for alarm in alarms.active(self.conn, subject, code):
            if counter in (None, alarm.counter):
                alarms.clear_one(self.conn, code, subject, alarm.counter, self.at)
                self.cleared.append(Told(code, subject, alarm.counter))

    def note(self, recorded: Recorded) -> None:
        """What the ledger raised and cleared."""
        self.raised += [Told(alarm.code, alarm.seal, alarm.counter) for alarm in recorded.raised]
        self.cleared += [Told(alarm.code, alarm.seal, alarm.counter) for alarm in recorded.cleared]


def tell(trace: Trace, raised: Iterable[Told], cleared: Iterable[Told]) -> None:
    """Trace alarms, once they are durable."""
    for told in raised:
        trace("alarm", **told._asdict(), raised=True)
    for told in cleared:
        trace("alarm", **told._asdict(), raised=False)
