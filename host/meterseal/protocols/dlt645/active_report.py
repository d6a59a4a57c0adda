"""Represents the active-report status word 04001501 (主动上报状态字).

It has 12 bytes of bits, then for each set bit, lowest first, the number of its events since the word was last
cleared. Sources differ on an AAH before and after the counts: all four forms are read, the one without is
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meterseal.octets.hexadecimal import hex_bytes

__all__ = ["METER_COVER_OPEN", "TERMINAL_COVER_OPEN", "WORD_BYTES", "ActiveReport"]

METER_COVER_OPEN = 10
TERMINAL_COVER_OPEN = 11
WORD_BYTES = 12
_MARK = 0xAA


@dataclass(frozen=True)
class ActiveReport:
    """The word counts the events of each bit that is set, from 1 to 255."""

    counts: Mapping[int, int]

    def encode(self) -> bytes:
        """Return the status word and the counts."""
        bits = sorted(self.counts)
        word = sum(1 << bit for bit in bits)
        return word.to_bytes(WORD_BYTES, "little") + bytes(self.counts[bit] for bit in bits)

    @classmethod
    def decode(cls, raw: bytes) -> ActiveReport:
        """Return the report in `raw`; `ValueError` when the counts do not fit the bits."""
        word = int.from_bytes(raw[:WORD_BYTES], "little")
        bits = [bit for bit in range(8 * WORD_BYTES) if word >> bit & 1]
        counts = raw[WORD_BYTES:]
        # A count can itself be AAH, so only surplus bytes are taken for marks.
        if len(counts) > len(bits) and counts[0] == _MARK:
            counts = counts[1:]
        if len(counts) > len(bits) and counts[-1] == _MARK:
            counts = counts[:-1]
        if len(raw) < WORD_BYTES or len(counts) != len(bits):
            raise ValueError(
                f"{hex_bytes(raw)}: an active-report word has 12 bytes and, here, {len(bits)} counts"
            )
        return cls(dict(zip(bits, counts, strict=True)))
