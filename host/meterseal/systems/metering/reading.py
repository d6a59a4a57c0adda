"""On-demand reading (召测) gets the newest record of one seal through its terminal, from seal or meter.

With a challenge the seal proves that the answer is its own and fresh: it signs four unpredictable bytes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy import Connection

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent, record_fields
from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Flags, SealRecord
from meterseal.domain.verdict import VerdictCode
from meterseal.octets.hexadecimal import hex_bytes, hex_digits
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import point_da
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayError, RelayRequest
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.frame import Frame, FrameError
from meterseal.store import events
from meterseal.store.applied import Applied
from meterseal.store.database import Database
from meterseal.systems.metering import bindings, findings
from meterseal.systems.metering.findings import Route
from meterseal.systems.metering.registry import Registry
from meterseal.systems.metering.station import Station
from meterseal.systems.metering.unit_of_work import UnitOfWork
from meterseal.systems.metering.verification import MacStatus, Verifier
from sealchip.interface import RECORD, Di

__all__ = ["BadAnswerError", "From", "OnDemand", "Reading", "UnknownSealError", "document"]


class From(StrEnum):
    """The request goes to the seal itself or to its meter."""

    SEAL = "seal"
    METER = "meter"


class UnknownSealError(Exception):
    """No route to the seal is known."""


class BadAnswerError(Exception):
    """The answer is not the requested record; the message shows the bytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading is a record that was just read, with its origin.

    `known`: the same fact is stored already; False also where a stored one contradicts it. `occurred_at` is
    the stored event's; of an unknown one the time of reading less the record's age, where the seal itself
    sent it (a meter repeats the age at which it took the report), else None. `challenge` holds the bytes that
    the seal was given to sign, if any.
    """

    record: SealRecord
    raw: bytes
    asked: From
    read_at: datetime
    occurred_at: datetime | None
    known: bool
    meter: str
    terminal: str
    mac: MacStatus
    challenge: bytes | None = None

    @property
    def echoes(self) -> bool:
        """Return whether the record carries the challenge; True where there was none."""
        if self.challenge is None:
            return True
        return Flags.CHALLENGED in self.record.flags and self.record.challenge == self.challenge

    @property
    def verified(self) -> bool:
        """Return whether the record is proved to be the seal's, and with a challenge that it is fresh."""
        return self.mac is MacStatus.VERIFIED and self.echoes


