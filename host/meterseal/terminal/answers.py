"""What the terminal answers to its master station."""

from __future__ import annotations

from collections.abc import Mapping

from meterseal import bcd
from meterseal.clock import Clock
from meterseal.dlt645 import requests
from meterseal.dlt645.frame import Frame as MeterFrame
from meterseal.dlt645.frame import FrameError as MeterFrameError
from meterseal.terminal.book import Book
from meterseal.terminal.bus import Bus
from meterseal.terminal.poll import RefusedError, SilentError
from meterseal.uplink.codes import Afn, UplinkDi, WriteError
from meterseal.uplink.frame import Frame
from meterseal.uplink.relay import RelayAnswer, RelayError, RelayRequest

__all__ = ["Answers", "DeniedError"]

#: Alarms in one answer to E20010FF: 64 bytes each, and the count is one byte.
ALARMS = 200


class DeniedError(Exception):
    """The terminal cannot do what was asked; the master station gets AFN 00 with 01."""


class Answers:
    """Answers requests; `meters` are the addresses by measured point.

    Reading carries one identifier a frame. AFN 0C with an identifier of DL/T 645 on a measured point is read
    from the meter, and what stands behind the identifier goes to the meter too.
    """

    def __init__(self, bus: Bus, book: Book, clock: Clock, meters: Mapping[int, str]) -> None:
        self._bus = bus
        self._book = book
        self._clock = clock
        self._meters = meters

    async def answer(self, request: Frame) -> bytes:
        """The content of the answer; raises `DeniedError`."""
        if request.afn == Afn.WRITE:
            return bytes([WriteError.NO_SUCH_ITEM])
        asked = (request.afn, request.di)
        if request.point == 0 and asked == (Afn.READ, UplinkDi.TERMINAL_CLOCK):
            return bcd.moment_bytes(self._clock.now())
        if request.point == 0 and asked == (Afn.CURRENT, UplinkDi.STATUS_WORD):
            # No door and no cover of its own is open.
            return bytes(2)
        if asked == (Afn.EVENTS, UplinkDi.UNSENT_ALARMS):
            return self._unsent_alarms()
        if asked == (Afn.RELAY, UplinkDi.RELAY):
            return await self._relay(request.content)
        meter = None if request.point is None else self._meters.get(request.point)
        if request.afn == Afn.CURRENT and meter is not None:
            return await self._read(meter, request.di, request.content)
        raise DeniedError(
            f"AFN {request.afn:02X} DI {request.di:08X} point {request.point} is not known here"
        )

    def _unsent_alarms(self) -> bytes:
        """How many, then DA, DI and content of each, oldest first."""
        alarms = self._book.unsent_alarms()[:ALARMS]
        return bytes([len(alarms)]) + b"".join(
            alarm.da + alarm.di.to_bytes(4, "little") + alarm.content for alarm in alarms
        )

    async def _relay(self, content: bytes) -> bytes:
        try:
            order = RelayRequest.decode(content)
            answer = await self._bus.relay(MeterFrame.decode(order.frame), order.timeout)
        except (RelayError, MeterFrameError) as error:
            raise DeniedError(str(error)) from None
        return RelayAnswer(b"" if answer is None else answer.encode(preamble=0)).encode()

    async def _read(self, meter: str, di: int, parameters: bytes) -> bytes:
        try:
            return await self._bus.ask(requests.read(meter, di, parameters))
        except (SilentError, RefusedError) as error:
            raise DeniedError(str(error)) from None
