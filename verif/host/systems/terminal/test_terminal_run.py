"""The terminal runs as a process between real meters on a bus and a master station over TCP."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meterseal.clock import SystemClock
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.errors import Failure
from meterseal.octets import bcd
from meterseal.protocols.csg1209022.alarm import CoverAlarm
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import Frame as UplinkFrame
from meterseal.protocols.csg1209022.frame import point_da
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayRequest
from meterseal.protocols.csg1209022.station import (
    Answered,
    Heartbeat,
    LoggedIn,
    Reported,
    Send,
    StationSession,
)
from meterseal.protocols.csg1209022.user_data import SealReport
from meterseal.protocols.dlt645 import Decoder, Frame, Received, requests
from meterseal.systems.terminal.cli import app
from sealchip.interface import Di

METER, OTHER, SEAL = "000000000012", "000000000013", "000000000101"
COVER = 0x03300E00
Start = Callable[..., Any]


class Bus:
    """A shared bus passes what one end sends to every other end. `log` is (time, end, bytes)."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self.log: list[tuple[float, int, bytes]] = []
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = self._server.accept()
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._ends.append(end)
                threading.Thread(target=self._carry, args=[end], daemon=True).start()

    def _carry(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError), end:
            while data := end.recv(4096):
                with self._lock:
                    self.log.append((time.monotonic(), end.fileno(), data))
                    for other in self._ends:
                        if other is not end:
                            with contextlib.suppress(OSError):
                                other.sendall(data)
        with self._lock:
            self._ends.remove(end)


class Seal:
    """Acts as a seal on the bus."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("socket://").split(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.settimeout(0.01)
        self._decoder = Decoder()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def report(self, counter: int, *, meter: str = METER, seal: str = SEAL) -> None:
        """Repeat a report until the meter acknowledges it; odd counters are openings."""
        kind, state = (Kind.OPENED, StateClass.OPEN) if counter % 2 else (Kind.CLOSED, StateClass.SEALED)
        record = SealRecord(seal, 1, counter, kind, state)
        for _ in range(20):
            self.send(requests.write(meter, Di.REPORT, record.encode()).encode())
            if self._receives(Frame(meter, 0x94), within=0.3):
                return
        raise AssertionError("the meter does not acknowledge")

    def _receives(self, frame: Frame, within: float) -> bool:
        end = time.monotonic() + within
        while (now := time.monotonic()) < end:
            with contextlib.suppress(TimeoutError):
                for item in self._decoder.feed(self._socket.recv(4096), now):
                    if isinstance(item, Received) and item.frame == frame:
                        return True
        return False

    def close(self) -> None:
        self._socket.close()


class Station:
    """Serves one terminal at a time as master station; `reports` holds each report as often as it came."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.confirms = True
        self.reports: list[UplinkFrame] = []
        self.logins = 0
        self.heartbeats = 0
        self._orders: queue.Queue[tuple[int, bytes, int, bytes]] = queue.Queue()
        self._answers: queue.Queue[UplinkFrame] = queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def ask(self, afn: int, point: int, di: int, content: bytes = b"") -> UplinkFrame:
        self._orders.put((afn, point_da(point), di, content))
        return self._answers.get(timeout=10)

    def seal_counters(self) -> list[int]:
        reports = [report for report in self.reports if report.afn == Afn.USER_DEFINED]
        entries = [SealReport.decode(report.content).entry for report in reports]
        return [SealRecord.decode(entry.record).counter for entry in entries]

    def openings(self) -> list[int]:
        alarms = [report for report in self.reports if report.afn == Afn.ALARM]
        return [CoverAlarm.decode(alarm.content).count for alarm in alarms]

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with contextlib.suppress(OSError), connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        session = StationSession(timeout=5)
        connection.settimeout(0.02)
        while True:
            now = time.monotonic()
            try:
                data = connection.recv(4096)
                if not data:
                    return
                self._take(connection, session, session.receive(data, now))
            except TimeoutError:
                self._take(connection, session, session.tick(now))
            while not self._orders.empty():
                connection.sendall(session.request(*self._orders.get(), key="order", now=now))

    def _take(self, connection: socket.socket, session: StationSession, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Send):
                connection.sendall(event.raw)
            elif isinstance(event, Reported):
                self.reports.append(event.frame)
                if self.confirms:
                    connection.sendall(session.confirm(event.frame, ok=True))
            elif isinstance(event, Answered):
                self._answers.put(event.frame)
            self.logins += isinstance(event, LoggedIn)
            self.heartbeats += isinstance(event, Heartbeat)


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


