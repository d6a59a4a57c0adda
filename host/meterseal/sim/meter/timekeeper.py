"""Keeps a meter's clock in the store, reads and sets it over the bus, and counts its large steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from meterseal.clock import CST, Clock
from meterseal.protocols.dlt645.identifiers import StandardDi
from meterseal.protocols.dlt645.values import (
    clock,
    clock_bytes,
    date_bytes,
    day,
    time_bytes,
    time_of_day,
)
from meterseal.sim.meter import journal
from meterseal.sim.meter.clock import BIG_STEP, MeterClock
from meterseal.store import diagnostics
from meterseal.store.database import Database
from meterseal.trace import Trace

__all__ = ["CLOCK_ITEMS", "Timekeeper"]

#: The data identifiers of date, time, and both.
CLOCK_ITEMS: Final = frozenset({StandardDi.DATE, StandardDi.TIME, StandardDi.CLOCK})


class Timekeeper:
    """The clock of the registered meter at `address`, which keeps its error through a restart."""

    def __init__(self, address: str, database: Database, *, system: Clock, trace: Trace) -> None:
        self._address = address
        self._database = database
        self._system = system
        self._trace = trace
        with database.reading() as conn:
            self._clock = MeterClock(journal.load_offset(conn, address))

    def now(self) -> datetime:
        """Return the meter's time, to the second."""
        return self._clock.at(self._system.now())

    def at(self, system: datetime) -> datetime:
        """Return the meter's time when the system's is `system`."""
        return self._clock.at(system)

    def event(self, system: datetime, age: int) -> datetime:
        """Return when an event happened that is `age` seconds old at `system`, by the meter's clock."""
        return self._clock.event(system, age)

    def read(self, di: int) -> bytes:
        """Return the content of one of `CLOCK_ITEMS`."""
        encoders: dict[int, Callable[[datetime], bytes]] = {
            StandardDi.DATE: date_bytes,
            StandardDi.TIME: time_bytes,
            StandardDi.CLOCK: clock_bytes,
        }
        return encoders[di](self.now())

    def requested(self, di: int, content: bytes) -> datetime:
        """Return the time that a write of one of `CLOCK_ITEMS` asks for; what it leaves out stays as it is.

        Raises `ValueError` for a content that is not a time.
        """
        now = self.now().astimezone(CST)
        if di == StandardDi.DATE:
            return datetime.combine(day(content), now.timetz())
        if di == StandardDi.TIME:
            return datetime.combine(now.date(), time_of_day(content), tzinfo=CST)
        return clock(content)

    def set(self, to: datetime, by: str, operator: bytes = b"") -> None:
        """Set the clock to `to`; a step beyond `BIG_STEP` is counted with what caused it."""
        system = self._system.now()
        step = to - self._clock.at(system)
        corrected = self._clock.set(system, to)
        with self._database.transaction() as conn:
            journal.store_offset(conn, self._address, corrected.offset)
            if abs(step) > BIG_STEP:
                diagnostics.count(conn, "clock_step", f"{self._address} by {by}", at=system, raw=operator)
        self._clock = corrected
        self._trace("clock", meter=self._address, step_s=step / timedelta(seconds=1), by=by)
