"""Group commit for asyncio: many tasks' writes share one durable transaction and one flush to the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from meterseal.store.database import Database

__all__ = ["Writer"]

T = TypeVar("T")
_Work = tuple[Callable[[Connection], Any], asyncio.Future[Any]]


class Writer:
    """Runs pieces of work in transactions, in the order given, off the event loop.

    While one transaction is flushed the next pieces gather, and go into the next transaction together. A
    piece that raises is undone alone and its caller gets the exception
    (`test_one_failing_piece_does_not_spoil_its_neighbours`).
    """

    #: Pieces in one transaction: bounds how long the first of them waits for the last.
    MAX_BATCH = 256

    def __init__(self, database: Database) -> None:
        self._database = database
        # Bounded: a caller waits here when the disk cannot follow, and so does its peer.
        self._queue: asyncio.Queue[_Work] = asyncio.Queue(4 * self.MAX_BATCH)

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; returns its result once that is durable."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((work, future))
        return await future

    async def run(self) -> None:
        """Serve until cancelled; raises when the database itself fails, for nothing can be stored then."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self.MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for (_, future), (result, error) in zip(batch, await self._commit(batch), strict=True):
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

    async def _commit(self, batch: list[_Work]) -> list[tuple[Any, Exception | None]]:
        # A commit under way is finished also when we are cancelled: nobody may use the connection meanwhile.
        pieces = [work for work, _ in batch]
        commit = asyncio.get_running_loop().run_in_executor(None, self._transaction, pieces)
        try:
            return await asyncio.shield(commit)
        except asyncio.CancelledError:
            await commit
            raise

    def _transaction(self, pieces: list[Callable[[Connection], Any]]) -> list[tuple[Any, Exception | None]]:
        results: list[tuple[Any, Exception | None]] = []
        with self._database.transaction() as conn:
            for work in pieces:
                try:
                    with conn.begin_nested():
                        results.append((work(conn), None))
                except Exception as error:  # whatever it is, it is the caller's
                    results.append((None, error))
        return results
