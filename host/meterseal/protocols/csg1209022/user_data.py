"""AFN 15, DI E0002000, carries a meter's journal entry with its seal record to the master station.

It is the project's own extension: vendor code `MS`, layout version, meter address, journal entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.domain.journal import JournalEntry
from meterseal.domain.layout import LayoutError
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import JOURNAL_ENTRY

__all__ = ["USER_DATA", "SealReport", "UserDataError"]

VENDOR = b"MS"
VERSION = 1
HEAD_BYTES = 9
USER_DATA = HEAD_BYTES + JOURNAL_ENTRY.size


class UserDataError(ValueError):
    """The bytes are not a seal report of this project; the message names them."""


@dataclass(frozen=True, slots=True)
class SealReport:
    """The report carries one journal entry of the meter with address `meter`."""

    meter: str
    entry: JournalEntry

    def encode(self) -> bytes:
        """Return the 63 bytes."""
        return VENDOR + bytes([VERSION]) + bcd.address_bytes(self.meter) + self.entry.encode()

    @classmethod
    def decode(cls, content: bytes) -> SealReport:
        """Return the report in exactly 63 bytes."""
        shown = hex_bytes(content)
        if content[:2] != VENDOR:
            raise UserDataError(f"user data {shown!r}: vendor code is not {VENDOR.decode()}")
        if content[2:3] != bytes([VERSION]):
            raise UserDataError(f"user data {shown}: layout version is not {VERSION}")
        try:
            return cls(bcd.address(content[3:HEAD_BYTES]), JournalEntry.decode(content[HEAD_BYTES:]))
        except (LayoutError, ValueError) as error:
            raise UserDataError(f"user data {shown}: {error}") from None
