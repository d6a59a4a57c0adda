"""The chip's gates replace its source: as synthesis leaves them, and as a bitstream holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meterseal.domain.record import Kind, StateClass
from meterseal.errors import Failure
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import CLOCK_HZ
from sealboards.board import Board
from sealboards.boards import BOARDS
from sealboards.netlist import write_netlist
from sealboards.recovered import write_recovered
from verif.benches.chip import Bench


def test_a_missing_netlist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"netlist .*absent\.v: "):
        chip_library(clock_hz=CLOCK_HZ, netlist=tmp_path / "absent.v")


@pytest.mark.long
@pytest.mark.parametrize("write", [write_netlist, write_recovered])
def test_gates_report_an_opening_until_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Board, int, Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the tools see no other folder
    write(BOARDS["icebreaker"], CLOCK_HZ, Path("gates.v"))
    gates = chip_library(clock_hz=CLOCK_HZ, netlist=tmp_path / "gates.v")
    bench = Bench(tmp_path, model=gates, baud=19_200, by_hand=True)
    try:
        bench.restart()
        booted = bench.next_report(3.0)
        assert booted is not None
        assert (booted.counter, booted.kind, booted.state) == (1, Kind.BOOT, StateClass.SEALED)
        bench.acknowledge()
        assert bench.next_report() is None
        assert bench.bus.chip(0).lamps == 1
        bench.bus.position(0, False)
        opened = bench.next_report()
        assert opened is not None
        assert (opened.counter, opened.kind, opened.state) == (2, Kind.OPENED, StateClass.OPEN)
        assert bench.bus.chip(0).lamps == 2
        bench.acknowledge()
        assert bench.next_report() is None
    finally:
        bench.close()
