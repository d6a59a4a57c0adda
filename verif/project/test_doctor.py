"""`meterseal doctor` reports what is missing, and fails only if the commands need it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from meterseal.cli import app


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *options])


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts a program with a given output on a path that has only what is needed."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, version: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name).chmod(0o755)

    for name in ("g++", "make", "perl"):
        put(name, "version 99.0")
    return put


def found(result: Result, tool: str) -> dict[str, object]:
    return next(each for each in json.loads(result.stdout) if each["tool"] == tool)


def test_a_second_simulator_is_optional(program) -> None:
    result = run("--json")
    assert result.exit_code == 0
    finding = found(result, "iverilog")
    assert (finding["path"], finding["ok"], finding["only_for"]) == (None, False, "make verify")
    assert "install Icarus Verilog (package iverilog) (only for make verify)" in run().stdout


@pytest.mark.parametrize(
    ("version", "ok"), [("version 11.0 (stable)", True), ("version 10.3 (stable)", False)]
)
def test_its_version_counts(program, version: str, ok: bool) -> None:
    program("iverilog", f"Icarus Verilog {version}")
    result = run("--json")
    assert result.exit_code == 0
    assert found(result, "iverilog")["ok"] is ok


def test_a_needed_tool_is_not_optional(program) -> None:
    program("make", "GNU Make 3.80")
    result = run()
    assert result.exit_code == 1
    assert "install GNU make" in result.stdout
