"""The chip as Verilog: module `seal_chip` with the fixed pins."""

from pathlib import Path

from amaranth.back import verilog as back

from .chip import SealChip

__all__ = ["FRONT_ENDS", "verilog"]

FRONT_ENDS = ("comparator",)


def verilog(clock_hz=12_000_000, baud=2400, front_end="comparator", *, gsm=False, name="seal_chip"):
    """Verilog text of the chip.

    Raises `ValueError` for a clock or baud rate that the chip cannot time, and for parts that this version
    of the chip does not have.
    """
    if front_end not in FRONT_ENDS:
        raise ValueError(f"front end {front_end!r}: this chip has {', '.join(FRONT_ENDS)}")
    if gsm:
        raise ValueError("this chip has no GSM sequencer: export it without")
    text = back.convert(SealChip(clock_hz, baud), name=name)
    # Source references without the place where the package happens to be installed.
    return text.replace(f"{Path(__file__).parent.parent}/", "")
