"""The command line shows its version and its help, and reports an extra that is not installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from meterseal import cli


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"meterseal {version('meterseal')}\n")


@pytest.mark.parametrize("command", [[], ["demo"], ["chip", "run"], ["frame", "encode", "dlt645"]])
def test_h_is_help_for_every_command(command: list[str]) -> None:
    short, long = (CliRunner().invoke(cli.app, [*command, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "Usage:" in short.stdout


def test_boards_without_their_extra_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "amaranth_boards" else there(name, *rest),
    )
    monkeypatch.setattr(sys, "argv", ["meterseal", "board", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert f"{sys.executable} -m pip install -c .ci/constraints.txt -e '.[boards]'" in complaint