@pytest.fixture
def seal(bus: Bus) -> Iterator[Seal]:
    seal = Seal(bus.url)
    yield seal
    seal.close()


@pytest.fixture
def start_meter(start_link: Start, bus: Bus, tmp_path: Path) -> Start:
    def start() -> Any:
        meter = start_link(
            "meter", "run", "--port", bus.url, "--meter", METER, "--store", tmp_path / "meter.db"
        )
        meter.wait_for("ready")
        return meter

    return start


@pytest.fixture
def start_terminal(start_link: Start, bus: Bus, station: Station, tmp_path: Path) -> Start:
    def start(*more: object) -> Any:
        where = ["--bus", bus.url, "--station", station.where, "--store", tmp_path / "terminal.db"]
        who = ["--region", "440106", "--address", 1, "--point", f"1={METER}"]
        quick = ["--poll", 0.2, "--timeout", 0.2, "--baud", 19200, "--confirm-timeout", 0.5]
        terminal = start_link("terminal", "run", *where, *who, *quick, *more)
        terminal.wait_for("ready")
        return terminal

    return start


def stored(store: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(store)) as conn:
        return [counter for (counter,) in conn.execute("SELECT counter FROM events ORDER BY id")]


def unsent(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store)) as conn:
        return int(conn.execute("SELECT count(*) FROM outbox WHERE done_at IS NULL").fetchone()[0])


def test_an_opening_goes_from_the_seal_to_the_master_station(
    start_meter: Start,
    start_terminal: Start,
    bus: Bus,
    seal: Seal,
    station: Station,
    eventually: Start,
) -> None:
    meter = start_meter()
    terminal = start_terminal("--heartbeat", 1, "--sync-clock")
    terminal.wait_for("connected", port=station.where)
    meter.wait_for("clock", meter=METER, by="broadcast")
    seal.report(1)
    seal.report(2)
    eventually(lambda: station.seal_counters() == [1, 2] and station.openings() == [1])
    terminal.wait_for("event", seal=SEAL, counter=1, kind="opened")
    terminal.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", raised=True)
    terminal.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", raised=False)
    eventually(lambda: station.heartbeats >= 2)
    assert (len(station.reports), station.logins) == (3, 1)
    assert terminal.stop() == 0
    assert terminal.errors == ""
    minds_its_manners(bus)


def minds_its_manners(bus: Bus) -> None:
    """Assert that each poll (11H) begins at least 60 ms after any frame, 150 ms after the terminal's own."""
    polls = [(at, end) for at, end, data in bus.log if Frame.decode(data).control == 0x11]
    assert len({end for _, end in polls}) == 1
    for at, end in polls:
        before = [(then, whose) for then, whose, _ in bus.log if then < at]
        assert all(at - then > 0.055 for then, whose in before if whose != end)
        assert all(at - then > 0.150 for then, whose in before if whose == end)


def test_unconfirmed_messages_are_kept_and_sent_again(
    start_meter: Start,
    start_terminal: Start,
    seal: Seal,
    station: Station,
    eventually: Start,
    tmp_path: Path,
) -> None:
    station.confirms = False
    start_meter()
    terminal = start_terminal()
    seal.report(1)
    # The terminal tries three times, half a second apart, and then opens a new connection.
    eventually(lambda: station.seal_counters()[:3] == [1, 1, 1] and station.logins == 2)
    terminal.kill()
    assert unsent(tmp_path / "terminal.db") == 2
    station.confirms = True
    start_terminal()
    eventually(lambda: station.openings() == [1])
    eventually(lambda: unsent(tmp_path / "terminal.db") == 0)


