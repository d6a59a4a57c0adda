"""Differential inputs: which pins form a pair. Neither the router nor Amaranth checks the N pin."""

from __future__ import annotations

from sealboards.board import Board

__all__ = ["PairError", "check_pair"]

#: Differential inputs, P and N, by FPGA. iCE40UP5K: Lattice's pinout of SG48. iCE40HX1K in TQ144: the left
#: bank, which alone has them (DPxxB, DPxxA).
_PAIRS = {
    "iCE40UP5K": """
        4 3   12 21  13 20  14 17  15 16  23 25  26 27  32 31  37 34  43 36  42 38  47 44  48 45
    """,
    "iCE40HX1K": """
        2 1   4 3   8 7   10 9   12 11   20 19   22 21   24 23   26 25   29 28   32 31   34 33
    """,
}


class PairError(ValueError):
    """The board has a differential input that the FPGA does not support."""


def check_pair(board: Board) -> None:
    """Raise `PairError` unless the differential input of `board`, if it has one, is a pair of the FPGA.

    On the ECP5 board the connector names the pins of a pair n+ and n-.
    """
    wire = board.wires["loop_cmp"]
    if wire.negative is None:
        return
    if board.fpga in _PAIRS:
        pins = _PAIRS[board.fpga].split()
        positive, negative = board.fpga_pin(wire.pin), board.fpga_pin(wire.negative)
        partner = dict(zip(pins[::2], pins[1::2], strict=True)).get(positive)
    else:
        positive, negative, partner = wire.pin, wire.negative, _other_sign(wire.pin)
    if partner is None:
        raise PairError(
            f"{board.name}: pin {positive} is not the P pin of a differential input of {board.fpga}"
        )
    if partner != negative:
        raise PairError(f"{board.name}: the N pin of {positive} is {partner}, not {negative}")


def _other_sign(pin: str) -> str | None:
    return f"{pin[:-1]}-" if pin.endswith("+") else None
