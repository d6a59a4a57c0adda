"""The exported Verilog in cocotb on Verilator: what an FPGA engineer gets, without our own simulator."""

from __future__ import annotations

from pathlib import Path

from verif.benches.simulators import VERILATOR, Chip


def test_exported_chip(tmp_path: Path) -> None:
    """Pins behind the reset; then one life among the agents of `verif/agents`."""
    chip = Chip(VERILATOR, tmp_path, gsm=True)
    chip.run("verif.cosim.cocotb_chip", 3)
    chip.run("verif.cosim.cocotb_seal", 1)
