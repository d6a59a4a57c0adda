"""Represents the signed seal record. Layout: `sealchip.interface.RECORD`, described in `docs/protocol.md`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from meterseal.domain.layout import LayoutError, pack, unpack
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import LOOP_NOT_MEASURED, RECORD, RECORD_VERSION, Algorithm, Flags, Kind, StateClass

NO_FLAGS = Flags(0)
#: The upper byte of the flags counts excursions; its greatest value stands for as many or more.
_EXCURSIONS_SHIFT = 8
EXCURSIONS_MAX = 0xFF

__all__ = [
    "EXCURSIONS_MAX",
    "NO_FLAGS",
    "Algorithm",
    "Flags",
    "Kind",
    "SealRecord",
    "StateClass",
]


@dataclass(frozen=True, slots=True)
class SealRecord:
    """The chip reports one event in one record. `age` is in seconds, `loop_mv` in mV or None if not measured.

    `excursions` counts since the previous record, `EXCURSIONS_MAX` standing for as many or more.
    """

    seal: str
    boot: int
    counter: int
    kind: Kind
    state: StateClass
    loop_mv: int | None = None
    flags: Flags = NO_FLAGS
    excursions: int = 0
    age: int = 0
    algorithm: Algorithm = Algorithm.UNSIGNED
    challenge: bytes = bytes(4)
    mac: bytes = bytes(8)

    def encode(self) -> bytes:
        """Return the 38 bytes of the record."""
        return pack(
            RECORD,
            {
                "version": RECORD_VERSION,
                "algorithm": self.algorithm,
                "seal": bcd.address_bytes(self.seal),
                "boot": self.boot,
                "counter": self.counter,
                "kind": self.kind,
                "state": self.state,
                "loop_mv": LOOP_NOT_MEASURED if self.loop_mv is None else self.loop_mv,
                "flags": self.flags | self.excursions << _EXCURSIONS_SHIFT,
                "age": self.age,
                "challenge": self.challenge,
                "mac": self.mac,
            },
        )

    @classmethod
    def decode(cls, raw: bytes) -> SealRecord:
        """Return the record in `raw`; `LayoutError` names what is wrong with it."""
        fields = unpack(RECORD, raw)
        numbers = {name: int.from_bytes(value, "little") for name, value in fields.items()}
        if numbers["version"] != RECORD_VERSION:
            raise LayoutError(f"{hex_bytes(raw)}: layout version {numbers['version']} unknown")
        seal = bcd.address(fields["seal"])
        if not seal.isdecimal():
            raise LayoutError(f"{hex_bytes(raw)}: seal address {seal} is not BCD")
        try:
            return cls(
                seal=seal,
                boot=numbers["boot"],
                counter=numbers["counter"],
                kind=Kind(numbers["kind"]),
                state=StateClass(numbers["state"]),
                loop_mv=None if numbers["loop_mv"] == LOOP_NOT_MEASURED else numbers["loop_mv"],
                flags=Flags(fields["flags"][0]),
                excursions=numbers["flags"] >> _EXCURSIONS_SHIFT,
                age=numbers["age"],
                algorithm=Algorithm(numbers["algorithm"]),
                challenge=fields["challenge"],
                mac=fields["mac"],
            )
        except ValueError as error:
            raise LayoutError(f"{hex_bytes(raw)}: {error}") from None

    @property
    def fact(self) -> SealRecord:
        """Return the record without what differs between two copies of one event (age, echo, MAC).

        Two records of the same (seal, counter) with different facts are an evidence conflict.
        """
        flags = self.flags & ~(Flags.AGE_UNKNOWN | Flags.CHALLENGED)
        return replace(self, age=0, flags=flags, challenge=bytes(4), mac=bytes(8))
