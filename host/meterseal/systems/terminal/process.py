"""The terminal's process polls its meters and stays connected to its master station."""

from __future__ import annotations

import asyncio
from pathlib import Path

from meterseal.clock import Clock, SystemClock
from meterseal.domain.alarm_rules import Code
from meterseal.io.endpoint import parse_endpoint
from meterseal.io.ports import Line
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.csg1209022.terminal import TerminalLink
from meterseal.protocols.dlt645 import requests
from meterseal.store.applied import Applied
from meterseal.store.database import Database
from meterseal.store.trace_events import trace_applied
from meterseal.systems.terminal.answers import Answers
from meterseal.systems.terminal.bus import Bus, SilentError
from meterseal.systems.terminal.poll import Poller
from meterseal.systems.terminal.schedule import LOST_AFTER, Schedule
from meterseal.systems.terminal.settings import Settings
from meterseal.systems.terminal.store import SCHEMA, TerminalStore
from meterseal.systems.terminal.uplink import Uplink
from meterseal.trace import Trace

__all__ = ["run"]

#: Seconds between two broadcasts of the time.
SYNC_PERIOD = 86400.0


class Terminal:
    """A terminal consists of a bus, a poller, a schedule, an uplink and a store."""

    def __init__(
        self, settings: Settings, line: Line, database: Database, clock: Clock, trace: Trace
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._trace = trace
        self._store = TerminalStore(database, clock, settings.name, settings.points)
        self._bus = Bus(
            line,
            clock=clock,
            trace=trace,
            diagnostic=self._discarded,
            baud=settings.baud,
            timeout=settings.timeout,
        )
        self._poller = Poller(self._bus.ask, self._store, clock, self._publish)
        self._schedule = Schedule(settings.points, period=settings.poll)
        link = TerminalLink(settings.address, heartbeat=settings.heartbeat, timeout=settings.confirm_timeout)
        meters = {point: meter for meter, point in settings.points.items()}
        answers = Answers(self._bus, self._store, clock, meters, self._publish)
        self._uplink = Uplink(settings.station, link, self._store, answers, clock=clock, trace=trace)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run())
            tasks.create_task(self._uplink.run())
            tasks.create_task(self._uplink.answer())
            tasks.create_task(self._poll())
            if self._settings.sync_clock:
                tasks.create_task(self._sync())

    async def _poll(self) -> None:
        while True:
            now = self._clock.monotonic()
            meter = self._schedule.due(now)
            if meter is None:
                await asyncio.sleep(self._schedule.next_at - now)
            else:
                await self._turn(meter)

    async def _turn(self, meter: str) -> None:
        try:
            more = await self._poller.turn(meter)
        except SilentError as error:
            if self._schedule.silent(meter, self._clock.monotonic()):
                detail = f"{LOST_AFTER} polls unanswered: {error}"
                self._publish(meter, self._store.begin(Code.SEAL_COMMS_LOST, meter, detail))
        else:
            if self._schedule.answered(meter, self._clock.monotonic(), more=more):
                self._publish(meter, self._store.end(Code.SEAL_COMMS_LOST, meter))

    async def _sync(self) -> None:
        while True:
            await self._bus.ask(requests.broadcast_time(self._clock.now()))
            await asyncio.sleep(SYNC_PERIOD)

    def _discarded(self, what: str, raw: bytes) -> None:
        self._store.count(what, "bus", raw)
        self._trace("discarded", wire="rs485", bytes=hex_digits(raw), reason=what)

    def _publish(self, meter: str, applied: Applied) -> None:
        self._uplink.wake()
        trace_applied(self._trace, applied, meter=meter)


async def run(settings: Settings, store: Path, trace: Trace) -> None:
    """Open the bus and the store, and work until cancelled; `Failure` when either cannot be opened."""
    parse_endpoint(settings.station)
    line = Line(settings.bus, trace=trace, baud=settings.baud)
    database = Database(store, SCHEMA)
    try:
        await line.open(settings.wait)
        terminal = Terminal(settings, line, database, SystemClock(), trace)
        trace("ready", bus=line.url, station=settings.station, terminal=settings.name, store=str(store))
        await terminal.run()
    finally:
        line.close()
        database.close()
