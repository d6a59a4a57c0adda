"""Time as an argument: the two clocks that anything in the chain may ask."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

__all__ = ["CST", "Clock", "ManualClock", "SystemClock", "isoformat"]

#: China Standard Time, the zone of every BCD time on the wire.
CST = timezone(timedelta(hours=8), "CST")


class Clock(Protocol):
    """Wall time (aware, UTC) and a steady time in seconds."""

    def now(self) -> datetime:
        """Wall time, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the system's steady clock."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Wall time as last set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def isoformat(at: datetime) -> str:
    """ISO 8601 in China Standard Time with milliseconds and zone, as every JSON document has it."""
    return at.astimezone(CST).isoformat(timespec="milliseconds")
