"""The store is durable, has one writer, and can be read while its owner runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import typer
from sqlalchemy import Column, Integer, MetaData, Table, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from typer.testing import CliRunner

from meterseal.domain.event import SealEvent
from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.errors import Failure
from meterseal.store import diagnostics, events, ingest, outbox
from meterseal.store.cli import add_queries
from meterseal.store.database import Database, Schema, metadata

NOW = datetime(2026, 11, 22, 5, 5, 0, 123000, tzinfo=UTC)
SEAL = "000000000101"


def event(counter, kind=Kind.BOOT, state=StateClass.SEALED, seal=SEAL):
    record = SealRecord(seal, 1, counter, kind, state).encode()
    return SealEvent.from_record(record, meter="000000000001", occurred_at=NOW, received_at=NOW)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a store, 100%?.db"


@pytest.fixture
def database(path):
    database = Database(path)
    yield database
    database.close()


def test_what_is_written_is_read_back(database):
    with database.transaction() as conn:
        ingest.apply(conn, event(1), NOW)
    with database.reading() as conn:
        stored = events.newest(conn, SEAL)
    assert stored == SealEvent.from_record(
        event(1).record, meter="000000000001", occurred_at=NOW, received_at=NOW, stored_at=NOW, id=1
    )


def test_a_transaction_that_raises_leaves_nothing(database):
    def half():
        with database.transaction() as conn:
            ingest.apply(conn, event(1), NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    with database.reading() as conn:
        assert events.history(conn) == []


def test_queries_of_events(database):
    with database.transaction() as conn:
        for one in (event(1), event(3), event(2), event(7, seal="000000000102")):
            ingest.apply(conn, one, NOW)
        counters = [one.counter for one in events.history(conn, SEAL)]
        assert counters == [3, 2, 1]
        assert [one.counter for one in events.history(conn, limit=2)] == [7, 2]
        assert [one.counter for one in events.after(conn, 2)] == [2, 7]
        assert [(one.seal, one.counter) for one in events.seals(conn)] == [(SEAL, 3), ("000000000102", 7)]
        assert [events.newest(conn, SEAL, n) and events.newest(conn, SEAL, n).counter for n in range(4)] == [
            3,
            2,
            1,
            None,
        ]


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.store import ingest
from meterseal.store.database import Database
from meterseal.domain.event import SealEvent

database, now = Database(sys.argv[1]), datetime.now(UTC)
def store(conn, counter):
    record = SealRecord("000000000101", 1, counter, Kind.BOOT, StateClass.SEALED).encode()
    ingest.apply(conn, SealEvent.from_record(record, occurred_at=now), now)
with database.transaction() as conn:
    store(conn, 1)
with database.transaction() as conn:
    store(conn, 2)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_sigkill(path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    database = Database(path)
    with database.reading() as conn:
        assert [one.counter for one in events.history(conn)] == [1]
    database.close()


def test_readers_neither_wait_for_the_writer_nor_see_half_of_it(path, database):
    reader = Database(path, read_only=True)
    with database.transaction() as conn:
        ingest.apply(conn, event(1), NOW)
        with reader.reading() as other:
            assert events.history(other) == []
    with reader.reading() as other:
        assert len(events.history(other)) == 1
    reader.close()


def test_threads_write_one_after_the_other(database):
    def store(counter):
        with database.transaction() as conn:
            ingest.apply(conn, event(counter), NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, range(1, 41)))
    with database.reading() as conn:
        assert sorted(one.counter for one in events.history(conn)) == list(range(1, 41))


def test_a_newer_store_is_refused(path):
    tables = MetaData()
    Table("extra", tables, Column("id", Integer, primary_key=True))
    Database(path, Schema("extra", 2, tables)).close()
    with pytest.raises(Failure, match="extra tables of version 2, this program knows version 1"):
        Database(path, Schema("extra", 1, tables))
    with pytest.raises(Failure, match="install the newer meterseal"):
        Database(path, Schema("extra", 1, tables), read_only=True)


def test_an_older_store_is_refused_and_left_as_it_is(path):
    tables = MetaData()
    Table("extra", tables, Column("id", Integer, primary_key=True))
    Database(path, Schema("extra", 1, tables)).close()
    before = path.read_bytes()
    newer = MetaData()
    Table("other", newer, Column("id", Integer, primary_key=True))
    with pytest.raises(Failure, match="extra tables of version 1, this program knows version 2"):
        Database(path, Schema("extra", 2, newer))
    with pytest.raises(Failure, match="keep it for the older meterseal that wrote it"):
        Database(path, Schema("extra", 2, newer), read_only=True)
    assert path.read_bytes() == before
    Database(path, Schema("extra", 1, tables)).close()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_not_a_store_is_one_clear_sentence(tmp_path, read_only):
    (tmp_path / "text").write_text("this is no database at all, only some text" * 99)
    for bad in ("text", "no/such/directory/store.db"):
        with pytest.raises(Failure, match="store "):
            Database(tmp_path / bad, read_only=read_only)


def test_a_missing_store_is_not_made_by_a_reader(tmp_path):
    with pytest.raises(Failure):
        Database(tmp_path / "none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_naive_time_is_refused(database):
    with database.transaction() as conn, pytest.raises(Exception, match="naive"):
        outbox.put(conn, "topic", "key", b"", datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_the_tables_exist_in_postgresql_too():
    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=postgresql.dialect()))
        str(select(table).compile(dialect=postgresql.dialect()))


def test_the_outbox_keeps_an_item_until_it_is_done(database):
    later = NOW + timedelta(seconds=2)
    with database.transaction() as conn:
        assert outbox.put(conn, "topic", "a", b"1", NOW)
        assert not outbox.put(conn, "topic", "a", b"2", NOW)
        assert outbox.put(conn, "topic", "b", b"3", later)
        (item,) = outbox.due(conn, "topic", NOW)
        assert (item.key, item.body, item.attempts) == ("a", b"1", 0)
        outbox.failed(conn, item.id, later, "no answer")
        assert outbox.due(conn, "topic", NOW) == []
        assert outbox.next_at(conn, "topic") == later
        assert [(one.key, one.attempts) for one in outbox.due(conn, "topic", later)] == [("a", 1), ("b", 0)]
        outbox.done(conn, item.id, later)
        assert outbox.pending(conn) == 1
        assert outbox.next_at(conn, "other") is None


def test_diagnostics_are_counted_and_bytes_kept_once(database):
    with database.transaction() as conn:
        for raw in (b"\x01", b"\x02" * 999):
            diagnostics.count(conn, "bad_frame", "127.0.0.1", at=NOW, raw=raw)
        (diagnostic,) = diagnostics.list_all(conn)
        assert (diagnostic.count, diagnostic.sample) == (2, b"\x02" * diagnostics.SAMPLE_BYTES)
        assert diagnostics.keep(conn, "record", "440106:1", b"\xff" * 999, "version FF", NOW) == 1
        assert diagnostics.keep(conn, "record", "440106:1", b"\xff" * 999, "version FF", NOW) is None
        assert [one.raw for one in diagnostics.kept(conn)] == [b"\xff" * 999]


def test_the_queries_of_a_running_system(path, database):
    with database.transaction() as conn:
        ingest.apply(conn, event(1), NOW)
        ingest.apply(conn, event(2, Kind.OPENED, StateClass.OPEN), NOW)
        diagnostics.count(conn, "bad_frame", at=NOW, raw=b"\x68")
    app = typer.Typer()
    add_queries(app)

    def ask(name, *options):
        result = CliRunner().invoke(app, [name, "--store", str(path), *options])
        assert result.exit_code == 0, result.output
        return result.output

    (opened, boot) = json.loads(ask("events", "--json"))["events"]
    assert (boot["counter"], opened["kind"], opened["state"]) == (1, "opened", "open")
    assert opened["occurred_at"] == "2026-11-22T13:05:00.123+08:00"
    (alarm,) = json.loads(ask("alarms", "--json", "--seal", SEAL))["alarms"]
    assert (alarm["code"], alarm["active"], alarm["counter"]) == ("SEAL_OPEN_UNMATCHED", True, 2)
    (diagnostic,) = json.loads(ask("diagnostics", "--json"))["diagnostics"]
    assert (diagnostic["what"], diagnostic["count"], diagnostic["sample"]) == ("bad_frame", 1, "68")
    assert "opened" in ask("events", "--limit", "1")
    assert "critical SEAL_OPEN_UNMATCHED" in ask("alarms")
    assert "1 × bad_frame" in ask("diagnostics")


def test_a_record_with_an_invalid_address_is_unreadable():
    record = bytearray(event(1).record)
    record[2:8] = b"\xff" * 6
    with pytest.raises(LayoutError, match="seal address FFFFFFFFFFFF is not BCD"):
        SealEvent.from_record(bytes(record), occurred_at=NOW)


def test_events_by_time(database):
    with database.transaction() as conn:
        ingest.apply(conn, event(1), NOW)
        second = timedelta(seconds=1)
        assert [one.counter for one in events.between(conn, NOW, NOW)] == [1]
        assert events.between(conn, NOW - 2 * second, NOW - second) == []
