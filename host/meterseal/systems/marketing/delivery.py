"""Each channel has a queue of messages in the outbox."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from meterseal.clock import Clock
from meterseal.store import outbox
from meterseal.store.database import Database
from meterseal.store.outbox import Item
from meterseal.store.writer import Writer

__all__ = ["PAUSE_MAX", "Queue"]

#: Longest pause between two attempts, in seconds; the first is 1 s, and each next one twice as long.
PAUSE_MAX = 300


class Queue:
    """A queue holds the outbox items of one topic; an item leaves it only by being delivered."""

    def __init__(self, topic: str, database: Database, writer: Writer, clock: Clock) -> None:
        self._topic = topic
        self._database = database
        self._writer = writer
        self._clock = clock
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look at the outbox now, since something may have been queued."""
        self._changed.set()

    def due(self, limit: int) -> list[Item]:
        """Return up to `limit` items to deliver now, oldest first."""
        self._changed.clear()
        with self._database.reading() as conn:
            return outbox.due(conn, self._topic, self._clock.now(), limit)

    async def wait(self, *others: asyncio.Future[Any]) -> None:
        """Return when something may be due, or when one of `others` is done."""
        with self._database.reading() as conn:
            at = outbox.next_at(conn, self._topic)
        pause = None if at is None else max((at - self._clock.now()).total_seconds(), 0.0)
        changed = asyncio.ensure_future(self._changed.wait())
        awaited: set[asyncio.Future[Any]] = {changed, *others}
        try:
            await asyncio.wait(awaited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    async def done(self, item: Item) -> None:
        """Mark an item as delivered; returns once that is durable."""
        now = self._clock.now()
        await self._writer.do(lambda conn: outbox.done(conn, item.id, now))

    async def failed(self, item: Item, reason: str) -> None:
        """Count a failed attempt; the item is tried again after a pause."""
        pause = timedelta(seconds=min(2 ** min(item.attempts, 10), PAUSE_MAX))
        again = self._clock.now() + pause
        await self._writer.do(lambda conn: outbox.failed(conn, item.id, again, reason))
