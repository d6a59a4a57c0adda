"""The master station serves the TCP connections of many terminals: asyncio around `StationSession`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import cast

from meterseal.clock import Clock
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.csg1209022.decoder import Discarded
from meterseal.protocols.csg1209022.frame import Frame
from meterseal.protocols.csg1209022.station import (
    Answered,
    Event,
    Heartbeat,
    Ignored,
    LoggedIn,
    LoggedOut,
    Reported,
    Send,
    SessionError,
    StationSession,
    TimedOut,
)
from meterseal.store import diagnostics
from meterseal.store.applied import Applied
from meterseal.store.events import Outcome
from meterseal.store.trace_events import trace_applied
from meterseal.store.writer import StoppedError, Writer
from meterseal.systems.metering.intake import Intake
from meterseal.systems.metering.registry import terminal_name
from meterseal.systems.metering.settings import Settings
from meterseal.trace import Trace

__all__ = ["OfflineError", "Station", "UnansweredError"]

_CHUNK = 65536
#: A terminal that does not take its confirmations is cut off; it will connect again.
_UNSENT_MAX = 1 << 20


class OfflineError(Exception):
    """The terminal is not connected."""


class UnansweredError(Exception):
    """The terminal is connected and did not answer in time."""


class Station:
    """The station serves terminals, stores their reports, and sends them requests on demand.

    A report is confirmed after its transaction is durable, never before
    (`test_metering_station.py::test_a_report_is_confirmed_only_after_it_is_stored`). `stored` is called when
    there may be something new to pass on.
    """

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        writer: Writer,
        trace: Trace,
        clock: Clock,
        stored: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.intake = intake
        self.writer = writer
        self.trace = trace
        self.clock = clock
        self.stored = stored
        self._online: dict[str, _Connection] = {}
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    @property
    def online(self) -> dict[str, str]:
        """Return the terminals that are logged in, with their peer's `HOST:PORT`."""
        return {name: connection.peer for name, connection in self._online.items()}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends, for `asyncio.start_server`."""
        connection = _Connection(self, reader, writer)
        if len(self._connections) >= self.settings.connections:
            await connection.refuse("too many connections")
            return
        self._connections[connection] = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            await connection.run()
        finally:
            del self._connections[connection]

    async def close(self) -> None:
        """End every connection; what was received before is stored."""
        for connection in self._connections:
            connection.hang_up()
        await asyncio.gather(*self._connections.values())

    async def ask(self, terminal: str, afn: int, da: bytes, di: int, content: bytes) -> Frame:
        """Return the terminal's answer; raises `OfflineError` or `UnansweredError`, each with a sentence."""
        connection = self._online.get(terminal)
        if connection is None:
            raise OfflineError(f"terminal {terminal} is not connected")
        return await connection.ask(afn, da, di, content)

    def login(self, name: str, connection: _Connection) -> None:
        """Use `connection` for this terminal from now on."""
        self._online[name] = connection
        self.trace("connected", terminal=name, peer=connection.peer)

    def logout(self, name: str, connection: _Connection, reason: str) -> None:
        """Forget a connection that has ended, unless the terminal has a newer one."""
        if self._online.get(name) is connection:
            del self._online[name]
            self.trace("lost", terminal=name, peer=connection.peer, reason=reason)

    def publish(self, applied: Applied) -> None:
        """Trace what was applied and wake the loops that pass it on; call it once that is durable."""
        trace_applied(self.trace, applied)
        if applied.raised or applied.outcome in (Outcome.NEW, Outcome.CONFLICT):
            self.stored()


