"""A metering system runs as a process, and terminals connect to it over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.domain.signing import sign
from meterseal.protocols.csg1209022.alarm import AlarmState, CoverAlarm
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import TerminalAddress, point_da
from meterseal.protocols.csg1209022.terminal import (
    Confirmed,
    Denied,
    LoggedIn,
    Requested,
    Send,
    TerminalLink,
    Unconfirmed,
)
from meterseal.protocols.csg1209022.user_data import SealReport
from meterseal.store import alarms, events
from meterseal.store.database import Database

SEAL, METER = "000000000101", "000000000201"
NOTHING = (None,) * 6


class Make:
    """Makes the contents of reports."""

    seal, meter = SEAL, METER

    @staticmethod
    def record(counter, kind=Kind.BOOT, state=StateClass.SEALED, *, seal=SEAL, key=None, **more):
        """Return the 38 bytes of a record, signed with `key` if there is one."""
        record = SealRecord(seal, 1, counter, kind, state, **more)
        return (record if key is None else sign(key, record)).encode()

    @classmethod
    def report(cls, counter, kind=Kind.BOOT, state=StateClass.SEALED, *, meter=METER, at=None, **more):
        """Return the content of an AFN 15; `at` is the meter's time of event and report."""
        at = at or datetime.now(UTC)
        entry = JournalEntry(counter, at, at, cls.record(counter, kind, state, **more))
        return SealReport(meter, entry).encode()

    @classmethod
    def opened(cls, counter, **more):
        return cls.report(counter, Kind.OPENED, StateClass.OPEN, **more)

    @classmethod
    def closed(cls, counter, **more):
        return cls.report(counter, Kind.CLOSED, StateClass.SEALED, **more)

    @staticmethod
    def cover(at, *, count=1, state=AlarmState.OCCURRED):
        """Return the content of an AFN 13 E200004D."""
        return CoverAlarm(at, count, NOTHING, NOTHING, state).encode()


class Terminal:
    """Stands for one terminal: it runs our own `TerminalLink` on a blocking socket."""

    def __init__(self, endpoint, number=1, *, timeout=5.0):
        host, port = endpoint.rsplit(":", 1)
        self.name = f"440106:{number}"
        self.link = TerminalLink(TerminalAddress("440106", number), timeout=timeout)
        self.socket = socket.create_connection((host, int(port)), timeout=5)
        self.events = []
        self.bus = lambda frame: None

    def login(self):
        self._do(self.link.connected(time.monotonic()))
        self.until(LoggedIn)
        return self

    def start(self, afn, point, di, content, key):
        """Send a report without waiting for anything."""
        self._do(self.link.send(afn, point_da(point), di, content, key, time.monotonic()))

    def report(self, content, *, point=1, afn=Afn.USER_DEFINED, di=UplinkDi.USER_DEFINED):
        """Send a report; return True when confirmed, False when denied, None when neither came."""
        key = object()
        self.start(afn, point, di, content, key)
        event = self.until(Confirmed, Denied, Unconfirmed, key=key)
        return {Confirmed: True, Denied: False, Unconfirmed: None}[type(event)]

    def alarm(self, content, *, point=1, di=UplinkDi.TERMINAL_COVER_OPEN):
        return self.report(content, point=point, afn=Afn.ALARM, di=di)

    def until(self, *kinds, key=None, timeout=15.0):
        """Return the next event of these kinds."""
        end = time.monotonic() + timeout
        while True:
            for event in self.events:
                if isinstance(event, kinds) and key in (None, getattr(event, "key", None)):
                    self.events.remove(event)
                    return event
            assert time.monotonic() < end, f"none of {kinds} among {self.events}"
            self.step()

    def step(self, timeout=0.05):
        """Take what has come and do what is due."""
        self.socket.settimeout(timeout)
        data = None
        with contextlib.suppress(TimeoutError):
            data = self.socket.recv(65536)
        if data == b"":
            self._do(self.link.disconnected())
            raise ConnectionError("the station has closed the connection")
        self._do(self.link.receive(data, time.monotonic()) if data else self.link.tick(time.monotonic()))

    def raw(self, data):
        """Send bytes as they are."""
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    def _do(self, events):
        for event in events:
            if isinstance(event, Send):
                self.socket.sendall(event.raw)
            elif isinstance(event, Requested) and (answer := self.bus(event.frame)) is not None:
                self.socket.sendall(answer)
            else:
                self.events.append(event)


class Metering:
    """Holds the process, its addresses and its store."""

    def __init__(self, link, store):
        self.link = link
        self.store = store
        ready = link.wait_for("ready")
        self.listen, self.http = ready["listen"], f"http://{ready['http']}"

    def read(self, query):
        """Return what `query(conn)` finds in the store now."""
        database = Database(self.store, read_only=True)
        try:
            with database.reading() as conn:
                return query(conn)
        finally:
            database.close()

    @property
    def counters(self):
        return sorted(
            (one.seal, one.counter) for one in self.read(lambda conn: events.history(conn, limit=None))
        )

    @property
    def active(self):
        return {(one.code.value, one.subject) for one in self.read(alarms.active)}

    @contextlib.contextmanager
    def locked_store(self):
        """Keep every other process from writing to the store."""
        with contextlib.closing(sqlite3.connect(self.store, isolation_level=None)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            yield
            conn.execute("ROLLBACK")


@pytest.fixture
def make():
    return Make


@pytest.fixture
def start_metering(start_link, tmp_path):
    """Starts the system on `store`, on free ports or on those of an earlier start."""

    def start(*options, listen="127.0.0.1:0", store="metering.db", registry=None):
        path = tmp_path / store
        arguments = ["run", "--listen", listen, "--http", "127.0.0.1:0", "--store", path, *options]
        if registry is not None:
            file = tmp_path / "registry.json"
            file.write_text(json.dumps(registry))
            arguments += ["--registry", file]
        return Metering(start_link("metering", *arguments), path)

    return start


@pytest.fixture
def connect():
    """Connects terminals; they are closed at the end."""
    terminals = []

    def start(metering, number=1, **more):
        terminals.append(Terminal(metering.listen, number, **more))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def ago():
    """Return the time so many seconds ago, to the second."""
    return lambda seconds: datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)
