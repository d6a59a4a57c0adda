"""Defines the settings of `meterseal demo`, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meterseal.sim.chip.build import SIGMA_DELTA
from sealchip.interface import DEFAULT_BAUD

__all__ = ["SEALS_MAX", "Settings"]

#: Seals that one bus carries.
SEALS_MAX: Final = 32


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Settings:
    """Describes one run of the chain.

    `linger` is how many seconds the chain goes on after the scenario. The default `front_end` distinguishes
    the attacks on the loop. `netlist` is a file of gates to simulate instead of the chip's source. `folder`
    keeps the files of the run; without it they are temporary.
    """

    seals: int = 1
    baud: int = DEFAULT_BAUD
    scenario: str = "attacks"
    linger: float = 0.0
    front_end: str = SIGMA_DELTA
    netlist: Path | None = None
    folder: Path | None = None
