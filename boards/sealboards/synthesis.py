"""Synthesis for the iCE40: yosys' `synth_ice40`, mapped for area instead of speed.

The chip has an order of magnitude to spare in speed, but not in logic cells. So adders, few of them wider
than ten bits, are mapped to LUTs instead of carry chains, whose ends take cells of their own; and the mapping
to LUTs is repeated, each time for area and from the result before. Together these make the chip a ninth
smaller. The peers that it is compared with are synthesised in the same way.
"""

from __future__ import annotations

__all__ = ["BEFORE", "FIRST_OPTIONS", "rest", "synthesis"]

#: Commands before `synth_ice40`. Block RAM does not define a read of the row that is being written, and
#: yosys adds registers around a memory to define it, unless it proves that this never happens. It attempts
#: the proof only for output registers that are outside of the memory, so they are moved out first.
BEFORE = "proc; memory_nordff"

#: Rounds of mapping; more rounds change little.
_ROUNDS = 6
_ROUND = "strash;dch;if,-a,-F,5,-A,5;mfs2,-W,4,-F,100,-D,0,-L,1000,-C,1000;lutpack,-S,1"
_MAPPING = ";".join(["strash;ifraig;scorr;dc2", *[_ROUND] * _ROUNDS])

#: Options of `synth_ice40` for everything before the mapping to LUTs.
FIRST_OPTIONS = "-nocarry -run begin:map_luts"


def rest(top: str) -> str:
    """Return the commands for module `top` that follow `synth_ice40` with `FIRST_OPTIONS`."""
    return (
        f"abc -lut 4 -script +{_MAPPING}; clean; opt_lut -tech ice40; "
        f"synth_ice40 -nocarry -run map_cells:edif -top {top}"
    )


def synthesis(top: str) -> str:
    """Return the commands that map module `top` to cells of an iCE40."""
    return f"{BEFORE}; synth_ice40 {FIRST_OPTIONS} -top {top}; {rest(top)}"
