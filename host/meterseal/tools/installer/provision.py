"""Provisioning: a seal is given its identity over the bus, item by item, and sealed.

Each item is a write of its own, which the seal has stored when it acknowledges. The password is written
last, so that the same call can be repeated after an interruption: correct items are then written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meterseal.domain.image import Identity, password_bytes
from meterseal.domain.layout import unpack
from meterseal.errors import Failure
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645.addressing import WILDCARD
from meterseal.protocols.dlt645.control import Err
from meterseal.protocols.dlt645.requests import read, write
from meterseal.tools.installer.client import SealClient, SealRefusesError, connect
from sealchip.interface import IDENTITY, PROVISIONING, Di

__all__ = ["Item", "Wanted", "provision"]

#: The address of a seal that has none yet; it is reached by `WILDCARD`.
UNADDRESSED = "0" * 12
#: Password level 02; the seal has one password and ignores the level.
_LEVEL = b"\x02"
_ITEMS = {name: Di.PROVISIONING + number for number, name in PROVISIONING.items()}
#: The address is last, so that a new seal reports with everything else; the password follows separately.
_ORDER = ("meter", "asset", "key", "phone", "baud", "seal")
_READABLE = {"seal": Di.ADDRESS, "asset": Di.ASSET_NUMBER}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Holds the items to write, where None leaves an item unchanged. Errors: as `Identity`."""

    seal: str | None = None
    meter: str | None = None
    asset: str | None = None
    key: bytes | None = None
    phone: str | None = None
    baud: int | None = None
    new_password: str | None = None
    seal_now: bool = False

    def fields(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and bytes of each item, in the order in which they are written."""
        given = {name: getattr(self, name) for name in _ORDER if getattr(self, name) is not None}
        # The identity itself checks the items and lays them out.
        whole = unpack(IDENTITY, Identity(**{"seal": "1", "asset": "-", **given}).encode())
        for name in _ORDER:
            if name in given:
                yield name, whole[name]


@dataclass(frozen=True, slots=True)
class Item:
    """One item that the seal has acknowledged; `read_back` is None where it cannot be read."""

    name: str
    read_back: bool | None = None


async def provision(
    url: str, address: str | None, password: str, wanted: Wanted, *, baud: int, record: Path | None = None
) -> tuple[str, list[Item]]:
    """Write all `wanted` items to the seal at `address`, or to the only device on the line.

    Returns its address afterwards and the items that it acknowledged. `Failure` names the item that was
    refused and the reason, or that did not read back, and the items acknowledged before it.
    """
    fields = list(wanted.fields())
    passwords = [password_bytes(password)]
    if wanted.new_password is not None:
        passwords.append(password_bytes(wanted.new_password))
    async with connect(url, baud, record=record) as client:
        seal = await client.address(address)
        if seal == UNADDRESSED:
            if wanted.seal is None:
                raise Failure("the seal has no address yet: give it one with --seal")
            seal = WILDCARD
        writer = _Writer(client, seal, passwords)
        try:
            for name, content in fields:
                await writer.item(name, content)
            if wanted.seal_now:
                await writer.write("seal-now", Di.SEAL, b"")
            if wanted.new_password is not None:
                await writer.item("password", passwords[-1])
        except Failure as failure:
            taken = ", ".join(item.name for item in writer.taken) or "nothing"
            raise Failure(f"{failure}; taken so far: {taken}. The same call may be made again") from None
        return writer.address, writer.taken


class _Writer:
    """Writes with the first password that is accepted; an interrupted call may have changed it already."""

    def __init__(self, client: SealClient, address: str, passwords: list[bytes]) -> None:
        self._client = client
        self._passwords = passwords
        self.address = address
        self.taken: list[Item] = []

    async def item(self, name: str, content: bytes) -> None:
        """Write one field of the identity and read it back where it is readable."""
        await self.write(name, _ITEMS[name], content)
        if name == "seal":
            self.address = bcd.address(content)
        if name in _READABLE:
            answer = await self._client.ask(read(self.address, _READABLE[name]))
            if answer.content != content:
                raise Failure(f"{name}: the seal now has {hex_digits(answer.content)}")
            self.taken[-1] = Item(name, read_back=True)

    async def write(self, name: str, di: int, content: bytes) -> None:
        while True:
            password = _LEVEL + self._passwords[0]
            try:
                await self._client.ask(write(self.address, di, content, password=password))
            except SealRefusesError as refusal:
                if refusal.err & Err.UNAUTHORISED and len(self._passwords) > 1 and not self.taken:
                    del self._passwords[0]
                    continue
                raise Failure(f"{name}: {_reason(name, refusal.err)}") from None
            self.taken.append(Item(name))
            return


def _reason(name: str, err: Err) -> str:
    """Return what the installer can do about a refusal."""
    if err & Err.UNAUTHORISED:
        return "wrong password, or locked out after three wrong ones (24 hours, or until a power-up)"
    if err & Err.NO_DATA:
        return "this seal does not know the item"
    if name == "seal-now":
        return "the loop cannot be sealed: it is open, its voltage is out of range, or it is not steady"
    return f"the seal could not store it (ERR {err:02X}): check its flash"
