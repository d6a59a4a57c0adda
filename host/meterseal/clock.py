"""Time is an argument: every part of the chain is given a clock, the machine's own or one set by a test."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

__all__ = ["CST", "Clock", "ManualClock", "SystemClock", "isoformat"]

#: China Standard Time, the zone of every BCD time on the wire.
CST = timezone(timedelta(hours=8), "CST")


class Clock(Protocol):
    """A clock gives the wall time and a steady time in seconds."""

    def now(self) -> datetime:
        """Return the wall time, aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class SystemClock:
    """This clock is the machine's own."""

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds of the system's steady clock."""
        return time.monotonic()


class ManualClock:
    """This clock moves only when a test moves it."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the wall time as last set."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def isoformat(at: datetime) -> str:
    """Format `at` for JSON documents: ISO 8601 in China Standard Time with milliseconds and zone."""
    return at.astimezone(CST).isoformat(timespec="milliseconds")