def test_sigkill_loses_and_doubles_nothing(
    start_meter: Start,
    start_terminal: Start,
    seal: Seal,
    station: Station,
    eventually: Start,
    tmp_path: Path,
) -> None:
    moments = random.Random(1209022)
    start_meter()
    terminal = start_terminal()
    for counter in range(1, 9):
        seal.report(counter)
        if counter % 2 == 0:
            time.sleep(moments.uniform(0.0, 0.8))
            terminal.kill()
            terminal = start_terminal()
    eventually(lambda: {*station.seal_counters()} == {*range(1, 9)} and {*station.openings()} == {1, 2, 3, 4})
    assert stored(tmp_path / "terminal.db") == list(range(1, 9))
    # Only a report that was on its way when the terminal was killed may have come twice.
    assert len(station.reports) <= 12 + 4


def test_it_answers_its_master_station(
    start_meter: Start, start_terminal: Start, seal: Seal, station: Station, eventually: Start
) -> None:
    start_meter()
    seal.report(1)
    start_terminal()
    eventually(lambda: station.openings() == station.seal_counters() == [1])
    clock = station.ask(Afn.READ, 0, UplinkDi.TERMINAL_CLOCK)
    assert abs((bcd.moment(clock.content) - SystemClock().now()).total_seconds()) < 3
    assert station.ask(Afn.CURRENT, 0, UplinkDi.STATUS_WORD).content == bytes(2)
    assert station.ask(Afn.CURRENT, 1, COVER).content == b"\x01\0\0"
    entry = station.ask(Afn.CURRENT, 1, Di.JOURNAL_ENTRY, b"\1\0\0\0")
    assert SealRecord.decode(entry.content[-38:]).counter == 1
    assert station.ask(Afn.EVENTS, 0, UplinkDi.UNSENT_ALARMS).content == b"\0"
    assert station.ask(Afn.WRITE, 0, UplinkDi.HEARTBEAT_PERIOD, b"\x15").content == b"\x04"
    order = RelayRequest(requests.read(METER, Di.RECORD_NEWEST).encode(), timeout=2).encode()
    answer = RelayAnswer.decode(station.ask(Afn.RELAY, 1, UplinkDi.RELAY, order).content)
    assert Frame.decode(answer.frame).content[-38:] == entry.content[-38:]
    refused = RelayRequest(requests.read(METER, 0x04999999).encode(), timeout=2).encode()
    answer = RelayAnswer.decode(station.ask(Afn.RELAY, 1, UplinkDi.RELAY, refused).content)
    assert Frame.decode(answer.frame) == Frame(METER, 0xD1, b"\x02")
    silent = RelayRequest(requests.read(OTHER, COVER).encode(), timeout=1).encode()
    assert RelayAnswer.decode(station.ask(Afn.RELAY, 1, UplinkDi.RELAY, silent).content).frame == b""


def test_a_verdict_on_its_way_to_the_meter_is_taken_here_too(
    start_meter: Start, start_terminal: Start, seal: Seal, station: Station, eventually: Start
) -> None:
    meter, terminal = start_meter(), start_terminal()
    seal.report(1)
    seal.report(2)
    eventually(lambda: station.seal_counters() == [1, 2])
    forged = SealRecord(SEAL, 1, 2, Kind.CLOSED, StateClass.SEALED).encode()
    found = RecordVerdict.on(forged, VerdictCode.AUTH_FAIL).encode()
    write = requests.write(METER, Di.VERDICT, found, password=b"\x02\0\0\0")
    for _ in range(2):
        order = RelayRequest(write.encode(), timeout=2).encode()
        answer = RelayAnswer.decode(station.ask(Afn.RELAY, 1, UplinkDi.RELAY, order).content)
        assert Frame.decode(answer.frame) == Frame(METER, 0x94)
    for link in (meter, terminal):
        link.wait_for("alarm", code="SEAL_AUTH_FAIL", counter=2, raised=True)
        link.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", counter=1, raised=True, count=2)
    garbled = requests.write(METER, Di.VERDICT, bytes(19), password=b"\x02\0\0\0")
    order = RelayRequest(garbled.encode(), timeout=2).encode()
    assert station.ask(Afn.RELAY, 1, UplinkDi.RELAY, order).afn == Afn.CONFIRM


