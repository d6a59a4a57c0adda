"""A chip is built from source: a failed build is reported in one sentence, a finished one is reused."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sealchip
from meterseal.errors import Failure
from meterseal.sim.chip import build
from meterseal.sim.chip.bus import CLOCK_HZ

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
PINS = (
    *("clk", "rst", "loop_cmp", "loop_fb", "loop_drive", "rs485_ro", "rs485_di", "rs485_de"),
    *("flash_sck", "flash_cs_n", "flash_copi", "flash_cipo", "gsm_txd", "gsm_rxd", "led_green", "led_red"),
)


def chip_verilog(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "meterseal", "chip", "verilog", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_built_once_and_found_again() -> None:
    progress: list[str] = []
    first = build.library(STUB_CHIP.read_text(), progress.append)
    progress.clear()
    assert build.library(STUB_CHIP.read_text(), progress.append) == first
    exported = build.chip_verilog(clock_hz=CLOCK_HZ)
    progress.clear()
    assert build.chip_verilog(clock_hz=CLOCK_HZ, say=progress.append) == exported
    assert not progress


def test_an_export_does_not_wait_for_another_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def export(**options: object) -> str:
        """Export a second chip while the first one is being exported."""
        return f"with {build.chip_verilog(gsm=False)}" if options["gsm"] else "plain"

    monkeypatch.setattr(build, "export", export)
    assert build.chip_verilog(gsm=True) == "with plain"


@pytest.mark.parametrize("changed", ["chip.py", "core/firmware/log.py"])
def test_a_changed_source_is_exported_again(
    changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gateware = tmp_path / "sealchip"
    shutil.copytree(sealchip.__path__[0], gateware, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sealchip, "__path__", [str(gateware)])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exports: list[object] = []

    def export(**options: object) -> str:
        exports.append(options)
        return f"export {len(exports)}"

    monkeypatch.setattr(build, "export", export)
    assert [build.chip_verilog(say=lambda text: None) for _ in range(2)] == ["export 1", "export 1"]
    (gateware / changed).write_text((gateware / changed).read_text() + "# changed\n")
    assert build.chip_verilog(say=lambda text: None) == "export 2"


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Failure, match=r"no C\+\+ compiler found \(no-such-compiler\)"):
        build.library(STUB_CHIP.read_text())


def test_verilog_that_does_not_compile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Failure, match=r"verilator_bin could not build the chip: .*syntax error"):
        build.library("module seal_chip(nonsense")
    assert "syntax error" in (tmp_path / "meterseal" / "failed.log").read_text()
    assert not list((tmp_path / "meterseal").glob("*.so"))


@pytest.mark.parametrize("front_end", ["comparator", "sigma-delta"])
def test_the_exported_chip_has_the_fixed_pins(tmp_path: Path, front_end: str) -> None:
    parts = ("--front-end", front_end, "--clock-hz", 12_000_000, "--baud", 9600)
    ended = chip_verilog("-o", tmp_path / "chip.v", *parts)
    assert (ended.returncode, ended.stderr) == (0, "")
    top = re.search(r"\nmodule seal_chip\(([^)]*)\)", (tmp_path / "chip.v").read_text())
    assert top is not None
    assert sorted(top[1].replace(",", " ").split()) == sorted(PINS)


def test_the_gsm_sequencer_is_left_out_on_request(tmp_path: Path) -> None:
    for argument, modules in (("--gsm", 1), ("--no-gsm", 0)):
        assert chip_verilog("-o", tmp_path / "chip.v", argument).returncode == 0
        text = (tmp_path / "chip.v").read_text()
        assert len(re.findall(r"^module \\seal_chip\.gsm ", text, re.MULTILINE)) == modules


def test_a_clock_that_the_chip_cannot_be_timed_by(tmp_path: Path) -> None:
    ended = chip_verilog("-o", tmp_path / "chip.v", "--clock-hz", "1000")
    assert ended.returncode == 1
    assert ended.stderr.startswith("meterseal: the chip cannot be made so: ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "chip.v").exists()
