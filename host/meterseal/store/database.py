"""Each system has one durable database, with one writer and any number of readers.

It is an SQLite file, or any other database by SQLAlchemy URL. What only SQLite needs is in this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Dialect,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from meterseal.errors import Failure

__all__ = ["Database", "Schema", "UtcMillis", "insert", "metadata"]

#: Tables that every system has.
metadata = MetaData()

_VERSIONS = MetaData()
_versions = Table(
    "schema",
    _VERSIONS,
    Column("part", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class UtcMillis(TypeDecorator[datetime]):
    """An aware time is stored as integer milliseconds since 1970 UTC, and read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the milliseconds of an aware time; a naive one raises `TypeError`."""
        return None if value is None else (value - _EPOCH) // _MS

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC."""
        return None if value is None else _EPOCH + value * _MS


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that belong together share a name and a version."""

    name: str
    version: int
    tables: MetaData


_STORE = Schema("store", 2, metadata)


def insert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT with `on_conflict_do_…` in the dialect of the database that `conn` leads to."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


class Database:
    """The database holds the store of one system.

    `where` is a file (created when missing) or a SQLAlchemy URL; `schemas` are added to that of `metadata`.
    With `read_only` the file must exist and is never written, even while its owner runs.

    *Durable*: what a transaction wrote is on the disk when the transaction ends (WAL,
    synchronous=FULL): `test_what_was_committed_survives_sigkill`.
    *One writer*: a single connection writes; a second transaction waits for the first.
    *Errors*: `Failure` for a missing directory or file, a file that is not a store, and a store written by
    an older or a newer version (`test_store_versions.py`).
    """

    def __init__(self, where: Path | str, *schemas: Schema, read_only: bool = False) -> None:
        self._where = where
        self._reader = _engine(where, writes=False)
        self._writer = self._reader if read_only else _engine(where, writes=True)
        try:
            if read_only:
                self._check((_STORE, *schemas))
            else:
                self._create((_STORE, *schemas))
        except DatabaseError as error:
            self.close()
            raise Failure(
                f"store {where}: {error.orig}; give the file of a running or earlier system"
            ) from error
        except Failure:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a writing transaction: durable when the block ends, rolled back when the block raises."""
        with self._writer.begin() as conn:
            yield conn

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a consistent view of what is committed; it does not wait for the writer."""
        with self._reader.begin() as conn:
            yield conn

    def close(self) -> None:
        """Close all connections to the database."""
        self._reader.dispose()
        self._writer.dispose()

    def _create(self, schemas: Sequence[Schema]) -> None:
        with self.transaction() as conn:
            _VERSIONS.create_all(conn)
            self._refuse_others(schemas, _known(conn))
            for schema in schemas:
                schema.tables.create_all(conn)
                row = insert(conn, _versions).values(part=schema.name, version=schema.version)
                conn.execute(row.on_conflict_do_nothing())

    def _check(self, schemas: Sequence[Schema]) -> None:
        with self.reading() as conn:
            self._refuse_others(schemas, _known(conn))

    def _refuse_others(self, schemas: Sequence[Schema], known: dict[str, int]) -> None:
        """Raise `Failure` for the first of `schemas` that the file has in another version."""
        for schema in schemas:
            found = known.get(schema.name, schema.version)
            if found == schema.version:
                continue
            if found > schema.version:
                cure = "install the newer meterseal that wrote it"
            else:
                cure = "keep it for the older meterseal that wrote it, and give a new file"
            raise Failure(
                f"store {self._where} has {schema.name} tables of version {found}, this program knows "
                f"version {schema.version}: {cure}"
            )


def _known(conn: Connection) -> dict[str, int]:
    return {row.part: row.version for row in conn.execute(select(_versions))}


def _engine(where: Path | str, *, writes: bool) -> Engine:
    if "://" in str(where):
        return create_engine(str(where), pool_size=1 if writes else 4, max_overflow=0)
    path = Path(where).absolute()
    mode = "rwc" if writes else "ro"
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})
    # Only one connection writes, and a second thread waits for it; readers share four.
    engine = create_engine(url, poolclass=QueuePool, pool_size=1 if writes else 4, max_overflow=0)

    # The driver would open transactions late and by its own rules; here SQLAlchemy's begin issues the BEGIN.
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=10000")
        if writes:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        # A writer takes the lock at once: upgrading a reader's lock later can fail.
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
