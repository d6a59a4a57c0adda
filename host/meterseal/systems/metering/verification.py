"""Whether a record comes from the seal whose address it carries."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from meterseal.domain.record import Algorithm, SealRecord
from meterseal.domain.signing import verify

__all__ = ["Verdict", "Verifier"]


class Verdict(StrEnum):
    """What the MAC of one record says."""

    #: Right under the seal's key.
    VERIFIED = "verified"
    #: No key of this seal is known here.
    UNCHECKED = "unchecked"
    #: The seal has a key, and the record is not signed.
    UNSIGNED = "unsigned"
    #: Wrong under the seal's key.
    WRONG = "wrong"

    @property
    def reason(self) -> str:
        """What is said of a record with this verdict."""
        return _REASONS[self]


_REASONS = {
    Verdict.VERIFIED: "MAC right",
    Verdict.UNCHECKED: "no key to check it with",
    Verdict.UNSIGNED: "not signed, although the seal has a key",
    Verdict.WRONG: "MAC wrong under the seal's key",
}


class Verifier:
    """Judges records under the keys of the seals.

    With `allow_unsigned` a seal that has a key may send unsigned records, as while keys are brought out.
    """

    def __init__(self, keys: Mapping[str, bytes], *, allow_unsigned: bool = False) -> None:
        self._keys = keys
        self._allow_unsigned = allow_unsigned

    def judge(self, raw: bytes) -> Verdict:
        """The verdict on the 38 bytes of a record; `LayoutError` when they cannot be read."""
        record = SealRecord.decode(raw)
        key = self._keys.get(record.seal)
        if key is None:
            return Verdict.UNCHECKED
        if record.algorithm is Algorithm.UNSIGNED:
            return Verdict.UNSIGNED
        return Verdict.VERIFIED if verify(key, raw) else Verdict.WRONG

    def trusts(self, verdict: Verdict) -> bool:
        """Whether a record with this verdict counts as the seal's word."""
        if verdict is Verdict.UNSIGNED:
            return self._allow_unsigned
        return verdict is not Verdict.WRONG