class OnDemand:
    """On-demand reading stores no event, since events enter by reports alone.

    But a challenged answer proves a quarantined report (`test_a_challenge_proves_a_quarantined_report`).

    A record that is not the seal's, or an old one in place of a challenged one, is alarmed
    (`test_a_forged_answer_is_alarmed`, `test_an_old_answer_is_a_replay`).
    """

    def __init__(self, station: Station, database: Database, registry: Registry, verifier: Verifier) -> None:
        self._station = station
        self._database = database
        self._registry = registry
        self._verifier = verifier
        self._challenged: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, seal: str, asked: From) -> Reading:
        """Read the record; raises `UnknownSealError`, `OfflineError`, `UnansweredError`, `BadAnswerError`."""
        reading = await self._read(seal, asked)
        await self._alarm(reading)
        return reading

    async def challenge(self, seal: str) -> Reading:
        """Return the record as the seal itself signs it over a new challenge; raises what `read` raises."""
        # A seal knows one challenge at a time.
        async with self._challenged[seal]:
            reading = await self._read_challenged(seal)
            if not reading.echoes:
                # Another master on the bus may have challenged the seal in between, or its power failed.
                reading = await self._read_challenged(seal)
        await self._alarm(reading)
        if reading.verified:
            work = partial(
                self._station.intake.proved,
                record=reading.raw,
                meter=reading.meter,
                terminal=reading.terminal,
                now=reading.read_at,
            )
            for taken in await self._station.writer.do(work):
                self._station.publish(taken)
        return reading

    async def _read_challenged(self, seal: str) -> Reading:
        challenge = secrets.token_bytes(RECORD["challenge"].width)
        await self._ask(seal, requests.write(seal, Di.CHALLENGE, challenge))
        return replace(await self._read(seal, From.SEAL), challenge=challenge)

    async def _read(self, seal: str, asked: From) -> Reading:
        meter, terminal, _ = self._route(seal)
        raw = await self._ask(seal, requests.read(seal if asked is From.SEAL else meter, Di.RECORD_NEWEST))
        now = self._station.clock.now()
        try:
            record = SealRecord.decode(raw)
        except LayoutError as error:
            raise BadAnswerError(str(error)) from error
        if record.seal != seal:
            raise BadAnswerError(f"{hex_bytes(raw)}: this is the record of seal {record.seal}")
        stored = self._stored(record)
        at = now - timedelta(seconds=record.age) if asked is From.SEAL else None
        occurred_at = stored.occurred_at if stored else at
        mac = self._verifier.check(record, raw)
        return Reading(record, raw, asked, now, occurred_at, stored is not None, meter, terminal, mac)

    async def _ask(self, seal: str, request: Frame) -> bytes:
        """Return the content of the answer to a request that the seal's terminal passes on."""
        _, terminal, point = self._route(seal)
        relay = RelayRequest(request.encode(), timeout=self._station.settings.bus_timeout)
        answer = await self._station.ask(terminal, Afn.RELAY, point_da(point), UplinkDi.RELAY, relay.encode())
        try:
            return _content(answer.afn, answer.content, request)
        except (RelayError, FrameError) as error:
            raise BadAnswerError(str(error)) from error

    async def _alarm(self, reading: Reading) -> None:
        if not self._verifier.trusts(reading.mac):
            code, why = VerdictCode.AUTH_FAIL, reading.mac.reason
        elif reading.mac is MacStatus.VERIFIED and not reading.echoes:
            code, why = VerdictCode.REPLAY, f"challenge {_hex_or_none(reading.challenge)} is not echoed"
        else:
            return
        detail = f"read from the {reading.asked} by terminal {reading.terminal}: {why}"
        route = Route(reading.meter, reading.terminal, self._route(reading.record.seal)[2])
        work = partial(_issue, code=code, reading=reading, detail=detail, route=route)
        self._station.publish(await self._station.writer.do(work))

    def _route(self, seal: str) -> tuple[str, str, int]:
        with self._database.reading() as conn:
            binding = bindings.find(conn, seal)
        if binding is not None:
            return binding.meter, binding.terminal, binding.point
        device = self._registry.device(seal)
        if device is None:
            raise UnknownSealError(f"seal {seal} is not registered and never reported")
        return device.meter, device.terminal, device.point

    def _stored(self, record: SealRecord) -> SealEvent | None:
        with self._database.reading() as conn:
            stored = events.find(conn, record.seal, record.counter)
        return stored if stored is not None and stored.fact == record.fact.encode() else None


def _issue(conn: Connection, code: VerdictCode, reading: Reading, detail: str, route: Route) -> Applied:
    work = UnitOfWork(conn, reading.read_at)
    findings.issue(work, code, reading.raw, detail, route)
    return work.applied


def _content(afn: int, content: bytes, request: Frame) -> bytes:
    if afn == Afn.CONFIRM:
        raise RelayError("the terminal refuses to pass the request on")
    raw = RelayAnswer.decode(content).frame
    if not raw:
        raise RelayError("nothing answered on the terminal's bus")
    answer = Frame.decode(raw)
    if answer.refused:
        raise RelayError(f"{hex_bytes(raw)}: the request was refused")
    item = request.di if request.function == Function.READ else None  # a write is answered without one
    same = (answer.address, answer.function, answer.di) == (request.address, request.function, item)
    if not (answer.from_slave and same):
        raise RelayError(f"{hex_bytes(raw)}: this answers something else")
    return answer.content


def document(reading: Reading) -> dict[str, object]:
    """Return the reading as JSON shows it."""
    return record_fields(reading.record) | {
        "record": hex_digits(reading.raw),
        "age": reading.record.age,
        "meter": reading.meter,
        "terminal": reading.terminal,
        "occurred_at": reading.occurred_at and isoformat(reading.occurred_at),
        "from": reading.asked.value,
        "read_at": isoformat(reading.read_at),
        "known": reading.known,
        "signature": reading.mac.value,
        "challenge": _hex_or_none(reading.challenge),
        "verified": reading.verified,
    }


def _hex_or_none(raw: bytes | None) -> str | None:
    return None if raw is None else hex_digits(raw)
