"""The writer groups commits: writes of many tasks share one durable transaction and one flush to the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from meterseal.store.database import Database

__all__ = ["StoppedError", "Writer"]

T = TypeVar("T")


class StoppedError(RuntimeError):
    """The writer has ended, and this piece of work was not stored."""


class _Piece(NamedTuple):
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class Writer:
    """A writer runs pieces of work in transactions, in the order given, off the event loop.

    While one transaction is flushed the next pieces gather, and share the next transaction. A piece that
    raises is rolled back alone and its caller gets the exception
    (`test_one_failing_piece_does_not_spoil_its_neighbours`). When the database itself fails, or `run` ends,
    every caller gets `StoppedError` (`test_a_call_to_a_writer_that_has_ended_fails_at_once`).
    """

    #: Most pieces in one transaction, which bounds how long the first of them waits for the last.
    MAX_BATCH = 256

    def __init__(self, database: Database) -> None:
        self._database = database
        # Bounded, so that callers, and with them their peers, wait while the disk is too slow.
        self._queue: asyncio.Queue[_Piece] = asyncio.Queue(4 * self.MAX_BATCH)
        self._stopped = False

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is durable; raises `StoppedError`."""
        if self._stopped:
            raise StoppedError("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Piece(work, future))
        return await future

    async def run(self) -> None:
        """Serve until cancelled; raises when the database itself fails, since nothing can be stored then."""
        batch: list[_Piece] = []
        try:
            while True:
                batch = [await self._queue.get()]
                while len(batch) < self.MAX_BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._commit(batch)
        finally:
            self._stopped = True
            while True:
                for piece in batch:
                    if not piece.future.done():
                        piece.future.set_exception(StoppedError("the store is closed"))
                if self._queue.empty():
                    break
                batch = [self._queue.get_nowait()]
                # A caller that waited for a free place in the queue takes it now.
                await asyncio.sleep(0)

    async def _commit(self, batch: list[_Piece]) -> None:
        loop = asyncio.get_running_loop()
        commit = loop.run_in_executor(None, self._transaction, [piece.work for piece in batch])
        try:
            results = await asyncio.shield(commit)
        except asyncio.CancelledError:
            # A commit under way is finished all the same, and its callers get their results.
            _resolve(batch, await commit)
            raise
        _resolve(batch, results)

    def _transaction(self, pieces: list[Callable[[Connection], Any]]) -> list[tuple[Any, Exception | None]]:
        results: list[tuple[Any, Exception | None]] = []
        with self._database.transaction() as conn:
            for work in pieces:
                try:
                    with conn.begin_nested():
                        results.append((work(conn), None))
                except Exception as error:  # Whatever it is, the caller gets it.
                    results.append((None, error))
        return results


def _resolve(batch: list[_Piece], results: list[tuple[Any, Exception | None]]) -> None:
    for piece, (result, error) in zip(batch, results, strict=True):
        if piece.future.done():
            continue  # The caller gave up meanwhile.
        if error is None:
            piece.future.set_result(result)
        else:
            piece.future.set_exception(error)
