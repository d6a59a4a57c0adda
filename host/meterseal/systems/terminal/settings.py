"""Defines the settings of `meterseal terminal run`, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.errors import Failure
from meterseal.protocols.csg1209022.frame import FrameError, TerminalAddress, point_da
from meterseal.protocols.csg1209022.timing import ANSWER_TIME, HEARTBEAT
from meterseal.protocols.dlt645.control import ANSWER_TIMEOUT
from sealchip.interface import DEFAULT_BAUD

__all__ = ["Settings", "parse_address", "parse_points"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Settings:
    """The address of this terminal, the meters that it polls, and its times in seconds."""

    bus: str
    station: str
    address: TerminalAddress
    points: dict[str, int]
    baud: int = DEFAULT_BAUD
    #: Between two polls of a meter.
    poll: float = 5.0
    #: Until a meter's answer has begun.
    timeout: float = ANSWER_TIMEOUT
    heartbeat: float = HEARTBEAT
    #: Until an unconfirmed message is repeated.
    confirm_timeout: float = ANSWER_TIME
    sync_clock: bool = False
    #: For the port at the start.
    wait: float = 5.0

    @property
    def name(self) -> str:
        """Return the name of the terminal, such as `440106:1`."""
        return f"{self.address.region}:{self.address.number}"


def parse_address(region: str, number: int) -> TerminalAddress:
    """Return the terminal's address; `Failure` when the fields do not fit."""
    if not (region.isascii() and region.isdecimal()):
        raise Failure(f"region {region!r}: give 6 decimal digits")
    try:
        return TerminalAddress(region, number)
    except FrameError as error:
        raise Failure(str(error)) from None


def parse_points(texts: list[str]) -> dict[str, int]:
    """Return the measured points by meter address, from `N=METER`; `Failure` names the one that is wrong."""
    points: dict[str, int] = {}
    for text in texts:
        number, _, meter = text.partition("=")
        if not (text.isascii() and number.isdecimal() and meter.isdecimal() and len(meter) <= 12):
            raise Failure(f"--point {text}: give N=METER, a measured point and a meter address")
        if int(number) in points.values() or meter.rjust(12, "0") in points:
            raise Failure(f"--point {text}: this measured point or this meter was given before")
        try:
            point_da(int(number))
        except FrameError as error:
            raise Failure(f"--point {text}: {error}") from None
        points[meter.rjust(12, "0")] = int(number)
    if 0 in points.values():
        raise Failure("measured point 0 is the terminal itself: meters begin at 1")
    return points