def test_a_replayed_report_goes_up_once_more(
    start_meter: Start, start_terminal: Start, seal: Seal, station: Station, eventually: Start
) -> None:
    meter, terminal = start_meter(), start_terminal()
    seal.report(1)
    seal.report(2)
    time.sleep(1.1)  # The meter's clock has a resolution of one second.
    seal.report(1)
    for link in (meter, terminal):
        link.wait_for("alarm", code="SEAL_REPLAY", counter=1, raised=True)
    eventually(lambda: station.seal_counters() == [1, 2, 1])


def test_what_it_cannot_do_it_denies(start_meter: Start, start_terminal: Start, station: Station) -> None:
    start_meter()
    start_terminal()
    garbled = RelayRequest(b"\x68no frame").encode()
    for afn, point, di, content in (
        (Afn.FILE, 0, UplinkDi.FILE_START, b""),
        (Afn.READ, 0, 0xE0009999, b""),
        (Afn.CURRENT, 1, 0x04999999, b""),
        (Afn.CURRENT, 2, COVER, b""),
        (Afn.RELAY, 1, UplinkDi.RELAY, garbled),
        (Afn.RELAY, 1, UplinkDi.RELAY, b"\0"),
    ):
        answer = station.ask(afn, point, di, content)
        assert (answer.afn, answer.content) == (Afn.CONFIRM, b"\x01")


def test_a_dead_meter_is_alarmed_and_does_not_slow_its_neighbour(
    start_meter: Start, start_terminal: Start, bus: Bus, seal: Seal, station: Station, eventually: Start
) -> None:
    start_meter()
    terminal = start_terminal("--point", f"2={OTHER}")
    lost = terminal.wait_for("alarm", code="SEAL_COMMS_LOST", raised=True)
    assert lost["seal"] == OTHER
    bus.log.clear()
    time.sleep(1.5)
    polled = [Frame.decode(data).address for _, _, data in bus.log]
    assert polled.count(OTHER) <= 2
    assert polled.count(METER) >= 5
    seal.report(1)
    eventually(lambda: station.openings() == [1])


def test_a_meter_that_comes_back_clears_its_alarm(start_meter: Start, start_terminal: Start) -> None:
    terminal = start_terminal()
    terminal.wait_for("alarm", code="SEAL_COMMS_LOST", raised=True, seal=METER)
    start_meter()
    terminal.wait_for("alarm", code="SEAL_COMMS_LOST", raised=False, seal=METER)


def test_noise_on_the_bus_is_counted_and_survived(
    start_meter: Start, start_terminal: Start, seal: Seal, station: Station, eventually: Start, tmp_path: Path
) -> None:
    start_meter()
    terminal = start_terminal()
    good = Frame(METER, 0x91, bytes(12)).encode()
    noise = random.Random(485)
    for _ in range(20):
        seal.send(noise.choice([noise.randbytes(9), good[:-2] + b"\x00\x16", good[:7], good]))
        time.sleep(0.03)
    seal.report(1)
    eventually(lambda: station.openings() == station.seal_counters() == [1])
    assert stored(tmp_path / "terminal.db") == [1]
    terminal.wait_for("discarded", wire="rs485", reason="bad_checksum")
    assert terminal.stop() == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--region": "44"}, "expected 6 digits"),
        ({"--region": "44010A"}, "give 6 decimal digits"),
        ({"--address": "99999999"}, "out of range"),
        ({"--point": "x=12"}, "give N=METER"),
        ({"--point": "0=12"}, "meters begin at 1"),
        ({"--point": "9999=12"}, "expected 0 to 2032"),
        ({"--station": "nowhere"}, "is not HOST:PORT"),
        ({"--bus": "/dev/none-such"}, "the port /dev/none-such is not there"),
    ],
)
def test_a_failure_is_one_clear_sentence(tmp_path: Path, change: dict[str, str], sentence: str) -> None:
    options = {
        "--bus": "listen://127.0.0.1:0",
        "--station": "127.0.0.1:1",
        "--store": str(tmp_path / "terminal.db"),
        "--region": "440106",
        "--address": "1",
        "--point": "1=12",
        "--wait": "0.1",
    }
    arguments = [part for option in {**options, **change}.items() for part in option]
    done = CliRunner().invoke(app, ["run", *arguments])
    assert isinstance(done.exception, Failure)
    assert sentence in str(done.exception)
