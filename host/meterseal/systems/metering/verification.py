"""The verifier checks whether a record comes from the seal whose address it carries."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from meterseal.domain.record import Algorithm, SealRecord
from meterseal.domain.signing import verify

__all__ = ["MacStatus", "Verifier"]


class MacStatus(StrEnum):
    """The check of a record's MAC has one of these results."""

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
        """Return the text of an alarm about a record with this status."""
        return _REASONS[self]


_REASONS = {
    MacStatus.VERIFIED: "MAC right",
    MacStatus.UNCHECKED: "no key to check it with",
    MacStatus.UNSIGNED: "not signed, although the seal has a key",
    MacStatus.AUTH_FAIL: "MAC wrong under the seal's key",
}


class Verifier:
    """The verifier checks records under the keys of the seals.

    With `allow_unsigned` a seal that has a key may send unsigned records, for the time of a key roll-out.
    """

    def __init__(self, keys: Mapping[str, bytes], *, allow_unsigned: bool = False) -> None:
        self._keys = keys
        self._allow_unsigned = allow_unsigned

    def check(self, record: SealRecord, raw: bytes) -> MacStatus:
        """Return what the MAC of `record`, received as the 38 bytes `raw`, shows."""
        key = self._keys.get(record.seal)
        if key is None:
            return MacStatus.UNCHECKED
        if record.algorithm is Algorithm.UNSIGNED:
            return MacStatus.UNSIGNED
        return MacStatus.VERIFIED if verify(key, raw) else MacStatus.AUTH_FAIL

    def trusts(self, status: MacStatus) -> bool:
        """Return whether a record with this status is accepted as the seal's."""
        if status is MacStatus.UNSIGNED:
            return self._allow_unsigned
        return status is not MacStatus.AUTH_FAIL
