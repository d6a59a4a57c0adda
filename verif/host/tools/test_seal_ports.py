"""The installer's tool works on every kind of port of the simulated chip, and on its own recordings."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import serial
import serial.rfc2217

from meterseal.domain.image import Identity, image
from meterseal.protocols.dlt645.frame import Frame
from meterseal.sim.chip.build import chip_library
from sealchip.interface import Di

SEAL, METER = "000000000131", "000000000231"
WITHIN = 30
COMMAND = (sys.executable, "-m", "meterseal")


@contextmanager
def chip(flash: Path, pty: Path) -> Iterator[str]:
    """Run the simulated chip with its reports acknowledged, and yield its TCP port."""
    chip_library(clock_hz=307_200)
    arguments = ["chip", "run", "--flash", flash, "--pty", pty, "--tcp", "127.0.0.1:0", "--json"]
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        tcp = next(line for line in lines if line["what"] == "ready")["tcp"]
        host, port = tcp.rsplit(":", 1)
        content = threading.Event()
        with socket.create_connection((host, int(port)), WITHIN) as line:
            meter = threading.Thread(target=_acknowledge, args=[lines, line, content])
            meter.start()
            try:
                assert content.wait(WITHIN)
                yield tcp
            finally:
                process.terminate()
                meter.join()


def _acknowledge(lines: Iterator[dict[str, Any]], line: socket.socket, content: threading.Event) -> None:
    """Answer as the meter does until the chip ends; set `content` once the seal has reported its identity."""
    for traced in lines:
        if traced["what"] == "wire" and traced.get("driver") == SEAL and "14" in traced["bytes"][24:28]:
            time.sleep(0.05)
            line.sendall(Frame(METER, 0x94).encode())
            if Di.REPORT_IDENTITY.to_bytes(4, "little") == _plain(traced["bytes"])[14:18]:
                content.set()


def _plain(wire: str) -> bytes:
    return bytes(byte - 0x33 & 0xFF for byte in bytes.fromhex(wire))


@contextmanager
def rfc2217(device: str) -> Iterator[str]:
    """Run the RFC 2217 server of pyserial in front of `device` for one client, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WITHIN)
        thread = threading.Thread(target=_serve, args=[listener, device])
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


def _serve(listener: socket.socket, device: str) -> None:
    try:
        client, _ = listener.accept()
    except TimeoutError:
        return
    with client, serial.serial_for_url(f"socket://{device}", timeout=0) as remote:

        class Connection:
            write = client.sendall

        manager = serial.rfc2217.PortManager(remote, Connection())
        client.settimeout(0.05)
        while True:
            try:
                data = client.recv(1024)
            except TimeoutError:
                data = None
            if data == b"":
                return
            remote.write(b"".join(manager.filter(data or b"")))
            client.sendall(b"".join(manager.escape(remote.read(1024))))


def read(port: object, *arguments: object) -> dict[str, Any]:
    command = [*COMMAND, "seal", "read", "--port", port, "--address", SEAL, "--json", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_one_tool_on_every_port(tmp_path: Path) -> None:
    """PTY, TCP and RFC 2217 give the same reading, and replaying each recording gives it again."""
    flash = tmp_path / "seal.bin"
    flash.write_bytes(image(Identity(SEAL, "GD-131", METER)))
    with chip(flash, tmp_path / "pty") as tcp, rfc2217(tcp) as remote:
        ports = {"pty": tmp_path / "pty", "tcp": f"socket://{tcp}", "rfc2217": f"rfc2217://{remote}"}
        readings = {name: read(port, "--record", tmp_path / f"{name}.jsonl") for name, port in ports.items()}
    for found in readings.values():
        assert (found["address"], found["asset_number"], found["record"]["kind"]) == (SEAL, "GD-131", "boot")
    with ThreadPoolExecutor() as pool:
        replayed = pool.map(read, [f"replay:{tmp_path / name}.jsonl" for name in readings])
        assert list(replayed) == list(readings.values())