class _Connection:
    """A TCP connection normally serves one terminal."""

    def __init__(self, station: Station, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = (writer.get_extra_info("peername") or ("unknown", 0))[:2]
        self.peer = f"{host}:{port}"
        self._host = host
        self._station = station
        self._reader = reader
        self._writer = writer
        self._session = StationSession(timeout=station.settings.request_timeout)
        self._name: str | None = None
        self._online_since: datetime | None = None
        self._reading: asyncio.Timeout | None = None
        self._last_received = 0.0
        self._end = "closed by the terminal"

    async def run(self) -> None:
        self._last_received = self._now()
        try:
            self._end = await self._serve()
        except (OSError, StoppedError) as error:
            self._end = str(error)
        finally:
            # The last bytes may hold whole reports: they are stored, though no confirmation can be sent.
            ended = self._session.disconnected()
            if self._name is not None:
                self._station.logout(self._name, self, self._end)
            with suppress(StoppedError):
                await self._handle(ended)
            await self.close()

    async def refuse(self, reason: str) -> None:
        await self._count("refused_connection", b"", reason)
        await self.close()

    def hang_up(self) -> None:
        self._end = "closed by us"
        self._writer.transport.abort()

    async def close(self) -> None:
        if self._writer.transport.get_write_buffer_size():
            # It would wait for a peer that does not read; a lost confirmation does no harm.
            self._writer.transport.abort()
        self._writer.close()
        with suppress(OSError):  # The peer was faster.
            await self._writer.wait_closed()

    async def ask(self, afn: int, da: bytes, di: int, content: bytes) -> Frame:
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        try:
            raw = self._session.request(afn, da, di, content, answer, self._now())
        except SessionError as error:
            raise UnansweredError(str(error)) from error
        self._send(raw)
        self._wake_at(self._session.deadline)
        return await answer

    async def _serve(self) -> str:
        while True:
            data = await self._read()
            now = self._now()
            if data == b"":
                return self._end
            if data is not None:
                self._last_received = now
                self._station.trace(
                    "wire", wire="uplink", direction="rx", peer=self.peer, bytes=hex_digits(data)
                )
                await self._handle(self._session.receive(data, now))
            elif now - self._last_received >= self._station.settings.patience:
                return "silent for too long"
            await self._handle(self._session.tick(now))
            if self._writer.transport.get_write_buffer_size() > _UNSENT_MAX:
                return "does not take what we send"

    async def _read(self) -> bytes | None:
        """Return bytes, b"" at the end, or None when the session has something due."""
        due = self._last_received + self._station.settings.patience
        if self._session.deadline is not None:
            due = min(due, self._session.deadline)
        timeout = self._reading = asyncio.timeout_at(due)
        try:
            async with timeout:
                return await self._reader.read(_CHUNK)
        except TimeoutError:
            if not timeout.expired():
                raise  # The network's: the connection has ended.
            return None
        finally:
            self._reading = None

    def _wake_at(self, due: float | None) -> None:
        # A request made while we wait for bytes has a deadline earlier than the one we wait for.
        reading = self._reading
        if reading is not None and due is not None and not reading.expired():
            reading.reschedule(min(due, reading.when() or due))

    async def _handle(self, events: list[Event]) -> None:
        reports = [event.frame for event in events if isinstance(event, Reported)]
        discarded = [event for event in events if isinstance(event, Discarded)]
        for event in events:
            await self._link(event)
        if discarded:
            await self._count("bad_frame", b"".join(item.raw for item in discarded), discarded[0].reason)
        # Together, so that they share a transaction; one after the other, so that their order stays.
        taken = await asyncio.gather(*(self._store(frame) for frame in reports))
        for frame, done in zip(reports, taken, strict=True):
            if frame.con:
                self._send(self._session.confirm(frame, done.understood))
            self._station.publish(done)

    async def _link(self, event: Event) -> None:
        match event:
            case Send(raw):
                self._send(raw)
            case LoggedIn(address) | Heartbeat(address):
                await self._seen(terminal_name(address), login=isinstance(event, LoggedIn))
            case LoggedOut():
                if self._name is not None:
                    self._station.logout(self._name, self, "logged out")
            case Answered(key, frame) if isinstance(key, asyncio.Future):
                if not key.done():
                    key.set_result(frame)
            case TimedOut(key) if isinstance(key, asyncio.Future):
                if not key.done():
                    key.set_exception(UnansweredError(f"terminal {self._name} did not answer"))
            case Ignored(frame, reason):
                await self._count("ignored_frame", frame.encode(), reason)

    async def _seen(self, name: str, *, login: bool) -> None:
        now = self._station.clock.now()
        if login:
            if self._name not in (None, name):
                self._station.logout(str(self._name), self, f"is {name} now")
            self._name, self._online_since = name, now
            self._station.login(name, self)
        self._station.publish(
            await self._station.writer.do(partial(self._station.intake.seen, terminal=name, now=now))
        )

    async def _store(self, frame: Frame) -> Applied:
        work = partial(
            self._station.intake.report,
            frame=frame,
            now=self._station.clock.now(),
            online_since=self._online_since,
        )
        return await self._station.writer.do(work)

    async def _count(self, what: str, raw: bytes, reason: str) -> None:
        self._station.trace("discarded", bytes=hex_digits(raw), reason=reason, peer=self.peer)
        detail, at = self._name or self._host, self._station.clock.now()
        await self._station.writer.do(partial(diagnostics.count, what=what, detail=detail, at=at, raw=raw))

    def _send(self, raw: bytes) -> None:
        self._station.trace("wire", wire="uplink", direction="tx", peer=self.peer, bytes=hex_digits(raw))
        self._writer.write(raw)

    def _now(self) -> float:
        # The timeouts below are the event loop's, so the session's time must be its time too.
        return asyncio.get_running_loop().time()
