"""Defines the settings of `meterseal meter run`, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meterseal.domain.image import DEFAULT_PASSWORD
from meterseal.errors import Failure
from meterseal.octets import bcd
from sealchip.interface import DEFAULT_BAUD

__all__ = ["Settings", "bound_meters"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Settings:
    """The meters at one end of the bus, each with its own seals, and where they are reached.

    `password` is six digits, `baud` the rate of a real serial port, `wait` the time in seconds that the port
    has to appear.
    """

    port: str
    store: Path
    meters: dict[str, list[str]]
    password: str = DEFAULT_PASSWORD
    baud: int = DEFAULT_BAUD
    wait: float = 5.0

    def __post_init__(self) -> None:
        try:
            bcd.password_bytes(self.password)
        except ValueError as error:
            raise Failure(str(error)) from None

    @property
    def password_bytes(self) -> bytes:
        """P0 P1 P2, as on the wire."""
        return bcd.password_bytes(self.password)


def bound_meters(meters: list[str], seals: list[str]) -> dict[str, list[str]]:
    """Return each address of `meters` with its seals, from `METER=SEAL` pairs.

    `Failure` for an address that is none, and for a seal of an unknown meter.
    """
    bound: dict[str, list[str]] = {_address(meter): [] for meter in meters}
    for pair in seals:
        meter, _, seal = pair.partition("=")
        if _address(meter) not in bound:
            raise Failure(f"--seal {pair}: there is no --meter {meter}")
        bound[_address(meter)].append(_address(seal))
    return bound


def _address(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise Failure(f"address {text!r}: give up to 12 decimal digits")
    return text.rjust(12, "0")
