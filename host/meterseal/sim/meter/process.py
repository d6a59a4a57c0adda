"""The process of the meters: bytes from the bus to each of them, and at most one answer back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from meterseal.clock import Clock, SystemClock
from meterseal.io.ports import Line
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645.addressing import BROADCAST, WILDCARD, matches
from meterseal.protocols.dlt645.control import TD_MAX, TD_MIN, Function
from meterseal.protocols.dlt645.decoder import Decoder, Discarded, Received
from meterseal.protocols.dlt645.frame import Fault, Frame
from meterseal.protocols.dlt645.slave import Slave
from meterseal.sim.meter.device import Meter
from meterseal.sim.meter.journal import SCHEMA
from meterseal.sim.meter.settings import Settings
from meterseal.store import diagnostics
from meterseal.store.database import Database
from meterseal.trace import Trace
from sealchip.interface import Di

__all__ = ["TD", "MeterStation", "run"]

#: Seconds from the last byte of a request to the answer: the shortest that is allowed, and a margin.
TD = TD_MIN + 0.005

_WHAT = {Fault.CHECKSUM: "bad_checksum", Fault.INCOMPLETE: "incomplete_frame"}
_PUSHED = frozenset({Di.REPORT, Di.REPORT_IDENTITY})


class MeterStation:
    """All meters at one end of the bus, without I/O.

    Bytes that form no valid frame, and requests to other addresses, are counted and not answered.
    """

    def __init__(self, meters: Sequence[Meter], database: Database, *, clock: Clock, trace: Trace) -> None:
        self._slaves = [Slave(meter.address, meter) for meter in meters]
        self._database = database
        self._clock = clock
        self._trace = trace
        self._decoder = Decoder()

    @property
    def deadline(self) -> float | None:
        """Return when `take` must be called even without bytes."""
        return self._decoder.deadline

    def take(self, data: bytes, now: float) -> bytes | None:
        """Return the answer to the bytes read at `now`, to be transmitted after the response delay.

        Everything reported is stored when this returns. Only the last request is answered, because the
        master of an earlier one has stopped waiting.
        """
        decoded = self._decoder.feed(data, now) if data else self._decoder.idle(now)
        answer: bytes | None = None
        for item in decoded:
            if isinstance(item, Discarded):
                self._count(_WHAT.get(item.reason, "garbage"), item.raw)
            elif not item.frame.from_slave:
                answer = self._request(item)
        return answer

    def _request(self, received: Received) -> bytes | None:
        request = self._named(received.frame)
        if not self._is_ours(request):
            self._count("foreign_address", received.raw)
            return None
        self._trace.wire("rs485", "rx", received.raw)
        answers = [frame for frame in (slave.receive(request) for slave in self._slaves) if frame]
        if len(answers) > 1:
            # On a bus the answers would collide, and none would be received.
            self._count("answers_collide", received.raw)
            return None
        return answers[0].encode() if answers else None

    def sent(self, raw: bytes) -> None:
        """Trace an answer that has been transmitted."""
        self._trace.wire("rs485", "tx", raw)

    def _named(self, request: Frame) -> Frame:
        """Address the report of a seal without a meter address to the only meter, where there is only one."""
        if request.address == WILDCARD and request.function == Function.WRITE and len(self._slaves) == 1:
            return replace(request, address=self._slaves[0].address) if request.di in _PUSHED else request
        return request

    def _is_ours(self, request: Frame) -> bool:
        return request.address == BROADCAST or any(
            matches(request.address, slave.address) for slave in self._slaves
        )

    def _count(self, what: str, raw: bytes) -> None:
        with self._database.transaction() as conn:
            diagnostics.count(conn, what, at=self._clock.now(), raw=raw)
        if what != "foreign_address":
            self._trace("discarded", bytes=hex_digits(raw), reason=what)


async def run(settings: Settings, *, trace: Trace) -> None:
    """Open port and store, and answer until cancelled."""
    clock = SystemClock()
    line = Line(settings.port, trace=trace, baud=settings.baud)
    database = Database(settings.store, SCHEMA)
    try:
        await line.open(settings.wait)
        meters = [
            Meter(address, database, clock=clock, trace=trace, seals=seals, password=settings.password_bytes)
            for address, seals in settings.meters.items()
        ]
        station = MeterStation(meters, database, clock=clock, trace=trace)
        trace("ready", port=line.url, meters=list(settings.meters), store=str(settings.store))
        await _serve(line, station, clock)
    finally:
        line.close()
        database.close()


async def _serve(line: Line, station: MeterStation, clock: Clock) -> None:
    while True:
        deadline = station.deadline
        data = await line.read(None if deadline is None else max(deadline - clock.monotonic(), 0.001))
        received_at = clock.monotonic()
        answer = station.take(data, received_at)
        if answer is None:
            continue
        await asyncio.sleep(max(received_at + TD - clock.monotonic(), 0))
        # A late answer is not sent, since the master may be polling another meter by now.
        if clock.monotonic() <= received_at + TD_MAX and await line.write(answer):
            station.sent(answer)
