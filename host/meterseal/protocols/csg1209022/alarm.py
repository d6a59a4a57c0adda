"""AFN 13 carries an alarm: state, time, and for an opened cover ARD11 (58 bytes).

ARD11 has the same six energies as the meter's record 03300E01, so one maps onto the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.dlt645.cover import CoverRecord, Energies, energies, energies_bytes

__all__ = ["ARD11_BYTES", "AlarmError", "AlarmHead", "AlarmState", "CoverAlarm"]

HEAD_BYTES = 7
COUNT_BYTES = 3
ARD11_BYTES = 58


class AlarmError(ValueError):
    """The bytes are not alarm content; the message names them."""


class AlarmState(IntEnum):
    """The first byte of an alarm."""

    RECOVERED = 0x00
    OCCURRED = 0x01
    UNKNOWN = 0xFF


@dataclass(frozen=True, slots=True)
class AlarmHead:
    """Every alarm starts with state and time; `rest` has the bytes after them."""

    state: AlarmState
    at: datetime
    rest: bytes

    @classmethod
    def decode(cls, content: bytes) -> AlarmHead:
        """Return state and time of any alarm."""
        try:
            return cls(AlarmState(content[0]), bcd.moment(content[1:HEAD_BYTES]), content[HEAD_BYTES:])
        except (IndexError, ValueError) as error:
            raise AlarmError(f"alarm {hex_bytes(content)!r}: {error}") from None

    def encode(self) -> bytes:
        """Return state, time and rest."""
        return bytes([self.state]) + bcd.moment_bytes(self.at) + self.rest


@dataclass(frozen=True, slots=True)
class CoverAlarm:
    """ARD11 reports that a cover was opened for the `count`-th time, with the energies before and after."""

    at: datetime
    count: int
    before: Energies
    after: Energies
    state: AlarmState = AlarmState.OCCURRED

    @classmethod
    def of(cls, record: CoverRecord, count: int) -> CoverAlarm:
        """Return the alarm of a meter's cover record; `AlarmError` when the record has no start."""
        if record.start is None:
            raise AlarmError("a cover record without a start makes no alarm")
        return cls(record.start, count, record.before, record.after)

    def encode(self) -> bytes:
        """Return the 58 bytes."""
        rest = bcd.bcd(self.count, COUNT_BYTES) + energies_bytes(self.before) + energies_bytes(self.after)
        return AlarmHead(self.state, self.at, rest).encode()

    @classmethod
    def decode(cls, content: bytes) -> CoverAlarm:
        """Return the alarm in exactly 58 bytes."""
        if len(content) != ARD11_BYTES:
            raise AlarmError(f"ARD11 {hex_bytes(content)!r}: {len(content)} bytes, expected {ARD11_BYTES}")
        head = AlarmHead.decode(content)
        count, snapshots = head.rest[:COUNT_BYTES], head.rest[COUNT_BYTES:]
        half = len(snapshots) // 2
        try:
            return cls(
                head.at,
                bcd.number(count),
                energies(snapshots[:half]),
                energies(snapshots[half:]),
                head.state,
            )
        except ValueError as error:
            raise AlarmError(f"ARD11 {hex_bytes(content)}: {error}") from None
