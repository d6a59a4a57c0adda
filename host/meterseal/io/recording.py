"""Recordings of a port: every byte in both directions, to be read, and to be replayed in the port's place.

A recording is JSON lines: `{"at": SECONDS, "rx": HEX}` for bytes read, `tx` for bytes written, seconds
counted from the opening.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import TextIO

from meterseal.clock import Clock, SystemClock
from meterseal.errors import Failure
from meterseal.io.port import Port
from meterseal.octets.hexadecimal import hex_digits

__all__ = ["SCHEME", "RecordedPort", "ReplayPort"]

#: URL of a recording in a port's place: `replay:FILE`.
SCHEME = "replay:"


class RecordedPort:
    """Wraps `port` and keeps every byte in either direction in the file `path`, line by line.

    Raises `Failure` when the file cannot be written. Test:
    `verif/host/io/test_io_recording.py::test_what_passed_is_in_the_recording`.
    """

    def __init__(self, port: Port, path: Path, clock: Clock | None = None) -> None:
        self._port = port
        self._clock = clock or SystemClock()
        self._start = self._clock.monotonic()
        try:
            # A port that is opened again continues the same recording.
            self._file: TextIO = path.open("a", encoding="ascii")
        except OSError as error:
            raise Failure(f"cannot write the recording {path}: {error.strerror}") from None

    async def read(self) -> bytes:
        """Read as `Port.read` does."""
        data = await self._port.read()
        self._keep("rx", data)
        return data

    async def write(self, data: bytes) -> None:
        """Write as `Port.write` does."""
        self._keep("tx", data)
        await self._port.write(data)

    def close(self) -> None:
        """Close the port and the recording."""
        self._port.close()
        self._file.close()

    def _keep(self, direction: str, data: bytes) -> None:
        at = round(self._clock.monotonic() - self._start, 4)
        self._file.write(json.dumps({"at": at, direction: hex_digits(data)}) + "\n")
        self._file.flush()


class ReplayPort:
    """A recording in the port's place: the bytes read then are read again, once the bytes written before them
    have been written again. After its end the line is silent.

    Raises `Failure` when `path` is not a recording, and when other bytes are written than then. Tests:
    `verif/host/io/test_io_recording.py::test_a_replay_is_the_exchange_again`,
    `verif/host/io/test_io_recording.py::test_another_request_is_refused`; of a seal's exchange
    `verif/host/tools/test_seal_ports.py::test_one_tool_on_every_port`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._left = deque(_parse(line) for line in path.read_text("ascii").splitlines())
        except OSError as error:
            raise Failure(f"cannot read the recording {path}: {error.strerror}") from None
        except ValueError as error:
            raise Failure(f"{path} is no recording: {error}") from None
        self._written = asyncio.Event()

    async def read(self) -> bytes:
        """Return the bytes that were read next; wait for ever where the recording ends."""
        while not (self._left and self._left[0][0] == "rx"):
            self._written.clear()
            await self._written.wait()
        return self._left.popleft()[1]

    async def write(self, data: bytes) -> None:
        """Accept the bytes that were written next; raises `Failure` for any others."""
        while data:
            direction, expected = self._left[0] if self._left else ("nothing", b"")
            count = min(len(data), len(expected))
            if direction != "tx" or data[:count] != expected[:count]:
                raise Failure(
                    f"{self._path}: {hex_digits(data)} is written where the recording has "
                    f"{direction} {hex_digits(expected)}"
                )
            data, rest = data[count:], expected[count:]
            self._left.popleft()
            if rest:
                self._left.appendleft(("tx", rest))
        self._written.set()

    def close(self) -> None:
        """Release nothing: the file is closed already."""


def _parse(line: str) -> tuple[str, bytes]:
    """Return direction and bytes of one line; raises `ValueError`."""
    document = json.loads(line)
    for direction in ("rx", "tx"):
        if isinstance(document, dict) and direction in document:
            return direction, bytes.fromhex(document[direction])
    raise ValueError(f"{line!r} has neither rx nor tx")
