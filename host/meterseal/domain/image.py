"""Makes and reads the flash image of one seal: its identity in each identity slot, and an empty event log.

Layout: `sealchip.interface.IDENTITY`, described in `docs/protocol.md`.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from meterseal.domain.layout import pack, unpack
from meterseal.errors import Failure
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits
from sealchip.interface import BAUD_FEATURE, DEFAULT_BAUD, FLASH_IDENTITY_SLOTS, FLASH_SIZE, IDENTITY

__all__ = [
    "ANY_METER",
    "DEFAULT_PASSWORD",
    "NO_KEY",
    "Identity",
    "crc16",
    "image",
    "password_bytes",
    "read_identity",
]

#: Address of any meter; correct only where one meter is alone on the bus.
ANY_METER = "A" * 12
#: Key of a seal that does not sign.
NO_KEY = bytes(16)
#: Password of a new seal and of a simulated meter: six digits, as printed.
DEFAULT_PASSWORD = "000000"

_VERSION = 1
_FEATURE = {baud: feature for feature, baud in BAUD_FEATURE.items()}
_PHONE_DIGITS = set("0123456789+")


def crc16(data: bytes) -> int:
    """Return CRC-16/IBM-3740 (polynomial 1021H, start FFFFH), with which every block in the flash ends."""
    return binascii.crc_hqx(data, 0xFFFF)


def password_bytes(password: str) -> bytes:
    """Return P0 P1 P2 of six printed digits; `Failure` for anything else."""
    try:
        return bcd.password_bytes(password)
    except ValueError:
        # The message must not repeat what may be nearly the password.
        raise Failure("the password has six decimal digits") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity names a seal and the meter that it reports to; `baud` is in bit/s, `key` has 16 bytes.

    Raises `Failure` for anything that the flash cannot hold. Tests: `verif/host/domain/test_image.py`.
    """

    seal: str
    asset: str
    meter: str = ANY_METER
    key: bytes = NO_KEY
    phone: str = ""
    baud: int = DEFAULT_BAUD
    sequence: int = 0
    #: Password of writes: six digits, as printed.
    password: str = DEFAULT_PASSWORD

    def __post_init__(self) -> None:
        if not (self.seal.isascii() and self.seal.isdecimal() and len(self.seal) <= 12):
            raise Failure(f"seal address {self.seal!r}: give up to 12 decimal digits")
        try:
            bcd.address_bytes(self.meter)
        except ValueError as error:
            raise Failure(f"meter {error}") from None
        if not 1 <= len(self.asset) <= 32 or not (self.asset.isascii() and self.asset.isprintable()):
            raise Failure(f"asset number {self.asset!r}: give 1 to 32 printable ASCII characters")
        if len(self.phone) > 16 or not set(self.phone) <= _PHONE_DIGITS:
            raise Failure(f"phone {self.phone!r}: give up to 16 digits, a leading + included")
        if len(self.key) != 16:
            raise Failure(f"the key has {len(self.key)} bytes; SM4 takes 16")
        password_bytes(self.password)
        if self.baud not in _FEATURE:
            rates = ", ".join(map(str, sorted(_FEATURE)))
            raise Failure(f"{self.baud} baud: DL/T 645-2007 has {rates}")

    def encode(self) -> bytes:
        """Return the identity record, CRC included."""
        raw = pack(
            IDENTITY,
            {
                "version": _VERSION,
                "baud": _FEATURE[self.baud],
                "seal": bcd.address_bytes(self.seal),
                "meter": bcd.address_bytes(self.meter),
                "asset": self.asset.encode()[::-1].ljust(32, b"\0"),
                "key": self.key,
                "phone": self.phone.encode().ljust(16, b"\0"),
                "sequence": self.sequence,
                "password": password_bytes(self.password),
                "reserved": bytes(IDENTITY["reserved"].width),
                "crc": 0,
            },
        )
        return raw[:-2] + crc16(raw[:-2]).to_bytes(2, "big")

    @classmethod
    def decode(cls, raw: bytes) -> Identity:
        """Return the identity in `raw`; `Failure` states what is wrong with it."""
        fields = unpack(IDENTITY, raw)
        expected = crc16(raw[:-2]).to_bytes(2, "big")
        if fields["crc"] != expected:
            raise Failure(f"CRC is {hex_digits(fields['crc'])}, the content gives {hex_digits(expected)}")
        if fields["version"][0] != _VERSION:
            raise Failure(f"layout version {fields['version'][0]} unknown")
        return cls(
            seal=bcd.address(fields["seal"]),
            asset=fields["asset"].rstrip(b"\0")[::-1].decode("ascii", "replace"),
            meter=bcd.address(fields["meter"]),
            key=fields["key"],
            phone=fields["phone"].rstrip(b"\0").decode("ascii", "replace"),
            # With any other word, such as that of a seal that began blank, the chip keeps its own rate.
            baud=BAUD_FEATURE.get(fields["baud"][0], DEFAULT_BAUD),
            sequence=int.from_bytes(fields["sequence"], "little"),
            password=fields["password"][::-1].hex(),
        )


def image(identity: Identity) -> bytes:
    """Return the whole flash: `identity` in both slots, the event log erased."""
    flash = bytearray(b"\xff" * FLASH_SIZE)
    for start in FLASH_IDENTITY_SLOTS:
        flash[start : start + IDENTITY.size] = identity.encode()
    return bytes(flash)


def read_identity(flash: bytes) -> Identity:
    """Return the identity that the chip takes from `flash`: the newer of the intact slots."""
    if len(flash) != FLASH_SIZE:
        raise Failure(f"a seal's flash image has {FLASH_SIZE} bytes, this one {len(flash)}")
    intact: list[Identity] = []
    wrong = []
    for name, start in zip("AB", FLASH_IDENTITY_SLOTS, strict=True):
        try:
            intact.append(Identity.decode(bytes(flash[start : start + IDENTITY.size])))
        except Failure as failure:
            wrong.append(f"slot {name}: {failure}")
    if not intact:
        raise Failure("no identity in the flash image: " + "; ".join(wrong))
    # Sequence numbers wrap around: the newer one is less than half of their range ahead.
    ahead = (intact[-1].sequence - intact[0].sequence) % 0x10000
    return intact[-1] if 0 < ahead < 0x8000 else intact[0]
