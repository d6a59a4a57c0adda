"""The programs in `docs/examples` run, and print what their docstrings show."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meterseal.sim.chip.build import SIGMA_DELTA, chip_library

EXAMPLES = Path(__file__).parents[3] / "docs/examples"
WITHIN = 60.0
LINES_MAX = 60


def expected(example: str) -> list[str]:
    """Return the indented lines after `It prints` in the docstring."""
    docstring = ast.get_docstring(ast.parse((EXAMPLES / example).read_text(encoding="utf-8")))
    assert docstring is not None
    return [line[4:] for line in docstring.partition("prints")[2].splitlines()[1:] if line.startswith("    ")]


def pattern(lines: list[str]) -> str:
    """Return a regular expression for these lines.

    An ellipsis matches anything in a line, and alone any lines; a decimal fraction matches any other one,
    because it is a measurement.
    """
    text = re.sub(r"\d+\\\.\d+", r"[\\d.]+", "".join(f"{re.escape(line)}\n" for line in lines))
    return re.sub(r"(?m)^(?:\\ )*…\n", r"(?:.*\\n)*?", text).replace("…", ".*")


def run(example: str, *arguments: str) -> None:
    """Run an example and compare what it prints."""
    finished = subprocess.run(
        [sys.executable, EXAMPLES / example, *arguments],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert re.fullmatch(pattern(expected(example)), finished.stdout), finished.stdout


@contextmanager
def serving(*arguments: str, until: str = "ready") -> Iterator[None]:
    """Run a link of the chain until the end of the block, which begins after a line with `until`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "meterseal", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert any(until in line for line in process.stdout)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=WITHIN)


def free_port() -> str:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture(scope="module")
def _chip() -> None:
    """Compile the chip before any test measures time."""
    chip_library(clock_hz=307_200, front_end=SIGMA_DELTA)


def test_every_example_is_listed_short_and_tested() -> None:
    listed = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in listed if f'run("{name}"' not in tests] == []
    long = [name for name in listed if len((EXAMPLES / name).read_text().splitlines()) > LINES_MAX]
    assert long == []


def test_decode_a_dump() -> None:
    run("decode_dump.py")


def test_poll_a_meter(tmp_path: Path) -> None:
    port = free_port()
    with serving(
        *(
            "meter",
            "run",
            "--meter",
            "201",
            "--port",
            f"listen://{port}",
            "--store",
            str(tmp_path / "meter.db"),
        )
    ):
        run("poll_meter.py", f"socket://{port}", "201")


@pytest.mark.usefixtures("_chip")
def test_simulate_a_chip() -> None:
    run("simulate_chip.py")


def test_define_a_board() -> None:
    run("own_board.py")


@pytest.mark.usefixtures("_chip")
def test_read_a_seal() -> None:
    port = free_port()
    with serving("chip", "run", "--seals", "1", "--tcp", port, until="event"):
        run("read_seal.py", f"socket://{port}", "101")
