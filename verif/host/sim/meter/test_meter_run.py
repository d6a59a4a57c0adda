"""The meter runs as a process over a PTY and over TCP, and survives being killed."""

from __future__ import annotations

import contextlib
import random
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dlt645 import MeterClientService
from typer.testing import CliRunner

from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.errors import Failure
from meterseal.io.pty import PtyEnd
from meterseal.octets import bcd
from meterseal.protocols.dlt645 import Decoder, Frame, Received, requests
from meterseal.sim.meter.cli import app
from sealchip.interface import Di

METER, SEAL = "000000000012", "000000000101"
Start = Callable[..., Any]


class Seal:
    """Acts as a seal at the other end of the line and repeats a report until it is acknowledged."""

    def __init__(self, url: str) -> None:
        # This is a plain socket because pyserial does not close its own when the peer resets the connection.
        host, port = url.removeprefix("socket://").rsplit(":", 1)
        self._port = socket.create_connection((host, int(port)))
        self._port.settimeout(0.01)
        self._decoder = Decoder()

    def ask(self, request: Frame, *, within: float = 0.6) -> tuple[Frame, float] | None:
        """Return the answer and the time until it came; None if there was none."""
        self._port.sendall(request.encode())
        asked = time.monotonic()
        while (now := time.monotonic()) < asked + within:
            for item in self._decoder.feed(self._received(), now):
                if isinstance(item, Received):
                    return item.frame, now - asked
        return None

    def report(self, record: SealRecord) -> None:
        request = requests.write(METER, Di.REPORT, record.encode())
        while self.ask(request, within=0.2) is None:
            pass

    def close(self) -> None:
        self._port.close()

    def _received(self) -> bytes:
        """Return the bytes that have come, or none after 10 ms."""
        try:
            data = self._port.recv(256)
        except TimeoutError:
            return b""
        assert data, "the meter has closed the connection"
        return data


def event(counter: int) -> SealRecord:
    opened = counter % 2
    kind, state = (Kind.OPENED, StateClass.OPEN) if opened else (Kind.CLOSED, StateClass.SEALED)
    return SealRecord(SEAL, 1, counter, kind, state)


def stored(store: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(store)) as conn:
        return [counter for (counter,) in conn.execute("SELECT counter FROM journal ORDER BY number")]


def start_meter(start_link: Start, store: Path, *, port: str = "listen://127.0.0.1:0") -> tuple[Any, str]:
    meter = start_link("meter", "run", "--port", port, "--meter", METER, "--store", store)
    return meter, meter.wait_for("ready")["port"].replace("listen", "socket")


def test_an_answer_comes_no_earlier_than_20_ms_and_in_time(start_link: Start, tmp_path: Path) -> None:
    meter, url = start_meter(start_link, tmp_path / "meter.db")
    seal = Seal(url)
    seal.report(event(1))
    took = []
    for _ in range(5):
        answer = seal.ask(requests.read(METER, 0x03300E00))
        assert answer is not None
        assert answer[0].content == b"\x01\0\0"
        took.append(answer[1])
    assert min(took) >= 0.020
    assert sorted(took)[2] < 0.100
    seal.close()
    assert meter.stop() == 0
    assert meter.errors == ""


# The package keeps its log in files that it leaves open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_independent_client_reads_count_and_address_over_tcp(start_link: Start, tmp_path: Path) -> None:
    """PyPI `dlt645` uses raw TCP."""
    _, url = start_meter(start_link, tmp_path / "meter.db")
    seal = Seal(url)
    for counter in range(1, 6):
        seal.report(event(counter))
    seal.close()
    client = MeterClientService.new_tcp_client("127.0.0.1", int(url.rsplit(":", 1)[1]), timeout=2)
    try:
        address = client.read_address()
        assert address is not None
        # The package writes an address in the order of the wire.
        assert bytes.fromhex(address.value) == bcd.address_bytes(METER)
        (count,) = client.read_03(0x03300E00)
        assert count.value == "000003"
    finally:
        client.client.disconnect()


def test_sigkill_loses_and_doubles_nothing(start_link: Start, tmp_path: Path) -> None:
    """The meter is killed at random moments before, between and after commit and acknowledgement."""
    store = tmp_path / "meter.db"
    moments = random.Random(645)
    meter, url = start_meter(start_link, store)
    port = "listen://" + url.removeprefix("socket://")
    seal = Seal(url)
    for counter in range(1, 13):
        request = requests.write(METER, Di.REPORT, event(counter).encode())
        if counter % 3 == 0:
            seal.ask(request, within=moments.uniform(0.0, 0.04))
            meter.kill()
            seal.close()
            meter, url = start_meter(start_link, store, port=port)
            seal = Seal(url)
        seal.report(event(counter))
        assert stored(store) == list(range(1, counter + 1))
    seal.close()
    bounds = stored(store)
    assert bounds == list(range(1, 13))


def test_a_meter_on_a_pty_survives_its_line(start_link: Start, tmp_path: Path) -> None:
    link, store = tmp_path / "bus", tmp_path / "meter.db"
    with PtyEnd(link):
        meter = start_link("meter", "run", "--port", link, "--meter", METER, "--store", store)
        meter.wait_for("ready")
    meter.wait_for("lost")
    with PtyEnd(link):
        meter.wait_for("connected", count=2)
    assert meter.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--port", "/dev/none-such", "--meter", "12", "--wait", "0.1"],
            "the port /dev/none-such is not there",
        ),
        (["--port", "listen://127.0.0.1:0", "--meter", "1x"], "give up to 12 decimal digits"),
        (["--port", "listen://127.0.0.1:0", "--meter", "12", "--seal", "13=7"], "there is no --meter 13"),
        (["--port", "listen://127.0.0.1:0", "--meter", "12", "--password", "1"], "give six decimal digits"),
        (["--port", "listen://nowhere", "--meter", "12"], "is not HOST:PORT"),
    ],
)
def test_a_failure_is_one_clear_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    store = ["--store", str(tmp_path / "meter.db")]
    done = CliRunner().invoke(app, ["run", *arguments, *store])
    assert isinstance(done.exception, Failure)
    assert sentence in str(done.exception)
