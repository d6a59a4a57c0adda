"""One cover opening has a record of 60 bytes (03300D01–0A, 03300E01–0A).

    start(6: ss mm hh DD MM YY)  end(6)  before(6 × 4)  after(6 × 4)

FF..FF stands for a value that is not valid or not known yet; a meter without such an event returns zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes

__all__ = ["COVER_BYTES", "ENERGIES", "NO_ENERGIES", "CoverRecord", "Energies", "energies", "energies_bytes"]

#: The energies of a record, in order: total active forward and reverse, reactive quadrants 1 to 4.
ENERGIES = (0x00010000, 0x00020000, 0x00050000, 0x00060000, 0x00070000, 0x00080000)
#: Values of the energies in 0.01 kWh (kvarh), None where not valid.
Energies = tuple[int | None, ...]
NO_ENERGIES: Energies = (None,) * len(ENERGIES)

_TIME = 6
_ENERGY = 4
_SNAPSHOT = _ENERGY * len(ENERGIES)
COVER_BYTES = 2 * _TIME + 2 * _SNAPSHOT


@dataclass(frozen=True, slots=True)
class CoverRecord:
    """The record has the times at which the cover was opened and closed, and the energies at both."""

    start: datetime | None
    end: datetime | None
    before: Energies = NO_ENERGIES
    after: Energies = NO_ENERGIES

    def encode(self) -> bytes:
        """Return the 60 bytes."""
        times = _time_bytes(self.start) + _time_bytes(self.end)
        return times + energies_bytes(self.before) + energies_bytes(self.after)

    @classmethod
    def decode(cls, raw: bytes) -> CoverRecord:
        """Return the record in `raw`; `ValueError` names what is wrong with it."""
        if len(raw) != COVER_BYTES:
            raise ValueError(f"{hex_bytes(raw)}: a cover record has {COVER_BYTES} bytes")
        before = 2 * _TIME
        return cls(
            _time(raw[:_TIME]),
            _time(raw[_TIME:before]),
            energies(raw[before : before + _SNAPSHOT]),
            energies(raw[before + _SNAPSHOT :]),
        )


def energies_bytes(values: Energies) -> bytes:
    """Return four BCD bytes for each of the six energies."""
    if len(values) != len(ENERGIES):
        raise ValueError(f"{len(values)} energies, expected {len(ENERGIES)}")
    return b"".join(b"\xff" * _ENERGY if value is None else bcd.bcd(value, _ENERGY) for value in values)


def energies(raw: bytes) -> Energies:
    """Return the six energies that 24 bytes hold."""
    if len(raw) != _SNAPSHOT:
        raise ValueError(f"{hex_bytes(raw)}: six energies have {_SNAPSHOT} bytes")
    parts = (raw[at : at + _ENERGY] for at in range(0, _SNAPSHOT, _ENERGY))
    return tuple(None if part == b"\xff" * _ENERGY else bcd.number(part) for part in parts)


def _time_bytes(at: datetime | None) -> bytes:
    return b"\xff" * _TIME if at is None else bcd.moment_bytes(at)


def _time(raw: bytes) -> datetime | None:
    return None if raw in (b"\xff" * _TIME, bytes(_TIME)) else bcd.moment(raw)
