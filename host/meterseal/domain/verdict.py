"""Represents the verdict of a master station on one record.

Layout: `sealchip.interface.VERDICT`; described in `docs/protocol.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from meterseal.domain.layout import LayoutError, pack, unpack
from meterseal.domain.record import SealRecord
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import VERDICT, VerdictCode

__all__ = ["RecordVerdict", "VerdictCode", "digest"]


def digest(record: bytes) -> bytes:
    """Identify a record among all with its counter: a forged one can report the same as the seal's own."""
    return sha256(record).digest()[: VERDICT["digest"].width]


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """`code` is the verdict on the record with this `digest` under (seal, counter)."""

    seal: str
    counter: int
    code: VerdictCode
    digest: bytes

    @classmethod
    def on(cls, record: bytes, code: VerdictCode) -> RecordVerdict:
        """Return the verdict on the 38 bytes of a record; `LayoutError` when they cannot be read."""
        fields = SealRecord.decode(record)
        return cls(fields.seal, fields.counter, code, digest(record))

    @property
    def key(self) -> str:
        """Return the key of the verdict, the same for every repetition of it."""
        return f"{self.seal}-{self.counter}-{self.code.name}-{self.digest.hex()}"

    def encode(self) -> bytes:
        """Return the 19 bytes."""
        return pack(
            VERDICT,
            {
                "seal": bcd.address_bytes(self.seal),
                "counter": self.counter,
                "code": self.code,
                "digest": self.digest,
            },
        )

    @classmethod
    def decode(cls, raw: bytes) -> RecordVerdict:
        """Return the verdict in `raw`; `LayoutError` states what is wrong with it."""
        fields = unpack(VERDICT, raw)
        try:
            code = VerdictCode(fields["code"][0])
        except ValueError as error:
            raise LayoutError(f"{hex_bytes(raw)}: {error}") from None
        counter = int.from_bytes(fields["counter"], "little")
        return cls(bcd.address(fields["seal"]), counter, code, fields["digest"])
