"""The energies of a simulated meter: a plausible figure for every time, always the same for that time.

Nothing is stored, so the energies at an opening long ago can be computed as well as the present ones.
"""

from __future__ import annotations

from datetime import datetime

from meterseal.clock import CST
from meterseal.protocols.dlt645.cover import ENERGIES, Energies

__all__ = ["energies", "energy"]

_INSTALLED = datetime(2024, 1, 1, tzinfo=CST)
#: Constant load of a meter in W (or var), in the order of `ENERGIES`.
_LOAD = (800, 5, 120, 10, 5, 30)
_WRAP = 100_000_000


def energies(address: str, at: datetime) -> Energies:
    """Return the six energies in 0.01 kWh (kvarh) of the meter `address` at `at`."""
    hours = max((at - _INSTALLED).total_seconds(), 0) / 3600
    # Neighbouring meters differ: 50 to 149 % of the load, by the last digits of the address.
    share = (50 + int(address[-2:])) / 100
    return tuple(int(hours * share * load / 10) % _WRAP for load in _LOAD)


def energy(address: str, di: int, at: datetime) -> int:
    """Return the energy with this data identifier, one of `ENERGIES`."""
    value = energies(address, at)[ENERGIES.index(di)]
    assert value is not None
    return value
