"""The exported Verilog works in cocotb on Verilator, without our own simulator."""

from __future__ import annotations

from pathlib import Path

from verif.benches.simulators import VERILATOR, Chip


def test_exported_chip(tmp_path: Path) -> None:
    """The pins are right after reset, and the seal works in service among the agents of `verif/agents`."""
    chip = Chip(VERILATOR, tmp_path, gsm=True)
    chip.run("verif.cosim.cocotb_chip", 3)
    chip.run("verif.cosim.cocotb_seal", 1)
