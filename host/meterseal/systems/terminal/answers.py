"""The terminal answers the requests of its master station."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meterseal.clock import Clock
from meterseal.domain.layout import LayoutError
from meterseal.domain.verdict import RecordVerdict
from meterseal.octets import bcd
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi, WriteError
from meterseal.protocols.csg1209022.frame import Frame
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayError, RelayRequest
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.protocols.dlt645.frame import FrameError as MeterFrameError
from meterseal.protocols.dlt645.requests import Write
from meterseal.store.applied import Applied
from meterseal.systems.terminal.bus import Bus, RefusedError, SilentError
from meterseal.systems.terminal.store import TerminalStore
from sealchip.interface import Di

__all__ = ["Answers", "DeniedError"]

#: Most alarms in one answer to E20010FF: each takes 64 bytes, and their count is one byte.
ALARMS = 200


class DeniedError(Exception):
    """The terminal cannot carry out a request; the master station gets AFN 00 with 01."""


class Answers:
    """This object answers requests; `meters` holds the meters' addresses by measured point.

    A read request carries one identifier a frame. AFN 0C with an identifier of DL/T 645 on a measured point
    is read from the meter, and what follows the identifier is passed to the meter too. A verdict that is
    passed on to a meter is applied here as well. `publish` traces what it did.
    """

    def __init__(
        self,
        bus: Bus,
        store: TerminalStore,
        clock: Clock,
        meters: Mapping[int, str],
        publish: Callable[[str, Applied], None],
    ) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._meters = meters
        self._publish = publish

    async def answer(self, request: Frame) -> bytes:
        """Return the content of the answer to `request`; raises `DeniedError`."""
        if request.afn == Afn.WRITE:
            return bytes([WriteError.NO_SUCH_ITEM])
        asked = (request.afn, request.di)
        if request.point == 0 and asked == (Afn.READ, UplinkDi.TERMINAL_CLOCK):
            return bcd.moment_bytes(self._clock.now())
        if request.point == 0 and asked == (Afn.CURRENT, UplinkDi.STATUS_WORD):
            # The terminal has no doors or covers that it could report as open.
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
        """Return their number, then DA, DI and content of each, oldest first."""
        alarms = self._store.unsent_alarms()[:ALARMS]
        return bytes([len(alarms)]) + b"".join(
            alarm.da + alarm.di.to_bytes(4, "little") + alarm.content for alarm in alarms
        )

    async def _relay(self, content: bytes) -> bytes:
        try:
            relay = RelayRequest.decode(content)
            request = MeterFrame.decode(relay.frame)
            if (verdict := _verdict(request)) is not None:
                self._publish(request.address, self._store.apply_verdict(verdict))
            answer = await self._bus.relay(request, relay.timeout)
        except (RelayError, MeterFrameError) as error:
            raise DeniedError(str(error)) from None
        return RelayAnswer(b"" if answer is None else answer.encode(preamble=0)).encode()

    async def _read(self, meter: str, di: int, parameters: bytes) -> bytes:
        try:
            return await self._bus.ask(requests.read(meter, di, parameters))
        except (SilentError, RefusedError) as error:
            raise DeniedError(str(error)) from None


def _verdict(request: MeterFrame) -> RecordVerdict | None:
    """Return the verdict that a relayed request carries; None when it carries none."""
    if request.control != Function.WRITE or request.di != Di.VERDICT:
        return None
    try:
        return RecordVerdict.decode(Write.parse(request).data)
    except (LayoutError, MeterFrameError) as error:
        raise DeniedError(str(error)) from None
