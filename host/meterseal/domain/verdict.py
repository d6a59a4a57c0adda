"""What a master station found about one record, as a value.

Layout: `sealchip.interface.VERDICT`; described in `docs/protocol.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from meterseal import bcd
from meterseal.domain.layout import LayoutError, pack, unpack
from meterseal.domain.record import SealRecord
from meterseal.hexadecimal import hex_bytes
from sealchip.interface import VERDICT, VerdictCode

__all__ = ["RecordVerdict", "VerdictCode", "digest"]


def digest(record: bytes) -> bytes:
    """Names a record among all that bear its number: a forged one can say what the seal's own says."""
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
        """The verdict on the 38 bytes of a record; `LayoutError` when they cannot be read."""
        said = SealRecord.decode(record)
        return cls(said.seal, said.counter, code, digest(record))

    @property
    def key(self) -> str:
        """The same for every repetition of the verdict."""
        return f"{self.seal}-{self.counter}-{self.code.name}-{self.digest.hex()}"

    def encode(self) -> bytes:
        """The 19 bytes."""
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
        """The verdict in `raw`; `LayoutError` says what is wrong with it."""
        fields = unpack(VERDICT, raw)
        try:
            code = VerdictCode(fields["code"][0])
        except ValueError as error:
            raise LayoutError(f"{hex_bytes(raw)}: {error}") from None
        counter = int.from_bytes(fields["counter"], "little")
        return cls(bcd.address(fields["seal"]), counter, code, fields["digest"])
