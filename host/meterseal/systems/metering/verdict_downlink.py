"""Verdicts go from the durable outbox through the terminals to the meters, until each has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from meterseal.clock import Clock
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import point_da
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayError, RelayRequest
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.frame import Frame, FrameError
from meterseal.store import outbox
from meterseal.store.database import Database
from meterseal.store.outbox import Item
from meterseal.store.writer import StoppedError
from meterseal.systems.metering.findings import MeterWrite
from meterseal.systems.metering.station import OfflineError, Station, UnansweredError
from meterseal.systems.metering.tables import DOWNLINK
from sealchip.interface import Di

__all__ = ["VerdictDownlink"]

#: Seconds until the next attempt, doubled up to the longest; shorter while the terminal is offline.
_PAUSE, _PAUSE_MAX, _OFFLINE_MAX = 1.0, 600.0, 10.0
#: Most seconds until the outbox is read again, and most items then.
_LOOK_AGAIN, _LOOK = 1.0, 10_000
#: Password level of the writes.
_LEVEL = b"\x02"


class VerdictDownlink:
    """The downlink writes verdicts to meters, at each terminal one write after the other.

    A write is done once its meter has acknowledged it. A write that is refused or not answered is repeated,
    with pauses that grow to ten minutes (`test_a_verdict_is_repeated_until_the_meter_has_it`). A terminal
    that does not answer delays no other.
    """

    def __init__(self, station: Station, database: Database, clock: Clock, password: bytes) -> None:
        self._station = station
        self._database = database
        self._clock = clock
        self._password = password
        self._changed = asyncio.Event()
        self._busy: set[str] = set()

    def wake(self) -> None:
        """Look at the outbox now, since something was queued."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                with self._database.reading() as conn:
                    items = outbox.due(conn, DOWNLINK, self._clock.now(), _LOOK)
                for item in items:
                    write = MeterWrite.decode(item.body)
                    if write.terminal not in self._busy:
                        self._busy.add(write.terminal)
                        tasks.create_task(self._deliver(item, write))
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _deliver(self, item: Item, write: MeterWrite) -> None:
        try:
            await self._write(write)
        except (OfflineError, UnansweredError, RelayError, FrameError) as error:
            longest = _OFFLINE_MAX if isinstance(error, OfflineError) else _PAUSE_MAX
            pause = min(_PAUSE * 2.0 ** min(item.attempts, 30), longest)
            again = self._clock.now() + timedelta(seconds=pause)
            await self._note(partial(outbox.failed, id=item.id, not_before=again, error=str(error)))
        else:
            await self._note(partial(outbox.done, id=item.id, at=self._clock.now()))
        finally:
            self._busy.discard(write.terminal)
            self._changed.set()

    async def _note(self, work: Callable[[Connection], None]) -> None:
        # When the system ends meanwhile the item stays queued, and the meter takes it twice.
        with suppress(StoppedError):
            await self._station.writer.do(work)

    async def _write(self, write: MeterWrite) -> None:
        verdict = bytes.fromhex(write.verdict)
        request = requests.write(write.meter, Di.VERDICT, verdict, password=_LEVEL + self._password)
        relay = RelayRequest(request.encode(), timeout=self._station.settings.bus_timeout)
        da = point_da(write.point)
        answer = await self._station.ask(write.terminal, Afn.RELAY, da, UplinkDi.RELAY, relay.encode())
        if answer.afn == Afn.CONFIRM:
            raise RelayError("the terminal refuses to pass the verdict on")
        raw = RelayAnswer.decode(answer.content).frame
        if not raw:
            raise RelayError(f"meter {write.meter} does not answer")
        if Frame.decode(raw).refused:
            raise RelayError(f"{hex_bytes(raw)}: meter {write.meter} refuses the verdict")
