"""The flash image of a seal is read back as it was written, and values that do not fit are named."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import Identity, crc16, image, read_identity
from meterseal.errors import Failure
from meterseal.io.key_file import read_key
from sealchip.interface import FLASH_IDENTITY_SLOTS, FLASH_LOG_BASE, FLASH_SIZE, IDENTITY

identities = st.builds(
    Identity,
    seal=st.text("0123456789", min_size=12, max_size=12),
    asset=st.text(string.ascii_letters + string.digits + "-/ ", min_size=1, max_size=32),
    meter=st.text("0123456789", min_size=12, max_size=12),
    key=st.binary(min_size=16, max_size=16),
    phone=st.text("0123456789", max_size=16),
    baud=st.sampled_from([600, 1200, 2400, 4800, 9600, 19200]),
    sequence=st.integers(0, 0xFFFF),
)
SEAL = Identity("100101", "GD-2026-000101")


@given(identities)
def test_image_reads_back(identity: Identity) -> None:
    flash = image(identity)
    assert len(flash) == FLASH_SIZE
    assert flash[FLASH_LOG_BASE:] == b"\xff" * (FLASH_SIZE - FLASH_LOG_BASE)
    assert read_identity(flash) == identity


@given(identities, st.integers(0, 8 * IDENTITY.size - 1))
def test_slot_b_stands_in_for_a_damaged_slot_a(identity: Identity, bit: int) -> None:
    flash = bytearray(image(identity))
    flash[FLASH_IDENTITY_SLOTS[0] + bit // 8] ^= 1 << bit % 8
    assert read_identity(bytes(flash)) == identity


def test_known_bytes() -> None:
    raw = SEAL.encode()
    assert raw[:14] == bytes.fromhex("01 08 AA AA AA AA AA AA 01 01 10 00 00 00")
    assert raw[IDENTITY.slice("asset")] == b"101000-6202-DG".ljust(32, b"\0")
    assert crc16(b"123456789") == 0x29B1
    assert crc16(raw[:-2]).to_bytes(2, "big") == raw[-2:]


def test_no_identity_names_both_slots() -> None:
    with pytest.raises(Failure, match=r"slot A: CRC is FFFF.*slot B: CRC is FFFF"):
        read_identity(b"\xff" * FLASH_SIZE)
    with pytest.raises(Failure, match="16384 bytes, this one 3"):
        read_identity(b"abc")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("seal", "1234567890123", "up to 12 decimal digits"),
        ("seal", "AA", "up to 12 decimal digits"),
        ("seal", "१२३", "up to 12 decimal digits"),
        ("meter", "12x", "meter address '12x'"),
        ("asset", "", "1 to 32 printable ASCII"),
        ("asset", "x" * 33, "1 to 32 printable ASCII"),
        ("asset", "资产", "1 to 32 printable ASCII"),
        ("asset", "a\nb", "1 to 32 printable ASCII"),
        ("phone", "1" * 17, "up to 16 digits"),
        ("phone", "call me", "up to 16 digits"),
        ("key", b"short", "5 bytes"),
        ("baud", 300, "2400, 4800"),
    ],
)
def test_what_does_not_fit_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(Failure, match=says):
        replace(SEAL, **{field: value})


def test_key_files(tmp_path) -> None:
    key = bytes(range(16))
    (tmp_path / "raw").write_bytes(key)
    (tmp_path / "hex").write_text(key.hex() + "\n")
    (tmp_path / "bad").write_text("not a key\n")
    assert read_key(tmp_path / "raw") == read_key(tmp_path / "hex") == key
    with pytest.raises(Failure, match="found 10 bytes"):
        read_key(tmp_path / "bad")
    with pytest.raises(Failure, match="No such file"):
        read_key(tmp_path / "absent")
