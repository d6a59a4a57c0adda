"""Synthesis for the iCE40: yosys' `synth_ice40`, mapped for area instead of speed.

The chip's clock leaves an order of magnitude to spare, logic cells it does not. So adders, few of them wider
than ten bits, go into LUTs rather than onto carry chains, whose ends take cells of their own; and the mapping
to LUTs is done again and again, each time for area and from the result of the time before. Together these
take a ninth off the chip. The peers it is held against are put through the same.
"""

from __future__ import annotations

__all__ = ["BEFORE", "FIRST_OPTIONS", "rest", "synthesis"]

#: What comes before `synth_ice40`. Block RAM does not define a read of the row that is being written, and
#: yosys puts registers around a memory to define it, unless it proves that this never happens. It tries that
#: only with output registers that it finds outside of the memory; so they are taken out first.
BEFORE = "proc; memory_nordff"

#: Rounds of mapping; more than this many change little.
_ROUNDS = 6
_ROUND = "strash;dch;if,-a,-F,5,-A,5;mfs2,-W,4,-F,100,-D,0,-L,1000,-C,1000;lutpack,-S,1"
_MAPPING = ";".join(["strash;ifraig;scorr;dc2", *[_ROUND] * _ROUNDS])

#: Options of `synth_ice40` for all that comes before the mapping to LUTs.
FIRST_OPTIONS = "-nocarry -run begin:map_luts"


def rest(top: str) -> str:
    """Commands for module `top`, behind `synth_ice40` with `FIRST_OPTIONS`."""
    return (
        f"abc -lut 4 -script +{_MAPPING}; clean; opt_lut -tech ice40; "
        f"synth_ice40 -nocarry -run map_cells:edif -top {top}"
    )


def synthesis(top: str) -> str:
    """The commands that make an iCE40's cells of module `top`."""
    return f"{BEFORE}; synth_ice40 {FIRST_OPTIONS} -top {top}; {rest(top)}"
