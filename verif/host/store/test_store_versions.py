"""Stores of another version are refused by every command, with one sentence, and stay as they are."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meterseal.cli import app
from meterseal.errors import Failure

OLD = Path(__file__).parents[2] / "data/fixtures/a16c0e4"
QUERIES = [
    (system, query)
    for system in ("meter", "terminal", "metering", "marketing")
    for query in ("events", "alarms", "diagnostics")
] + [("customer", "inbox")]
RUNS = {
    "meter": "--port loop:// --meter 440100000001",
    "terminal": "--bus loop:// --station 127.0.0.1:1 --region 440106 --address 1 --point 1=440100000001",
    "metering": "--listen 127.0.0.1:0 --http 127.0.0.1:0",
    "marketing": "--http 127.0.0.1:0 --customers {folder}/customers.json",
    "customer": "--pty {folder}/modem",
}
KEYS = ("list", "forget 810400000001", "import {folder}/keys.json --master-key {folder}/master.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the stores that version a16c0e4 wrote."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def refusal(folder: Path, system: str, command: str) -> str:
    """Return the sentence with which a command refuses the old store; assert that the store is unchanged."""
    store = folder / f"{system}.db"
    before = content(store)
    arguments = [*command.format(folder=folder).split(), "--store", str(store)]
    result = CliRunner().invoke(app, [system, *arguments])
    assert isinstance(result.exception, Failure), result.output
    assert result.output == ""
    assert content(store) == before
    return str(result.exception)


def content(store: Path) -> list[str]:
    """Return the whole content of a store as SQL."""
    with contextlib.closing(sqlite3.connect(store)) as conn:
        return list(conn.iterdump())


def sentence(folder: Path, system: str) -> str:
    return (
        f"store {folder / system}.db has store tables of version 1, this program knows version 2: "
        "keep it for the older meterseal that wrote it, and give a new file"
    )


@pytest.mark.parametrize(("system", "query"), QUERIES)
def test_a_query_refuses_an_older_store(folder: Path, system: str, query: str) -> None:
    assert refusal(folder, system, query) == sentence(folder, system)


@pytest.mark.parametrize("system", RUNS)
def test_a_system_does_not_start_on_an_older_store(folder: Path, system: str) -> None:
    assert refusal(folder, system, f"run {RUNS[system]}") == sentence(folder, system)


@pytest.mark.parametrize("command", KEYS)
def test_keys_are_not_touched_in_an_older_store(folder: Path, command: str) -> None:
    (folder / "keys.json").write_text('{"810400000001": "' + "11" * 16 + '"}')
    assert refusal(folder, "metering", f"keys {command}") == sentence(folder, "metering")


@pytest.mark.parametrize("system", RUNS)
def test_a_newer_store_is_refused(folder: Path, system: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / f"{system}.db")) as conn:
        conn.execute("UPDATE schema SET version = 3 WHERE part = 'store'")
        conn.commit()
    assert "version 3, this program knows version 2: install the newer meterseal" in refusal(
        folder, system, f"run {RUNS[system]}"
    )
