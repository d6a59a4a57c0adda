"""The tutorials' commands are run in the terminals that they name, and print the lines that they show."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from meterseal.sim.chip.build import SIGMA_DELTA, chip_library

DOCS = Path(__file__).parents[3] / "docs"
ENGLISH, CHINESE = "tutorial.en.md", "tutorial.zh.md"
BLOCK = re.compile(r'^```console title="\D*(\d)[^"]*"\n(.*?)^```', re.DOTALL | re.MULTILINE)
PROMPT, INTERRUPT = "$ ", "^C"
WITHIN = 30.0
#: Patterns for what differs between two runs: times, ages, versions, voltages, pseudo-terminal numbers.
VARIES = re.compile(
    r"(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d\.\d{3}(?:\+08:00)?|(?<=age=)\d+|\d+\.\d[\d.]*"
    r'|(?<=loop_mv": )\d+|(?<=/dev/pts/)\d+'
)


def blocks(tutorial: str) -> list[tuple[str, list[str]]]:
    """Return the number of each terminal with the lines that are shown in it."""
    text = (DOCS / tutorial).read_text(encoding="utf-8")
    return [(number, lines.splitlines()) for number, lines in BLOCK.findall(text)]


def pattern(shown: str) -> re.Pattern[str]:
    """Return a regular expression for the lines that a shown line stands for."""
    parts = [".*".join(map(re.escape, part.split("…"))) for part in VARIES.split(shown)]
    return re.compile(r"[\d.:T+-]+".join(parts) + r"\s*")


class Terminal:
    """Stands for one terminal, which runs one command at a time and collects what it prints."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._more = threading.Condition()

    def enter(self, command: str) -> None:
        """Start a command; the one before must have ended by itself and well."""
        if self._process is not None:
            assert self._process.wait(WITHIN) == 0, self._lines
        self._lines = []
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec 2>&1; {command}"],
            cwd=self._folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end of the command."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(WITHIN)
        self._process = None

    def expect(self, shown: str) -> None:
        """Wait until a line like the one shown has been printed after the last one that was expected."""
        wanted = pattern(shown)

        def position() -> int:
            found = (n for n, line in enumerate(self._lines, 1) if wanted.fullmatch(line))
            return next(found, 0)

        with self._more:
            assert self._more.wait_for(position, WITHIN), (shown, self._lines)
            del self._lines[: position()]

    @contextmanager
    def open(self) -> Iterator[Terminal]:
        """End what still runs at the end of the block."""
        try:
            yield self
        finally:
            if self._process is not None and self._process.poll() is None:
                self.interrupt()

    def _read(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._more:
                    lines.append(line.removesuffix("\n"))
                    self._more.notify_all()


def free_ports(count: int) -> list[str]:
    holders = [socket.socket() for _ in range(count)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [str(holder.getsockname()[1]) for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def follow(shown: list[tuple[str, list[str]]], folder: Path) -> None:
    """Enter the commands of these blocks and look for the lines that they show."""
    ports = dict(zip(("7001", "7002"), free_ports(2), strict=True))
    with ExitStack() as stack:
        terminals = {number: stack.enter_context(Terminal(folder).open()) for number in "123"}
        for number, lines in shown:
            for line in lines:
                text = re.sub(r"\b700[12]\b", lambda port: ports[port[0]], line)
                if text.startswith(PROMPT):
                    terminals[number].enter(text.removeprefix(PROMPT))
                elif text == INTERRUPT:
                    terminals[number].interrupt()
                elif text != "…":
                    terminals[number].expect(text)


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    chip_library(clock_hz=307_200, front_end=SIGMA_DELTA)
    follow(blocks(ENGLISH), tmp_path)


def test_the_chinese_tutorial_shows_the_same(tmp_path: Path) -> None:
    """Only the block that explains a frame differs, as it is in another language; that block is run."""
    english, chinese = blocks(ENGLISH), blocks(CHINESE)
    (decoded,) = (n for n, (_, lines) in enumerate(english) if "frame decode" in lines[0])
    assert chinese[decoded][1][0] == english[decoded][1][0].replace("--lang en ", "")
    follow([chinese[decoded]], tmp_path)
    assert [*chinese[:decoded], *chinese[decoded + 1 :]] == [*english[:decoded], *english[decoded + 1 :]]
