"""The writer commits the work of several callers in one transaction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from meterseal.store import outbox
from meterseal.store.database import Database
from meterseal.store.writer import StoppedError, Writer

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "store.db")
    yield database
    database.close()


@asynccontextmanager
async def writing(database):
    writer = Writer(database)
    task = asyncio.create_task(writer.run())
    yield writer
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def put(key):
    return lambda conn: outbox.put(conn, "topic", key, b"", NOW)


def count(database):
    with database.reading() as conn:
        return outbox.pending(conn)


def test_a_result_is_durable_when_it_is_there(database):
    async def main():
        async with writing(database) as writer:
            assert await writer.do(put("a")) is True
            assert count(database) == 1

    asyncio.run(main())


def test_many_writers_share_transactions(database, monkeypatch):
    transactions = []
    original = Writer._transaction
    monkeypatch.setattr(
        Writer, "_transaction", lambda self, work: transactions.append(len(work)) or original(self, work)
    )

    async def main():
        async with writing(database) as writer:
            assert all(await asyncio.gather(*(writer.do(put(f"{n}")) for n in range(2000))))

    asyncio.run(main())
    assert count(database) == 2000
    assert len(transactions) < 50
    assert max(transactions) <= Writer.MAX_BATCH


def test_one_failing_piece_does_not_spoil_its_neighbours(database):
    def half(conn):
        outbox.put(conn, "topic", "half", b"", NOW)
        raise KeyError("half")

    async def main():
        async with writing(database) as writer:
            results = await asyncio.gather(
                writer.do(put("a")), writer.do(half), writer.do(put("b")), return_exceptions=True
            )
        assert results[0] is True
        assert isinstance(results[1], KeyError)
        assert results[2] is True

    asyncio.run(main())
    assert count(database) == 2


def test_a_caller_that_gave_up_does_not_disturb_others(database):
    async def main():
        async with writing(database) as writer:
            gone = asyncio.create_task(writer.do(put("a")))
            await asyncio.sleep(0)
            gone.cancel()
            assert await writer.do(put("b")) is True

    asyncio.run(main())
    assert count(database) == 2


def test_a_call_to_a_writer_that_has_ended_fails_at_once(database):
    async def main():
        writer = Writer(database)
        task = asyncio.create_task(writer.run())
        callers = [asyncio.create_task(writer.do(put(f"{n}"))) for n in range(2000)]
        await asyncio.sleep(0.001)
        task.cancel()
        done = await asyncio.gather(*callers, return_exceptions=True)
        stored = [one for one in done if one is True]
        assert all(isinstance(one, StoppedError) for one in done if one is not True)
        with pytest.raises(StoppedError):
            await writer.do(put("late"))
        assert count(database) == len(stored) < 2000
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_failing_database_ends_the_writer_and_its_callers(database, monkeypatch):
    def full():
        raise OSError("disk full")

    monkeypatch.setattr(database, "transaction", full)

    async def main():
        writer = Writer(database)
        task = asyncio.create_task(writer.run())
        with pytest.raises(StoppedError):
            await writer.do(put("a"))
        with pytest.raises(OSError, match="disk full"):
            await task

    asyncio.run(main())
