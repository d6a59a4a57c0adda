"""The uplink is the terminal's connection to its master station, made again whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib

from meterseal.clock import Clock
from meterseal.errors import Failure
from meterseal.io.port import Port, PortLost
from meterseal.io.ports import open_port
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.csg1209022.decoder import Discarded
from meterseal.protocols.csg1209022.frame import Frame
from meterseal.protocols.csg1209022.terminal import (
    Confirmed,
    Denied,
    Event,
    Ignored,
    LoggedIn,
    Lost,
    Requested,
    Send,
    TerminalLink,
    Unconfirmed,
)
from meterseal.systems.terminal.answers import Answers, DeniedError
from meterseal.systems.terminal.store import TerminalStore
from meterseal.trace import Trace

__all__ = ["Uplink"]

#: Requests that may wait while the bus is busy with another; one more is denied.
WAITING_REQUESTS = 16
#: Most seconds until the outbox is looked at again.
LOOK_AGAIN = 5.0


class Uplink:
    """The uplink logs in, sends the outbox one message at a time, and passes requests to `answers`."""

    def __init__(
        self,
        station: str,
        link: TerminalLink,
        store: TerminalStore,
        answers: Answers,
        *,
        clock: Clock,
        trace: Trace,
    ) -> None:
        self._station = station
        self._link = link
        self._store = store
        self._answers = answers
        self._clock = clock
        self._trace = trace
        self._news = asyncio.Event()
        self._reading: asyncio.Task[bytes] | None = None
        self._requests: asyncio.Queue[tuple[Frame, Port]] = asyncio.Queue(WAITING_REQUESTS)

    def wake(self) -> None:
        """Look at the outbox now, since something new is in it."""
        self._news.set()

    async def run(self) -> None:
        """Connect, exchange messages, and connect again with growing pauses (0.2 s to 5 s)."""
        pause = 0.2
        while True:
            try:
                port = await open_port(f"socket://{self._station}")
            except (PortLost, Failure) as failure:
                if pause == 0.2:
                    self._trace("lost", port=self._station, reason=str(failure))
            else:
                # A station that takes the connection and drops it again must not be called without a pause.
                pause = 0.2 if await self._talk(port) else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    async def answer(self) -> None:
        """Answer requests one after the other until cancelled, across all connections."""
        while True:
            request, port = await self._requests.get()
            try:
                raw = self._link.answer(request, await self._answers.answer(request))
            except DeniedError as denied:
                self._store.count("denied_request", f"AFN {request.afn:02X}", request.encode())
                self._trace("denied", afn=f"{request.afn:02X}", di=f"{request.di:08X}", reason=str(denied))
                raw = self._link.confirm(request, ok=False)
            with contextlib.suppress(PortLost):
                await self._write(port, raw)

    async def _talk(self, port: Port) -> bool:
        """Serve one connection to its end; return whether it came to a login."""
        logged_in = False
        try:
            await self._carry_out(port, self._link.connected(self._clock.monotonic()))
            while True:
                events = await self._next(port)
                logged_in = logged_in or LoggedIn() in events
                await self._carry_out(port, events)
                await self._send_next(port)
        except PortLost as lost:
            self._trace("lost", port=self._station, reason=str(lost))
        except asyncio.CancelledError:
            await self._carry_out(port, self._link.logout())
            raise
        finally:
            if self._reading is not None:
                self._reading.cancel()
                self._reading = None
            port.close()
            await self._carry_out(port, self._link.disconnected())
        return logged_in

    async def _next(self, port: Port) -> list[Event]:
        """Wait for bytes, for time to pass or for something new to send; return the events."""
        if self._reading is None:
            self._reading = asyncio.create_task(port.read())
        waking = asyncio.create_task(self._news.wait())
        now = self._clock.monotonic()
        pause = min((self._link.deadline or now + LOOK_AGAIN) - now, LOOK_AGAIN)
        await asyncio.wait(
            {self._reading, waking}, timeout=max(pause, 0.001), return_when=asyncio.FIRST_COMPLETED
        )
        waking.cancel()
        self._news.clear()
        return self._received() + self._link.tick(self._clock.monotonic())

    def _received(self) -> list[Event]:
        if self._reading is None or not self._reading.done():
            return []
        task, self._reading = self._reading, None
        data = task.result()
        self._trace.wire("uplink", "rx", data)
        return self._link.receive(data, self._clock.monotonic())

    async def _send_next(self, port: Port) -> None:
        message = self._store.next_message() if self._link.ready else None
        if message is not None:
            fields = (message.afn, message.da, message.di, message.content)
            await self._carry_out(port, self._link.send(*fields, message.id, self._clock.monotonic()))

    async def _carry_out(self, port: Port, events: list[Event]) -> None:
        for event in events:
            match event:
                case Send(raw):
                    await self._write(port, raw)
                case Requested(frame):
                    await self._queue(port, frame)
                case Lost(reason):
                    raise PortLost(reason)
                case LoggedIn():
                    self._trace("connected", port=self._station)
                case Confirmed(int(id)):
                    self._store.delivered(id)
                case Denied(int(id)):
                    self._store.refused(id)
                case Unconfirmed(int(id)):
                    self._store.unconfirmed(id)
                case Ignored(frame, reason):
                    self._store.count("ignored_frame", f"AFN {frame.afn:02X}", frame.encode())
                    self._trace("ignored", bytes=hex_digits(frame.encode()), reason=reason)
                case Discarded(raw, reason):
                    self._store.count("uplink_garbage", raw=raw)
                    self._trace("discarded", wire="uplink", bytes=hex_digits(raw), reason=reason)

    async def _queue(self, port: Port, request: Frame) -> None:
        try:
            self._requests.put_nowait((request, port))
        except asyncio.QueueFull:
            await self._write(port, self._link.confirm(request, ok=False))

    async def _write(self, port: Port, raw: bytes) -> None:
        self._trace.wire("uplink", "tx", raw)
        await port.write(raw)
