"""Whether a record comes from the seal whose address it carries."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from meterseal.domain.record import Algorithm, SealRecord
from meterseal.domain.signing import verify

__all__ = ["MacStatus", "Verifier"]


class MacStatus(StrEnum):
    """What the MAC of one record says."""

    #: Right under the seal's key.
    VERIFIED = "verified"
    #: No key of this seal is known here.
    UNCHECKED = "unchecked"
    #: The seal has a key, and the record is not signed.
    UNSIGNED = "unsigned"
    #: Wrong under the seal's key; JSON documents name it by this older word.
    AUTH_FAIL = "wrong"

    @property
    def reason(self) -> str:
        """What an alarm says of a record with this status."""
        return _REASONS[self]


_REASONS = {
    MacStatus.VERIFIED: "MAC right",
    MacStatus.UNCHECKED: "no key to check it with",
    MacStatus.UNSIGNED: "not signed, although the seal has a key",
    MacStatus.AUTH_FAIL: "MAC wrong under the seal's key",
}


class Verifier:
    """Checks records under the keys of the seals.

    With `allow_unsigned` a seal that has a key may send unsigned records, as while keys are brought out.
    """

    def __init__(self, keys: Mapping[str, bytes], *, allow_unsigned: bool = False) -> None:
        self._keys = keys
        self._allow_unsigned = allow_unsigned

    def check(self, record: SealRecord, raw: bytes) -> MacStatus:
        """What the MAC of `record`, received as the 38 bytes `raw`, says of it."""
        key = self._keys.get(record.seal)
        if key is None:
            return MacStatus.UNCHECKED
        if record.algorithm is Algorithm.UNSIGNED:
            return MacStatus.UNSIGNED
        return MacStatus.VERIFIED if verify(key, raw) else MacStatus.AUTH_FAIL

    def trusts(self, status: MacStatus) -> bool:
        """Whether a record with this status counts as the seal's word."""
        if status is MacStatus.UNSIGNED:
            return self._allow_unsigned
        return status is not MacStatus.AUTH_FAIL
