"""The registry lists the terminals, meters and seals that are installed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from meterseal.errors import Failure
from meterseal.octets import bcd
from meterseal.protocols.csg1209022.frame import FrameError, TerminalAddress

__all__ = ["Device", "Registry", "parse_terminal", "terminal_name"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device is a seal with its meter, and the terminal and measured point that reach it."""

    seal: str
    meter: str
    terminal: str
    point: int


class Registry:
    """The registry holds the known devices; when it is empty, every terminal and seal is accepted."""

    def __init__(self, devices: Iterable[Device] = (), terminals: Iterable[str] = ()) -> None:
        self._devices = {device.seal: device for device in devices}
        self._points = {(device.terminal, device.point) for device in self._devices.values()}
        self.terminals = {*terminals, *(device.terminal for device in self._devices.values())}

    def device(self, seal: str) -> Device | None:
        """Return the device with this seal; None when it is not registered."""
        return self._devices.get(seal)

    def knows_terminal(self, terminal: str) -> bool:
        """Return False only where terminals are registered and this one is not."""
        return not self.terminals or terminal in self.terminals

    def knows_seal(self, seal: str, meter: str | None) -> bool:
        """Return False only where devices are registered and this seal is not, or has another meter."""
        device = self._devices.get(seal)
        return not self._devices or (device is not None and device.meter == meter)

    def has_seal_at(self, terminal: str, point: int) -> bool:
        """Return whether a seal is registered for this measured point."""
        return (terminal, point) in self._points

    def is_registered(self, seal: str) -> bool:
        """Return whether the registry lists the seal."""
        return seal in self._devices

    @classmethod
    def load(cls, file: Path | None, terminals: Iterable[str] = ()) -> Registry:
        """Return the registry in a JSON file plus the named terminals; `Failure` names what is wrong.

        The file is a list of `{"seal", "meter", "terminal": "440106:1", "point"}`.
        """
        names = [parse_terminal(name) for name in terminals]
        if file is None:
            return cls(terminals=names)
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise Failure(f"registry {file}: {error.strerror}") from error
        except ValueError as error:
            raise Failure(f"registry {file}: not JSON: {error}") from error
        if not isinstance(rows, list):
            raise Failure(f"registry {file}: expected a list of devices")
        return cls((_device(file, number, row) for number, row in enumerate(rows, 1)), names)


def terminal_name(address: TerminalAddress) -> str:
    """Return the name of a terminal in every table and document, such as `440106:1`."""
    return f"{address.region}:{address.number}"


def parse_terminal(text: str) -> str:
    """Return the canonical name of `REGION:NUMBER`; `Failure` when the text has another form."""
    region, _, number = text.partition(":")
    if number.isdecimal():
        try:
            return terminal_name(TerminalAddress(region.upper(), int(number)))
        except FrameError as error:
            raise Failure(f"terminal {text!r}: {error}") from error
    raise Failure(f"terminal {text!r}: expected REGION:NUMBER, such as 440106:1")


def _device(file: Path, number: int, row: object) -> Device:
    if not isinstance(row, Mapping):
        raise Failure(f"registry {file}, device {number}: expected an object")
    try:
        return Device(
            _address(row["seal"]), _address(row["meter"]), parse_terminal(row["terminal"]), int(row["point"])
        )
    except KeyError as error:
        raise Failure(f"registry {file}, device {number}: {error} is missing") from error
    except (AttributeError, TypeError, ValueError, Failure) as error:
        raise Failure(f"registry {file}, device {number}: {error}") from error


def _address(digits: str) -> str:
    return bcd.address(bcd.address_bytes(digits))
