"""What a simulated meter has counted: a plausible figure for every time, the same whenever asked.

Nothing is kept: the energies at an opening long ago can be told as well as those of now.
"""

from __future__ import annotations

from datetime import datetime

from meterseal.clock import CST
from meterseal.protocols.dlt645.cover import ENERGIES, Energies

__all__ = ["energies", "energy"]

_INSTALLED = datetime(2024, 1, 1, tzinfo=CST)
#: Watts (or var) that a meter's customer takes all day long, in the order of `ENERGIES`.
_LOAD = (800, 5, 120, 10, 5, 30)
_WRAP = 100_000_000


def energies(address: str, at: datetime) -> Energies:
    """The six energies in 0.01 kWh (kvarh) of the meter `address` at `at`."""
    hours = max((at - _INSTALLED).total_seconds(), 0) / 3600
    # Neighbours differ: 50 to 149 % of the usual load, by the last digits.
    share = (50 + int(address[-2:])) / 100
    return tuple(int(hours * share * load / 10) % _WRAP for load in _LOAD)


def energy(address: str, di: int, at: datetime) -> int:
    """The energy with this data identifier, one of `ENERGIES`."""
    value = energies(address, at)[ENERGIES.index(di)]
    assert value is not None
    return value
