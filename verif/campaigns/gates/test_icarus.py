"""No output of the exported chip, or of any of its blocks, is X after reset on Icarus Verilog."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cocotb_tools.runner import get_runner

from sealchip.export import FRONT_ENDS, verilog
from verif.campaigns.gates.icarus import IcarusMissingError, benches, outputs_after_reset, with_whole_memories
from verif.plans.plan import VERIF

CLOCK_HZ = 307_200


@pytest.mark.long
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_no_output_is_x_after_reset(front_end: str, tmp_path: Path) -> None:
    chip = with_whole_memories(verilog(CLOCK_HZ, front_end=front_end, gsm=True))
    unknown = []
    for number, (name, bench) in enumerate(benches(chip).items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            found = outputs_after_reset(chip + bench, folder)
        except IcarusMissingError as error:
            pytest.fail(str(error), pytrace=False)
        unknown += [f"{name}.{port}" for port in found]
    assert unknown == []


@pytest.mark.long
def test_exported_chip_on_icarus(tmp_path: Path) -> None:
    """The exported chip passes the same cocotb tests on Icarus as on Verilator."""
    if shutil.which("iverilog") is None:
        pytest.fail(str(IcarusMissingError()), pytrace=False)
    source = tmp_path / "seal_chip.v"
    source.write_text(verilog(CLOCK_HZ))
    runner = get_runner("icarus")
    place = {"hdl_toplevel": "seal_chip", "build_dir": tmp_path / "build"}
    runner.build(sources=[source], timescale=("1ns", "1ps"), **place)
    results = runner.test(
        test_module="verif.cosim.cocotb_chip",
        test_dir=tmp_path,
        extra_env={"PYTHONPATH": str(VERIF.parent)},
        **place,
    )
    assert results.read_text().count("<testcase") == 3
