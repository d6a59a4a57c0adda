"""Recordings of a port: every byte both ways, to be looked at, and to be played again in the port's place.

A recording is JSON lines: `{"at": SECONDS, "rx": HEX}` for what was read, `tx` for what was written, seconds
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
from meterseal.hexadecimal import hex_digits
from meterseal.io.port import Port

__all__ = ["SCHEME", "RecordedPort", "ReplayPort"]

#: URL of a recording in a port's place: `replay:FILE`.
SCHEME = "replay:"


class RecordedPort:
    """`port`, with everything that passes kept in the file `path`, line by line.

    Raises `Failure` when the file cannot be written. Test:
    `verif/host/io/test_io_recording.py::test_what_passed_is_in_the_recording`.
    """

    def __init__(self, port: Port, path: Path, clock: Clock | None = None) -> None:
        self._port = port
        self._clock = clock or SystemClock()
        self._start = self._clock.monotonic()
        try:
            # A port that is opened again goes on in the same recording.
            self._file: TextIO = path.open("a", encoding="ascii")
        except OSError as error:
            raise Failure(f"cannot write the recording {path}: {error.strerror}") from None

    async def read(self) -> bytes:
        """As `Port.read`."""
        data = await self._port.read()
        self._keep("rx", data)
        return data

    async def write(self, data: bytes) -> None:
        """As `Port.write`."""
        self._keep("tx", data)
        await self._port.write(data)

    def close(self) -> None:
        """As `Port.close`; ends the recording."""
        self._port.close()
        self._file.close()

    def _keep(self, direction: str, data: bytes) -> None:
        at = round(self._clock.monotonic() - self._start, 4)
        self._file.write(json.dumps({"at": at, direction: hex_digits(data)}) + "\n")
        self._file.flush()


class ReplayPort:
    """A recording in the port's place: what was read then is read now, each time when what was written before
    it has been written again. After its end the line is silent.

    Raises `Failure` when `path` is no recording, and when something else is written than then. Tests:
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
        """What was read next; waits for ever where the recording ends."""
        while not (self._left and self._left[0][0] == "rx"):
            self._written.clear()
            await self._written.wait()
        return self._left.popleft()[1]

    async def write(self, data: bytes) -> None:
        """Take what was written next; raises `Failure` for anything else."""
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
        """Nothing to give back."""


def _parse(line: str) -> tuple[str, bytes]:
    """Direction and bytes of one line; raises `ValueError`."""
    document = json.loads(line)
    for direction in ("rx", "tx"):
        if isinstance(document, dict) and direction in document:
            return direction, bytes.fromhex(document[direction])
    raise ValueError(f"{line!r} has neither rx nor tx")
