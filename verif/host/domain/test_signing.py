"""Seal records are signed and verified on the host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Algorithm, Kind, SealRecord, StateClass
from meterseal.domain.signing import sign, verify

KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")
RECORD = SealRecord(
    seal="810400000001", boot=1, counter=3, kind=Kind.OPENED, state=StateClass.OPEN, age=2, challenge=b"abcd"
)


def test_a_known_record() -> None:
    """These bytes are fixed, so neither layout nor algorithm can change unnoticed."""
    assert sign(KEY, RECORD).mac.hex() == "4103cdf20cfbd102"


def test_what_was_signed_is_verified() -> None:
    signed = sign(KEY, RECORD)
    assert signed.algorithm is Algorithm.SM4_CMAC
    assert signed.fact == sign(KEY, RECORD).fact
    assert verify(KEY, signed.encode())
    assert not verify(bytes(16), signed.encode())


@given(position=st.integers(0, 37), bits=st.integers(1, 255))
def test_every_bit_counts(position: int, bits: int) -> None:
    raw = bytearray(sign(KEY, RECORD).encode())
    raw[position] ^= bits
    assert not verify(KEY, bytes(raw))


def test_unsigned_is_not_verified() -> None:
    assert not verify(KEY, RECORD.encode())


@pytest.mark.parametrize("size", [0, 30, 37, 39])
def test_another_length_is_not_a_record(size: int) -> None:
    with pytest.raises(LayoutError, match=f"{size} bytes, expected 38"):
        verify(KEY, bytes(size))
