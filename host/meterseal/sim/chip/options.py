"""Defines the options of `meterseal chip run`, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meterseal.sim.chip.build import SIGMA_DELTA
from meterseal.sim.chip.bus import CLOCK_HZ

__all__ = ["Options"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Options:
    """What to simulate, and where it is reached.

    Without `flashes` the seals have temporary images with `default_identity`. `baud` None: the images' own.
    """

    seals: int | None = None
    flashes: tuple[Path, ...] = ()
    pty: Path | None = None
    tcp: str | None = None
    control: str | None = None
    baud: int | None = None
    clock_hz: int = CLOCK_HZ
    real_time: bool = True
    log: Path | None = None
    front_end: str = SIGMA_DELTA
    pattern: bool | None = None
    gsm: tuple[str, ...] = ()
    netlist: Path | None = None
