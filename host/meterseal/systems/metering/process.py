"""The metering process runs station, monitoring, delivery and API around one store."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from meterseal.clock import Clock, SystemClock
from meterseal.errors import Failure
from meterseal.io.endpoint import bound_to, open_listener
from meterseal.io.http import serve_http
from meterseal.store.database import Database
from meterseal.store.ownership import sole_owner
from meterseal.store.trace_events import trace_applied
from meterseal.store.writer import Writer
from meterseal.systems.metering import keys
from meterseal.systems.metering.api import create_app
from meterseal.systems.metering.delivery import Delivery
from meterseal.systems.metering.intake import Intake
from meterseal.systems.metering.keys import MasterKey
from meterseal.systems.metering.monitor import Monitor
from meterseal.systems.metering.reading import OnDemand
from meterseal.systems.metering.registry import Registry
from meterseal.systems.metering.settings import Settings
from meterseal.systems.metering.station import Station
from meterseal.systems.metering.tables import SCHEMA
from meterseal.systems.metering.unit_of_work import UnitOfWork
from meterseal.systems.metering.verdict_downlink import VerdictDownlink
from meterseal.systems.metering.verification import Verifier
from meterseal.trace import Trace

__all__ = ["Options", "run"]

#: Seconds between two runs of the rules that depend on time alone.
_WATCH = 0.5
#: Open files apart from the terminals' connections: store, API, delivery, with room to spare.
_OWN_FILES = 100


@dataclass(frozen=True, slots=True)
class Options:
    """The options state where the process listens, stores and delivers; without `marketing` events wait.

    `master_key` is the file with the key that the seals' keys in the store are encrypted under.
    """

    listen: str
    http: str
    store: Path
    marketing: str | None = None
    registry: Registry = field(default_factory=Registry)
    settings: Settings = field(default_factory=Settings)
    master_key: Path | None = None


async def run(options: Options, trace: Trace, clock: Clock | None = None) -> None:
    """Serve until cancelled; `Failure` when an address is taken, or store or master key cannot be used."""
    master = None if options.master_key is None else MasterKey.read(options.master_key)
    with (
        open_listener(options.listen) as uplink,
        open_listener(options.http) as http,
        sole_owner(options.store),
        closing(Database(options.store, SCHEMA)) as database,
    ):
        with database.reading() as conn:
            verifier = Verifier(keys.load(conn, master), allow_unsigned=options.settings.allow_unsigned)
        try:
            await _serve(options, trace, clock or SystemClock(), database, verifier, uplink, http)
        except* DatabaseError as errors:
            reason = _first(errors)
        else:
            return
    raise Failure(f"store {options.store}: {reason}; nothing that was confirmed is lost")


async def _serve(
    options: Options,
    trace: Trace,
    clock: Clock,
    database: Database,
    verifier: Verifier,
    uplink: socket.socket,
    http: socket.socket,
) -> None:
    registry = options.registry
    settings = replace(options.settings, connections=_room_for(options.settings.connections))
    writer = Writer(database)
    monitor = Monitor(settings, registry)
    delivery = options.marketing and Delivery(options.marketing, database, writer, trace, clock)
    intake = Intake(monitor, verifier)
    woken: list[Callable[[], None]] = [delivery.wake] if delivery else []
    station = Station(settings, intake, writer, trace, clock, partial(_wake, woken))
    verdict_downlink = VerdictDownlink(station, database, clock, settings.meter_password)
    woken.append(verdict_downlink.wake)
    on_demand = OnDemand(station, database, registry, verifier)
    app = create_app(database, station, registry, on_demand, verifier)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run())
        # Before any new report: what was quarantined is older.
        for taken in await writer.do(partial(intake.retake, now=clock.now())):
            station.publish(taken)
        tasks.create_task(_watch(monitor, writer, trace, clock))
        tasks.create_task(serve_http(app, http))
        tasks.create_task(verdict_downlink.run())
        if delivery:
            tasks.create_task(delivery.run())
        server = await asyncio.start_server(station.serve, sock=uplink)
        try:
            trace("ready", listen=bound_to(uplink), http=bound_to(http), store=str(options.store))
            await asyncio.Future()
        finally:
            # The writer still runs: what has arrived is stored.
            server.close()
            await station.close()
            await server.wait_closed()


async def _watch(monitor: Monitor, writer: Writer, trace: Trace, clock: Clock) -> None:
    """Apply the rules that depend on time alone, every half second."""
    since = clock.now()

    def look(conn: Connection, rule: Callable[[UnitOfWork], None]) -> UnitOfWork:
        work = UnitOfWork(conn, clock.now())
        rule(work)
        return work

    rule = monitor.start
    while True:
        work = await writer.do(partial(look, rule=rule))
        trace_applied(trace, work.applied)
        rule = partial(monitor.tick, listening_since=since)
        await asyncio.sleep(_WATCH)


def _room_for(connections: int) -> int:
    """Return how many connections the limit on open files allows, apart from the process's own files."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if files != resource.RLIM_INFINITY and files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
        return max(files - _OWN_FILES, 1)
    return connections


def _wake(loops: list[Callable[[], None]]) -> None:
    """Wake the loops that pass stored items on."""
    for wake in loops:
        wake()


def _first(errors: BaseExceptionGroup[DatabaseError]) -> str:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else str(first.orig)
