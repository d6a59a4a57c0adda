"""A meter's own clock gives the system's time plus an offset.

It is as wrong as it was last set, which is why each system of the chain keeps its own time of an event
beside the meter's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from meterseal.clock import CST

__all__ = ["BIG_STEP", "EARLIEST", "MeterClock"]

#: A larger correction is counted: the standard lets a broadcast move a clock by five minutes.
BIG_STEP = timedelta(minutes=5)
#: Times on the wire have two digits for the year.
EARLIEST = datetime(2000, 1, 1, tzinfo=CST)


@dataclass(frozen=True, slots=True)
class MeterClock:
    """A clock that is ahead of the system's time by `offset`, whole milliseconds."""

    offset: timedelta = timedelta()

    def at(self, system: datetime) -> datetime:
        """Return the meter's time, to the second, when the system's is `system`."""
        return (system + self.offset).astimezone(UTC).replace(microsecond=0)

    def event(self, system: datetime, age: int) -> datetime:
        """Return when an event happened that is `age` seconds old at `system`; never before the year 2000."""
        now = self.at(system)
        return now - min(timedelta(seconds=age), now - EARLIEST)

    def set(self, system: datetime, to: datetime) -> MeterClock:
        """Return the clock that shows `to` when the system's time is `system`."""
        offset = to - system
        return MeterClock(offset - timedelta(microseconds=offset.microseconds % 1000))
