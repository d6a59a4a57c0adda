"""Runs links of the chain as processes of their own, and watches them through their JSON lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Line = dict[str, Any]
#: `meterseal` with only the requested group loaded, which starts faster on a busy machine.
WING = {
    "chip": "sim",
    "meter": "sim",
    "customer": "sim",
    "terminal": "systems",
    "metering": "systems",
    "marketing": "systems",
}
MAIN = """
import importlib, sys
from meterseal.errors import Failure
try:
    importlib.import_module(f"meterseal.{sys.argv.pop(1)}.cli").app()
except Failure as failure:
    sys.exit(f"meterseal: {failure}")
"""


class Link:
    """Holds a running `meterseal NAME …`; all lines of its standard output are kept in `lines`."""

    def __init__(self, name: str, *arguments: object) -> None:
        self.lines: list[Line] = []
        self.errors = ""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-c", MAIN, f"{WING[name]}.{name}", *map(str, arguments), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, what: str, *, count: int = 1, timeout: float = 20.0, **fields: object) -> Line:
        """Return the `count`-th line of `what` with these fields; fail with all lines when none comes."""

        def found() -> list[Line]:
            return [line for line in self.lines if line["what"] == what and fields.items() <= line.items()]

        with self._more:
            self._more.wait_for(lambda: len(found()) >= count or not self._reader.is_alive(), timeout)
            lines = found()
        assert len(lines) >= count, f"no {what} {fields} among {self.lines}"
        return lines[count - 1]

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self._process.kill()
        self.wait()

    def stop(self) -> int:
        """End the process by SIGTERM and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for the process to end and return its exit code."""
        code = self._process.wait(20)
        self._reader.join(5)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if not self._process.stderr.closed:
            self.errors = self._process.stderr.read()
            self._process.stderr.close()
            self._process.stdout.close()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            with self._more:
                self.lines.append(json.loads(text))
                self._more.notify_all()
        with self._more:
            self._more.notify_all()


@pytest.fixture
def start_link() -> Iterator[Callable[..., Link]]:
    """Starts `meterseal NAME …`; processes that still run at the end of the test are terminated."""
    links: list[Link] = []

    def start(name: str, *arguments: object) -> Link:
        links.append(Link(name, *arguments))
        return links[-1]

    yield start
    for link in links:
        link.stop()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds."""

    def wait(condition: Callable[[], bool], timeout: float = 20.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.05)

    return wait
