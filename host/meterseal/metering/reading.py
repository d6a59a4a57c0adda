"""On-demand reading (召测): the newest record of one seal, through its terminal, from seal or meter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from meterseal.clock import Clock, isoformat
from meterseal.dlt645 import requests
from meterseal.dlt645.frame import Frame, FrameError
from meterseal.metering import bindings
from meterseal.metering.registry import Registry
from meterseal.metering.settings import Settings
from meterseal.metering.station import Station
from meterseal.seal.layout import LayoutError
from meterseal.seal.record import SealRecord
from meterseal.store import events
from meterseal.store.database import Database
from meterseal.store.events import SealEvent
from meterseal.uplink.codes import Afn, UplinkDi
from meterseal.uplink.frame import point_da
from meterseal.uplink.relay import RelayAnswer, RelayError, RelayRequest
from sealchip.interface import Di

__all__ = ["BadAnswerError", "From", "OnDemand", "Reading", "UnknownSealError", "document"]


class From(StrEnum):
    """Who is asked."""

    SEAL = "seal"
    METER = "meter"


class UnknownSealError(Exception):
    """No way to the seal is known."""


class BadAnswerError(Exception):
    """Something came back that is not the record asked for; the message names the bytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A record as it was just read; `event.occurred_at` is the time of reading less the record's age.

    `known`: the same fact is stored already; False also where a stored one contradicts it.
    """

    event: SealEvent
    asked: From
    read_at: datetime
    known: bool


class OnDemand:
    """Reads a seal's newest record now. Reading stores nothing: events enter by reports alone."""

    def __init__(
        self, station: Station, database: Database, registry: Registry, settings: Settings, clock: Clock
    ) -> None:
        self._station = station
        self._database = database
        self._registry = registry
        self._settings = settings
        self._clock = clock

    async def read(self, seal: str, asked: From) -> Reading:
        """The record; raises `UnknownSealError`, `OfflineError`, `UnansweredError` or `BadAnswerError`."""
        meter, terminal, point = self._way(seal)
        request = requests.read(seal if asked is From.SEAL else meter, Di.RECORD_NEWEST)
        relay = RelayRequest(request.encode(), timeout=self._settings.bus_timeout)
        answer = await self._station.ask(terminal, Afn.RELAY, point_da(point), UplinkDi.RELAY, relay.encode())
        now = self._clock.now()
        try:
            record = _record(answer.afn, answer.content, request)
            at = now - timedelta(seconds=SealRecord.decode(record).age)
            event = SealEvent.of(record, meter=meter, terminal=terminal, occurred_at=at)
        except (RelayError, FrameError, LayoutError) as error:
            raise BadAnswerError(str(error)) from error
        if event.seal != seal:
            raise BadAnswerError(f"{record.hex(' ').upper()}: this is the record of seal {event.seal}")
        return Reading(event, asked, now, self._known(event))

    def _way(self, seal: str) -> tuple[str, str, int]:
        with self._database.reading() as conn:
            heard = bindings.find(conn, seal)
        if heard is not None:
            return heard.meter, heard.terminal, heard.point
        device = self._registry.device(seal)
        if device is None:
            raise UnknownSealError(f"seal {seal} is not registered and never reported")
        return device.meter, device.terminal, device.point

    def _known(self, event: SealEvent) -> bool:
        with self._database.reading() as conn:
            stored = events.find(conn, event.seal, event.counter)
        return stored is not None and stored.fact == event.fact


def _record(afn: int, content: bytes, request: Frame) -> bytes:
    if afn == Afn.CONFIRM:
        raise RelayError("the terminal refuses to pass the request on")
    raw = RelayAnswer.decode(content).frame
    if not raw:
        raise RelayError("nothing answered on the terminal's bus")
    answer = Frame.decode(raw)
    if answer.refused:
        raise RelayError(f"{raw.hex(' ').upper()}: the request was refused")
    same = (answer.address, answer.function, answer.di) == (request.address, request.function, request.di)
    if not (answer.from_slave and same):
        raise RelayError(f"{raw.hex(' ').upper()}: this answers something else")
    return answer.content


def document(reading: Reading) -> dict[str, object]:
    """The reading as JSON shows it."""
    said = events.document(reading.event)
    del said["received_at"], said["stored_at"]
    return said | {
        "from": reading.asked.value,
        "read_at": isoformat(reading.read_at),
        "known": reading.known,
    }
