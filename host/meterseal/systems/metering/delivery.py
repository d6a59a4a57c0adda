"""Events and findings go from the durable outbox to marketing over HTTP, until marketing has stored them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection

from meterseal.clock import Clock
from meterseal.errors import Failure
from meterseal.protocols import handover
from meterseal.store import diagnostics, outbox
from meterseal.store.database import Database
from meterseal.store.outbox import Item
from meterseal.store.writer import Writer
from meterseal.systems.metering.tables import MARKETING
from meterseal.trace import Trace

__all__ = ["Delivery", "target"]

#: Deliveries under way at a time.
_PARALLEL = 8
#: Seconds until the next attempt, and the longest pauses: for marketing out of reach, for a refused body.
_PAUSE = 0.2
_PAUSE_MAX = 30.0
_REFUSED_PAUSE_MAX = 3600.0
_TIMEOUT = 10.0
#: Items looked at in one turn.
_LOOK = 64
#: Client errors that do not concern the body: no such path (yet), too slow, too many.
_NOT_THE_BODY = frozenset({404, 408, 429})


def target(url: str) -> str:
    """Return where to post: `url` itself, or marketing's own path when it names none; raises `Failure`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Failure(f"marketing {url!r}: expected http://HOST:PORT, or https")
    return url if parts.path.strip("/") else url.rstrip("/") + handover.PATH


class Delivery:
    """One loop empties the outbox, and keeps the order of each seal's events.

    While marketing is out of reach one item after the other is tried, with pauses that grow to 30 s, and
    none is dropped. A body that marketing refuses waits alone and delays no other.
    """

    def __init__(self, url: str, database: Database, writer: Writer, trace: Trace, clock: Clock) -> None:
        self._url = target(url)
        self._database = database
        self._writer = writer
        self._trace = trace
        self._clock = clock
        self._changed = asyncio.Event()
        self._failures = 0

    def wake(self) -> None:
        """Look at the outbox now, since something was queued."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            while True:
                self._changed.clear()
                items = self._turn()
                if not items:
                    await self._wait()
                    continue
                reached = await asyncio.gather(*(self._deliver(client, item) for item in items))
                if all(reached):
                    self._reached()
                else:
                    self._failures += 1
                    await asyncio.sleep(_pause(self._failures - 1, _PAUSE_MAX))

    def _turn(self) -> list[Item]:
        """Return what to deliver now: one event a seal, so that a seal's events arrive in their order."""
        with self._database.reading() as conn:
            items = outbox.due(conn, MARKETING, self._clock.now(), _LOOK)
        # Of several events of a seal the oldest is written last and stays.
        firsts = {item.key.partition("-")[0]: item for item in reversed(items)}
        oldest_first = sorted(firsts.values(), key=lambda item: item.id)
        return oldest_first[: 1 if self._failures else _PARALLEL]

    async def _wait(self) -> None:
        with self._database.reading() as conn:
            at = outbox.next_at(conn, MARKETING)
        pause = None if at is None else max((at - self._clock.now()).total_seconds(), 0.001)
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, item: Item) -> bool:
        """Deliver an item; return True when marketing answered, even with a refusal."""
        headers = {"content-type": handover.CONTENT_TYPE}
        self._trace("wire", wire="http", direction="tx", peer=self._url, bytes=item.body.decode())
        try:
            answer = await client.post(self._url, content=item.body, headers=headers)
        except httpx.HTTPError as error:
            await self._away(item, f"{type(error).__name__}: {error}", pause=0.0)
            return False
        self._trace("wire", wire="http", direction="rx", peer=self._url, bytes=str(answer.status_code))
        if answer.is_success:
            await self._writer.do(partial(outbox.done, id=item.id, at=self._clock.now()))
        elif answer.is_client_error and answer.status_code not in _NOT_THE_BODY:
            await self._refused(item, f"HTTP {answer.status_code}: {answer.text}")
        else:
            # Marketing may fail on this body alone. It waits longer than the whole queue does, so that the
            # others get their turn.
            pause = 4 * _pause(item.attempts, _PAUSE_MAX)
            await self._away(item, f"HTTP {answer.status_code}", pause=pause)
            return False
        return True

    def _reached(self) -> None:
        if self._failures:
            self._trace("connected", peer=self._url)
        self._failures = 0

    async def _away(self, item: Item, reason: str, *, pause: float) -> None:
        if not self._failures:
            self._trace("lost", peer=self._url, reason=reason)
        again = self._clock.now() + timedelta(seconds=pause)
        await self._writer.do(partial(outbox.failed, id=item.id, not_before=again, error=reason))

    async def _refused(self, item: Item, reason: str) -> None:
        self._trace("discarded", reason=f"marketing refuses {item.key}: {reason}")
        await self._writer.do(partial(_note_refusal, item=item, reason=reason, now=self._clock.now()))


def _note_refusal(conn: Connection, item: Item, reason: str, now: datetime) -> None:
    again = now + timedelta(seconds=_pause(item.attempts, _REFUSED_PAUSE_MAX))
    outbox.failed(conn, item.id, again, reason)
    diagnostics.count(conn, "handover_refused", at=now, raw=item.body)


def _pause(failures: int, longest: float) -> float:
    # The exponent is bounded too: 2 to the number of failures of a year fits no float.
    return min(_PAUSE * 2.0 ** min(failures, 30), longest)
