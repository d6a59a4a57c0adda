"""The terminal is a master on the RS485 bus: one exchange at a time, with carrier sense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meterseal.clock import Clock
from meterseal.io.ports import Line
from meterseal.protocols.dlt645 import Discarded, Fault, Frame, matches
from meterseal.protocols.dlt645.addressing import BROADCAST
from meterseal.protocols.dlt645.carrier_sense import CarrierSense
from meterseal.protocols.dlt645.master import Answered, Event, Master, Overheard, Refused, Send, TimedOut
from meterseal.trace import Trace

__all__ = ["Bus", "RefusedError", "SilentError"]

_WHAT = {Fault.CHECKSUM: "bad_checksum", Fault.INCOMPLETE: "incomplete_frame"}


class SilentError(Exception):
    """The meter did not answer, or its answer cannot be understood."""


class RefusedError(Exception):
    """The meter refused the request, for instance because it has no such data."""


class Bus:
    """Requests wait for each other, for the line to be free, and for late answers to have passed.

    `run` must be running. A request is sent once; the caller decides whether to repeat it. `diagnostic` is
    called with the reason and the bytes of what was discarded.
    """

    def __init__(
        self,
        line: Line,
        *,
        clock: Clock,
        trace: Trace,
        diagnostic: Callable[[str, bytes], None],
        baud: int,
        timeout: float,
    ) -> None:
        self._line = line
        self._clock = clock
        self._trace = trace
        self._diagnostic = diagnostic
        self._byte_time = 11 / baud
        self._master = Master(baud=baud, timeout=timeout, tries=1)
        self._carrier_sense = CarrierSense()
        self._turn = asyncio.Lock()
        self._outcome: asyncio.Future[Answered | Refused | TimedOut] | None = None
        self._relayed: tuple[Frame, asyncio.Future[Frame]] | None = None

    async def run(self) -> None:
        """Receive until cancelled."""
        # There may be an exchange going on of which only the beginning was missed.
        self._carrier_sense.overheard(self._clock.monotonic(), answer=False)
        while True:
            data = await self._line.read(self._pause())
            now = self._clock.monotonic()
            if data:
                self._carrier_sense.received(now)
                await self._take(self._master.receive(data, now))
            else:
                await self._take(self._master.tick(now))

    async def ask(self, request: Frame) -> bytes:
        """Return the data that follows the DI of the answer, follow-up frames joined; none for a broadcast.

        Raises `SilentError` or `RefusedError`.
        """
        async with self._turn:
            await self._free(request.address)
            self._outcome = asyncio.get_running_loop().create_future()
            try:
                await self._send(self._master.start(request, self._clock.monotonic()))
                if not self._master.busy:
                    return b""
                outcome = await self._await(self._outcome)
            finally:
                self._outcome = None
                self._carrier_sense.finished(self._clock.monotonic())
        if isinstance(outcome, Answered):
            return outcome.content
        if isinstance(outcome, Refused):
            raise RefusedError(f"{request.address} refuses with {outcome.err!r}")
        raise SilentError(f"{request.address} does not answer")

    async def relay(self, request: Frame, timeout: float) -> Frame | None:
        """Return the first answer to `request` unchanged, or None after `timeout` seconds."""
        async with self._turn:
            await self._free(request.address)
            answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
            self._relayed = (request, answer)
            raw = request.encode()
            try:
                await self._send(raw)
                # A broadcast gets no answer, so only its transmission is awaited.
                patience = 0 if request.address == BROADCAST else timeout
                async with asyncio.timeout(len(raw) * self._byte_time + patience):
                    return await answer
            except TimeoutError:
                return None
            finally:
                self._relayed = None
                self._carrier_sense.finished(self._clock.monotonic())

    async def _await(
        self, outcome: asyncio.Future[Answered | Refused | TimedOut]
    ) -> Answered | Refused | TimedOut:
        while True:
            await asyncio.wait({outcome}, timeout=self._pause())
            if outcome.done():
                return outcome.result()
            await self._take(self._master.tick(self._clock.monotonic()))

    def _pause(self) -> float | None:
        deadline = self._master.deadline
        return None if deadline is None else max(deadline - self._clock.monotonic(), 0.001)

    async def _free(self, address: str) -> None:
        """Wait until this station may transmit to `address`."""
        while True:
            # A frame that has begun ends by its own deadline, even if the rest of it never comes.
            begun = self._master.deadline or 0.0
            at = max(self._carrier_sense.free_at, self._master.ready_at(address), begun)
            pause = at - self._clock.monotonic()
            if pause <= 0:
                return
            await asyncio.sleep(pause)

    async def _send(self, raw: bytes) -> None:
        self._trace.wire("rs485", "tx", raw)
        await self._line.write(raw)

    async def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Send):
                await self._send(event.raw)
            elif isinstance(event, Discarded):
                self._diagnostic(_WHAT.get(event.reason, "garbage"), event.raw)
            elif isinstance(event, Overheard):
                self._overhear(event.frame)
            else:
                self._end(event)

    def _end(self, event: Answered | Refused | TimedOut) -> None:
        if isinstance(event, Answered):
            self._trace.wire("rs485", "rx", event.frame.encode(preamble=0))
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(event)

    def _overhear(self, frame: Frame) -> None:
        if self._relayed is not None and _answers(frame, self._relayed[0]):
            self._trace.wire("rs485", "rx", frame.encode(preamble=0))
            if not self._relayed[1].done():
                self._relayed[1].set_result(frame)
        else:
            self._carrier_sense.overheard(self._clock.monotonic(), answer=frame.from_slave)


def _answers(frame: Frame, request: Frame) -> bool:
    if not frame.from_slave or frame.function != request.function:
        return False
    same_item = frame.di is None or request.di is None or frame.di == request.di
    return same_item and matches(request.address, frame.address)
