"""Represents a meter's journal entry. Layout: `sealchip.interface.JOURNAL_ENTRY`, in `docs/protocol.md`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from meterseal.domain.layout import pack, unpack
from meterseal.octets import bcd
from sealchip.interface import JOURNAL_ENTRY

__all__ = ["JournalEntry"]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A meter stores one report in one entry; times are the meter's, to the second."""

    number: int
    occurred_at: datetime
    received_at: datetime
    record: bytes

    def encode(self) -> bytes:
        """Return the 54 bytes of the entry."""
        return pack(
            JOURNAL_ENTRY,
            {
                "number": self.number,
                "occurred": bcd.moment_bytes(self.occurred_at),
                "received": bcd.moment_bytes(self.received_at),
                "record": self.record,
            },
        )

    @classmethod
    def decode(cls, raw: bytes) -> JournalEntry:
        """Return the entry in `raw`; the record inside stays bytes, as a terminal must forward it."""
        fields = unpack(JOURNAL_ENTRY, raw)
        return cls(
            number=int.from_bytes(fields["number"], "little"),
            occurred_at=bcd.moment(fields["occurred"]),
            received_at=bcd.moment(fields["received"]),
            record=fields["record"],
        )
