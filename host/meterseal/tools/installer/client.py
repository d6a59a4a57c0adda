"""A client of one seal over any serial port: a master that waits for a free line before each exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from meterseal.clock import Clock, SystemClock
from meterseal.domain.layout import LayoutError
from meterseal.errors import Failure
from meterseal.io.port import Port, PortLost
from meterseal.io.ports import open_port
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645.carrier_sense import CarrierSense
from meterseal.protocols.dlt645.control import Err
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.master import Answered, Master, Refused, Send, TimedOut
from meterseal.protocols.dlt645.requests import read_address

__all__ = ["SealClient", "SealRefusesError", "connect"]


class SealRefusesError(Failure):
    """The seal refused a request."""

    def __init__(self, request: Frame, err: Err) -> None:
        super().__init__(f"the seal refuses {hex_digits(request.data)} with ERR {err:02X}")
        self.err = err


@asynccontextmanager
async def connect(url: str, baud: int, *, record: Path | None = None) -> AsyncIterator[SealClient]:
    """Open a seal's port and yield a client on it.

    `Failure` when the port is absent, busy or lost, and when an answer is not a seal's.
    """
    try:
        port = await open_port(url, baud, record=record)
    except ValueError as error:
        raise Failure(str(error)) from None
    except PortLost as lost:
        raise Failure(f"the port {url} is not there: {lost}") from None
    try:
        yield SealClient(port, baud, SystemClock())
    except PortLost as lost:
        raise Failure(f"the port {url} went away: {lost}") from None
    except LayoutError as error:
        raise Failure(f"the answer is not a seal's: {error}") from None
    finally:
        port.close()


class SealClient:
    """Carries out one exchange after the other, each when the line is free."""

    def __init__(self, port: Port, baud: int, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._master = Master(baud=baud)
        self._carrier_sense = CarrierSense()
        # A frame that is being transmitted now ends before the first request.
        self._carrier_sense.received(clock.monotonic())

    async def address(self, given: str | None) -> str:
        """Return `given` with all its digits; without it, the address of the only device on the line."""
        if given is None:
            return bcd.address((await self.ask(read_address())).content)
        try:
            return bcd.address(bcd.address_bytes(given))
        except ValueError as error:
            raise Failure(str(error)) from None

    async def ask(self, request: Frame) -> Answered:
        """Send a request and return the answer; `SealRefusesError`, or `Failure` when there is none."""
        ready = self._master.ready_at(request.address)
        while self._clock.monotonic() < max(ready, self._carrier_sense.free_at):
            await self._events(max(ready, self._carrier_sense.free_at))
        await self._port.write(self._master.start(request, self._clock.monotonic()))
        while True:
            for event in await self._events(self._master.deadline):
                match event:
                    case Send(raw):
                        await self._port.write(raw)
                    case Answered():
                        self._carrier_sense.finished(self._clock.monotonic())
                        return event
                    case Refused(_, err):
                        raise SealRefusesError(request, err)
                    case TimedOut():
                        raise Failure(f"no answer from {request.address}: check address, baud rate and wires")

    async def _events(self, until: float | None) -> list[object]:
        """Return the events of the bytes received before `until`, or of the time then."""
        wait = None if until is None else max(0.0, until - self._clock.monotonic())
        try:
            async with asyncio.timeout(wait):
                data = await self._port.read()
        except TimeoutError:
            return list(self._master.tick(self._clock.monotonic()))
        self._carrier_sense.received(self._clock.monotonic())
        return list(self._master.receive(data, self._clock.monotonic()))
