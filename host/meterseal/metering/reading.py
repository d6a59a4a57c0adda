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
    """A record as it was just read.

    `known`: the same fact is stored already; False also where a stored one contradicts it. `occurred_at` is
    the stored event's; of an unknown one the time of reading less the record's age, where the seal itself
    said it (a meter repeats the age of the day it took the report), else None.
    """

    record: SealRecord
    raw: bytes
    asked: From
    read_at: datetime
    occurred_at: datetime | None
    known: bool
    meter: str
    terminal: str


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
            raw = _record(answer.afn, answer.content, request)
            record = SealRecord.decode(raw)
        except (RelayError, FrameError, LayoutError) as error:
            raise BadAnswerError(str(error)) from error
        if record.seal != seal:
            raise BadAnswerError(f"{raw.hex(' ').upper()}: this is the record of seal {record.seal}")
        stored = self._stored(record)
        at = now - timedelta(seconds=record.age) if asked is From.SEAL else None
        occurred_at = stored.occurred_at if stored else at
        return Reading(record, raw, asked, now, occurred_at, stored is not None, meter, terminal)

    def _way(self, seal: str) -> tuple[str, str, int]:
        with self._database.reading() as conn:
            heard = bindings.find(conn, seal)
        if heard is not None:
            return heard.meter, heard.terminal, heard.point
        device = self._registry.device(seal)
        if device is None:
            raise UnknownSealError(f"seal {seal} is not registered and never reported")
        return device.meter, device.terminal, device.point

    def _stored(self, record: SealRecord) -> SealEvent | None:
        with self._database.reading() as conn:
            stored = events.find(conn, record.seal, record.counter)
        return stored if stored is not None and stored.fact == record.fact.encode() else None


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
    return events.said(reading.record) | {
        "record": reading.raw.hex().upper(),
        "age": reading.record.age,
        "meter": reading.meter,
        "terminal": reading.terminal,
        "occurred_at": reading.occurred_at and isoformat(reading.occurred_at),
        "from": reading.asked.value,
        "read_at": isoformat(reading.read_at),
        "known": reading.known,
    }
