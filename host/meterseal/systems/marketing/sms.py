"""Queued SMS go through a GSM modem, one after another, until each is delivered once.

Every attempt carries the same TP-MR with TP-RD set. When an attempt's end is unknown — the modem stopped
answering, this process was killed — the next one is refused by the network as a duplicate where the message
had arrived, and that counts as delivered.
"""

from __future__ import annotations

import asyncio
import contextlib

from meterseal.clock import Clock
from meterseal.errors import Failure
from meterseal.io.port import Port, PortLost
from meterseal.io.ports import open_port
from meterseal.protocols.gsm import pdu
from meterseal.protocols.gsm.at import (
    AtClient,
    Discarded,
    Event,
    Failed,
    Ready,
    Send,
    Sent,
    Unready,
    Unsolicited,
    printable,
)
from meterseal.protocols.gsm.pdu import Submit, submits
from meterseal.store.outbox import Item
from meterseal.systems.marketing.delivery import Queue
from meterseal.systems.marketing.messages import Message
from meterseal.systems.marketing.sms_timing import SmsTiming
from meterseal.trace import Trace

__all__ = ["SmsSender"]

#: Modems use 8N1 and detect the rate by themselves.
BAUD = 115200
#: Seconds between two tries to open the port.
REOPEN = 0.5


class SmsSender:
    """The sender uses the modem at one port, which it opens again whenever it was lost."""

    def __init__(
        self, url: str, queue: Queue, *, clock: Clock, trace: Trace, timing: SmsTiming | None = None
    ) -> None:
        self._url = url
        self._queue = queue
        self._clock = clock
        self._trace = trace
        self._timing = timing or SmsTiming()
        #: What keeps the modem from working; None once it is ready.
        self.trouble: str | None = "not opened yet"
        #: The message under way and the parts of it that are still to be sent.
        self._item: Item
        self._parts: list[Submit] = []
        #: Parts that the network has, of messages that failed half-way: those need not be sent again.
        self._progress: dict[int, int] = {}

    async def open(self, wait: float) -> Port:
        """Open the port for the first time; `Failure` when it is busy or not there within `wait` s."""
        end = self._clock.monotonic() + wait
        while True:
            try:
                return await open_port(self._url, BAUD, even=False)
            except PortLost as lost:
                if self._clock.monotonic() >= end:
                    raise Failure(f"the SMS port {self._url} is not there: {lost}") from None
            await asyncio.sleep(0.2)

    async def run(self, port: Port) -> None:
        """Send until cancelled, starting with the port just opened."""
        while True:
            self._trace("connected", port=self._url)
            try:
                await self._serve(port)
            except PortLost as lost:
                self.trouble = f"port lost: {lost}"
                self._trace("lost", port=self._url, reason=str(lost))
            finally:
                port.close()
            port = await self._reopen()

    async def _reopen(self) -> Port:
        while True:
            await asyncio.sleep(REOPEN)
            with contextlib.suppress(PortLost, Failure):
                return await open_port(self._url, BAUD, even=False)

    async def _serve(self, port: Port) -> None:
        timing = self._timing
        client = AtClient(timeout=timing.command, send_timeout=timing.message, pause=timing.pause)
        self._parts = []
        reading = asyncio.ensure_future(port.read())
        try:
            events = client.start(self._clock.monotonic())
            while True:
                for event in events:
                    await self._handle(port, event)
                if client.ready and (part := self._next_part()):
                    events = client.send(part.encode(), self._clock.monotonic())
                    continue
                await self._wait(client, reading)
                if reading.done():
                    data = reading.result()
                    self._trace("wire", direction="rx", wire="at", bytes=printable(data))
                    reading = asyncio.ensure_future(port.read())
                    events = client.receive(data, self._clock.monotonic())
                else:
                    events = client.tick(self._clock.monotonic())
        finally:
            reading.cancel()

    async def _wait(self, client: AtClient, reading: asyncio.Future[bytes]) -> None:
        if client.ready:
            await self._queue.wait(reading)
        else:
            pause = None if client.deadline is None else client.deadline - self._clock.monotonic()
            await asyncio.wait({reading}, timeout=pause)

    def _next_part(self) -> Submit | None:
        """Return the next SMS to send: of the message under way, else of the next one due."""
        if not self._parts:
            for item in self._queue.due(limit=1):
                message = Message.decode(item.body)
                self._item = item
                parts = submits(message.to, message.text, message.sequence)
                self._parts = parts[self._progress.get(item.id, 0) :]
        return self._parts[0] if self._parts else None

    async def _handle(self, port: Port, event: Event) -> None:
        match event:
            case Send(raw):
                self._trace("wire", direction="tx", wire="at", bytes=printable(raw))
                await port.write(raw)
            case Sent() | Failed(code=pdu.DUPLICATE):
                await self._part_delivered()
            case Failed(reason=reason):
                self._parts = []
                await self._queue.failed(self._item, reason)
            case Ready():
                self.trouble = None
            case Unready(reason):
                self.trouble = reason
                self._trace("unready", port=self._url, reason=reason)
            case Unsolicited() | Discarded():
                # Its bytes are in the wire's trace already.
                pass

    async def _part_delivered(self) -> None:
        del self._parts[0]
        self._progress[self._item.id] = self._progress.get(self._item.id, 0) + 1
        if not self._parts:
            await self._queue.done(self._item)
            del self._progress[self._item.id]
