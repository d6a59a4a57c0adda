"""The description of a board: the places of the chip's pins, its clock, its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.build import Platform

__all__ = ["CONFIGURATION_CLOCK", "CONSTANT", "INPUTS", "Board", "Wire"]

#: Inputs of the chip; it drives the other pins.
INPUTS = frozenset({"loop_cmp", "rs485_ro", "flash_cipo", "gsm_rxd"})
#: Pins beside the chip's own, and their level. The receiver is always enabled, because the chip compares what
#: it transmits with what is on the bus.
CONSTANT = {"rs485_re_n": 0, "flash_wp_n": 1, "flash_hold_n": 1}
#: The "pin" of a flash clock that the ECP5 drives only through its configuration logic.
CONFIGURATION_CLOCK = "USRMCLK"


@dataclass(frozen=True)
class Wire:
    """One pin of the chip on the board; `pin` is `pmod_0:1` of a connector, or the FPGA's own name.

    `negative` is the other pin of a differential input; an `inverted` lamp lights when its pin is low.
    """

    pin: str
    negative: str | None = None
    inverted: bool = False


@dataclass(frozen=True)
class Board:
    """One board. Its flash holds the bitstream at its beginning, followed by the seal's part.

    clock : the platform's resource that clocks the chip
    divide : cycles of that clock for one of the chip's
    wires : every pin of `SealChip` that the build has, and the `CONSTANT` ones
    flash_base : address of the seal's part of the flash, after any bitstream
    logic_cells, block_rams : the resources of the FPGA
    budget : logic cells that the build may take
    """

    name: str
    title: str
    platform: type[Platform]
    fpga: str
    clock: str
    divide: int
    wires: Mapping[str, Wire]
    flash_base: int
    logic_cells: int
    block_rams: int
    budget: int
    #: Commands that write bitstream and seal image; `{bitstream}`, `{image}` and `{base}` are replaced.
    programming: tuple[str, ...]
    front_end: str = "sigma-delta"
    gsm: bool = True
    #: Preparation of the board that must be done by hand.
    preparation: str = ""
    #: I/O attributes of plain pins and of the differential input.
    attributes: Mapping[str, str] = field(default_factory=dict)
    differential: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ice40(self) -> bool:
        """Return whether the FPGA is an iCE40; otherwise it is an ECP5."""
        return self.fpga.startswith("iCE40")

    @property
    def clock_hz(self) -> int:
        """Return the frequency of the chip's clock in Hz, rounded."""
        return round(self.board_clock_hz / self.divide)

    @property
    def board_clock_hz(self) -> int:
        """Return the frequency of the board's clock in Hz."""
        hertz: float = next(it.clock.frequency for it in self.platform.resources if it.name == self.clock)
        return round(hertz)

    def fpga_pin(self, pin: str) -> str:
        """Return the FPGA's pin at a pin of a connector, `pmod_0:1`; any other name is the FPGA's own."""
        if ":" not in pin:
            return pin
        named = {
            f"{connector.name}_{connector.number}:{number}": str(target)
            for connector in self.platform.connectors
            for number, target in connector.mapping.items()
        }
        return named[pin]
