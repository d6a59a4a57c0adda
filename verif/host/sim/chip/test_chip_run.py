"""`meterseal chip run` runs as a process with PTY and TCP ends and a control port, and survives kills."""

from __future__ import annotations

import importlib
import json
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meterseal.domain.image import Identity, image
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import read, read_address
from meterseal.sim.chip.build import chip_library
from sealchip.interface import Di

SEAL, METER = "000000000131", "000000000231"
FIXTURES = Path(__file__).parents[3] / "data/fixtures/a16c0e4"
WITHIN = 20.0


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    """Build the library before any test measures time."""
    chip_library(clock_hz=307_200)


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    path = tmp_path / "seal.bin"
    path.write_bytes(image(Identity(SEAL, "GD-131", METER)))
    return path


class Running:
    """Holds the process with its trace and its control port."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meterseal", "chip", "run", *map(str, arguments), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.ready = self.until("ready")

    def until(self, what: str, **fields: object) -> dict[str, Any]:
        """Return the next trace line of this kind with these fields."""
        deadline = time.monotonic() + WITHIN
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {what} {fields} within {WITHIN} s") from None
            if line["what"] == what and all(line[name] == value for name, value in fields.items()):
                return line

    def connect(self, port: str = "tcp") -> socket.socket:
        host, number = self.ready[port].rsplit(":", 1)
        return socket.create_connection((host, int(number)), timeout=WITHIN)

    def command(self, **request: object) -> dict[str, Any]:
        with self.connect("control") as control, control.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
            return answer

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(WITHIN)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))


@contextmanager
def running(*arguments: object) -> Iterator[Running]:
    chip = Running("--tcp", "127.0.0.1:0", "--control", "127.0.0.1:0", *arguments)
    try:
        yield chip
    finally:
        if chip.process.poll() is None:
            chip.end()


def exchange(descriptor: int, request: bytes) -> Frame:
    """Return the answer to `request`, which is repeated if the seal was transmitting at that moment."""
    di = Frame.decode(request).di
    for _ in range(5):
        os.write(descriptor, request)
        decoder, deadline = Decoder(), time.monotonic() + 1.0
        while (wait := deadline - time.monotonic()) > 0:
            ready = select.select([descriptor], [], [], wait)[0]
            for decoded in decoder.feed(os.read(descriptor, 4096) if ready else b"", time.monotonic()):
                if isinstance(decoded, Received) and decoded.frame.from_slave and decoded.frame.di == di:
                    return decoded.frame
    raise AssertionError("no answer")


def seal(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "meterseal", "seal", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


def acknowledge(line: socket.socket) -> None:
    """Answer as the meter does; the identity, which follows the first report, is answered as well."""
    time.sleep(0.05)
    line.sendall(Frame(METER, 0x94).encode())


def test_the_chip_answers_on_tcp_and_on_the_pty(flash: Path, tmp_path: Path) -> None:
    with running("--flash", flash, "--pty", tmp_path / "pty") as chip:
        assert chip.ready["seals"] == [
            {"address": SEAL, "meter": METER, "asset": "GD-131", "flash": str(flash)}
        ]
        chip.until("event", seal=SEAL, kind="boot")
        with chip.connect() as line:
            assert exchange(line.fileno(), read_address().encode()).address == SEAL
            answer = exchange(line.fileno(), read(SEAL, Di.ASSET_NUMBER).encode())
            assert answer.content.rstrip(b"\0")[::-1] == b"GD-131"

        pty = os.open(tmp_path / "pty", os.O_RDWR | os.O_NOCTTY)
        try:
            # Earlier bytes of the bus are still in the PTY; the DI distinguishes the answers.
            answer = exchange(pty, read(SEAL, Di.RECORD_NEWEST).encode())
            assert SealRecord.decode(answer.content).kind is Kind.BOOT
        finally:
            os.close(pty)
    assert not (tmp_path / "pty").is_symlink()


def test_a_frame_of_an_independent_codec_reads_the_record(flash: Path) -> None:
    protocol = importlib.import_module("dlt645.protocol.protocol").DLT645Protocol
    address = bytes.fromhex(SEAL)[::-1]
    with running("--flash", flash) as chip, chip.connect() as line:
        chip.until("event", seal=SEAL, kind="boot")
        request = protocol.build_frame(address, 0x11, int(Di.RECORD_NEWEST).to_bytes(4, "little"))
        answer = protocol.deserialize(exchange(line.fileno(), bytes(request)).encode())
        record = SealRecord.decode(bytes(answer.data)[4:])
        assert (record.seal, record.boot, record.kind) == (SEAL, 1, Kind.BOOT)


def test_a_chip_goes_on_from_the_flash_of_an_older_version(tmp_path: Path) -> None:
    """With the flash of version a16c0e4 the numbers continue, and nothing is reported twice."""
    old, flash = FIXTURES / "seal-810400000001.bin", tmp_path / "seal.bin"
    shutil.copy(old, flash)
    shutil.copy(f"{old}.loop", f"{flash}.loop")
    with running("--flash", flash) as chip:
        expected = {"address": "810400000001", "meter": "440100000001", "asset": "GD-FY-2026-000001"}
        assert chip.ready["seals"] == [{**expected, "flash": str(flash)}]
        event = chip.until("event", seal="810400000001")
        assert (event["boot"], event["counter"], event["kind"]) == (3, 15, "boot")
        with chip.connect() as line:
            answer = exchange(line.fileno(), read("810400000001", Di.RECORD_NEWEST).encode())
        record = SealRecord.decode(answer.content)
        assert (record.counter, record.state) == (15, StateClass.SEALED)


def test_the_installers_tool_reads_and_watches(tmp_path: Path) -> None:
    flash = tmp_path / "made.bin"
    made = seal("image", "-o", flash, "--address", SEAL, "--asset-number", "GD-131", "--meter", METER)
    assert (made.returncode, made.stderr) == (0, "")
    with running("--flash", flash, "--pty", tmp_path / "pty") as chip:
        chip.until("event", kind="boot")
        port = f"socket://{chip.ready['tcp']}"
        found = json.loads(seal("read", "--port", tmp_path / "pty", "--address", SEAL, "--json").stdout)
        assert (found["address"], found["asset_number"]) == (SEAL, "GD-131")
        assert found["record"]["kind"] == "boot"
        assert found["record"]["loop_mv"] < 50
        assert f"address       {SEAL}" in seal("read", "--port", port).stdout
        other = seal("read", "--port", port, "--address", "7")
        assert other.returncode == 1
        assert "no answer from 000000000007" in other.stderr
        assert "address 'x'" in seal("read", "--port", port, "--address", "x").stderr

        watching = subprocess.Popen(
            [sys.executable, "-m", "meterseal", "seal", "watch", "--port", port, "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with watching, chip.connect() as line:
            assert watching.stdout is not None
            traced = (json.loads(text) for text in watching.stdout)
            report = next(each for each in traced if each["what"] == "report")
            assert (report["seal"], report["meter"], report["kind"]) == (SEAL, METER, "boot")
            acknowledge(line)
            identity = next(each for each in traced if each["what"] == "identity")
            assert (identity["seal"], identity["asset"]) == (SEAL, "GD-131")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(WITHIN) == 0
    nowhere = seal("read", "--port", tmp_path / "pty")
    assert nowhere.returncode == 1
    assert "is not there" in nowhere.stderr


def test_every_connection_is_an_end_of_its_own() -> None:
    with running("--pace", "max") as chip:
        chip.command(do="power", on=False)
        with chip.connect() as one, chip.connect() as two, chip.connect() as three:
            chip.until("connected", connection="tcp3")
            one.sendall(b"hello")
            for other in (two, three):
                heard = b""
                while len(heard) < 5:
                    heard += other.recv(100)
                assert heard == b"hello"
            two.sendall(b"x")
            assert one.recv(100) == b"x"


def test_the_seal_reports_what_the_hand_does(flash: Path, tmp_path: Path) -> None:
    log = tmp_path / "chip.log"
    with running("--flash", flash, "--log", log) as chip, chip.connect() as line:
        for kind, state, command in (
            ("boot", "open", {"do": "state"}),
            ("closed", "sealed", {"do": "bounce", "seal": SEAL, "ms": 12, "edges": 9, "end": "closed"}),
            ("opened", "open", {"do": "open", "seal": 0}),
        ):
            assert chip.command(**command)["ok"]
            assert chip.until("event", kind=kind)["state"] == state
            acknowledge(line)
        assert not chip.command(do="fly")["ok"]
        state = chip.command(do="state", seal=SEAL)
        assert (state["position"], state["loop_mv"], state["power"]) == ("open", 0, True)
    traced = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["kind"], line["counter"]) for line in traced if line["what"] == "event"] == [
        ("boot", 1),
        ("closed", 2),
        ("opened", 3),
    ]
    assert not any(line["what"] == "wire" for line in traced)


def test_a_killed_process_goes_on_where_it_was(flash: Path, tmp_path: Path) -> None:
    log = tmp_path / "chip.log"
    arguments = ("--flash", flash, "--log", log)
    with running(*arguments) as chip:
        chip.until("event", kind="boot", counter=1)
        chip.command(do="close")
        chip.command(do="corrode", mv=3900)
        # The debounce time, and writing to flash, which comes before the report.
        time.sleep(0.5)
        chip.end(signal.SIGKILL)
    with log.open("a") as half:
        half.write('{"time": "2026-')
    with running(*arguments) as chip, chip.connect() as line:
        state = chip.command(do="state")["seals"][0]
        assert (state["position"], state["loop_mv"]) == ("closed", 3900)
        # No report has been acknowledged, so all three are sent, the oldest first.
        for counter, (kind, boot) in enumerate([("boot", 1), ("closed", 1), ("boot", 2)], 1):
            event = chip.until("event", counter=counter)
            assert (event["kind"], event["boot"]) == (kind, boot)
            acknowledge(line)
    assert all(json.loads(line) for line in log.read_text().splitlines())


def test_a_seal_without_identity_runs_and_shows_red(flash: Path) -> None:
    flash.write_bytes(b"\xff" * 0x4000)
    with running("--flash", flash) as chip:
        assert chip.ready["seals"][0]["address"] == "#0"
        assert chip.until("lamps", seal="#0")["red"]


def test_seals_share_the_bus() -> None:
    with running("--seals", 3) as chip:
        assert [seal["address"][-3:] for seal in chip.ready["seals"]] == ["101", "102", "103"]
        seen = {chip.until("event", kind="boot")["seal"] for _ in range(3)}
        assert len(seen) == 3
        assert "name one" in chip.command(do="open")["error"]
        assert chip.command(do="open", seal="000000000103")["index"] == 2
        assert "no seal 7" in chip.command(do="open", seal=7)["error"]


def test_stopping_is_success(flash: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with running("--flash", flash) as chip, chip.connect(), chip.connect("control"):
            assert chip.end(number) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--flash", "absent.bin"], "absent.bin: No such file"),
        (["--flash", "short.bin"], "short.bin: 5 bytes, a seal's flash has 16384"),
        (["--seals", "2", "--flash", "seal.bin"], "2 seals need 2 --flash files; 1 given"),
        (["--flash", "seal.bin", "--baud", "9600"], "is set to 2400 baud and the bus runs at 9600"),
        (["--flash", "seal.bin", "--flash", "seal.bin"], "another simulated chip is running on it"),
        (["--tcp", "nonsense"], "is not HOST:PORT"),
        (["--control", "BUSY"], "cannot listen on"),
        (["--baud", "300"], "300 baud: DL/T 645-2007 has"),
        (["--clock-hz", "9000"], "the chip cannot be made so"),
        (["--gsm", "a", "--gsm", "b"], "2 --gsm for 1 seals"),
        (["--netlist", "absent.v"], "netlist absent.v: "),
    ],
)
def test_one_clear_sentence(flash: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "short.bin").write_bytes(b"short")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        place = f"127.0.0.1:{busy.getsockname()[1]}"
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "meterseal",
                "chip",
                "run",
                *(place if a == "BUSY" else a for a in arguments),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
    assert ended.returncode == 1
    assert says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
