"""The seals' keys are stored encrypted under a master key, which is kept in a separate file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sqlalchemy import Column, Connection, LargeBinary, String, Table, delete, select

from meterseal.domain.image import NO_KEY
from meterseal.domain.signing import KEY_BYTES
from meterseal.errors import Failure
from meterseal.io.key_file import read_key
from meterseal.octets import bcd
from meterseal.store.database import Database, UtcMillis, insert
from meterseal.store.ownership import sole_owner
from meterseal.systems.metering.tables import SCHEMA, metadata

__all__ = ["Imported", "MasterKey", "Stored", "forget", "list_all", "load", "put", "read_keys", "writing"]

_keys = Table(
    "seal_keys",
    metadata,
    Column("seal", String(12), primary_key=True),
    Column("encrypted", LargeBinary, nullable=False),
    Column("imported_at", UtcMillis, nullable=False),
)

_NONCE_BYTES, _TAG_BYTES = 12, 16


class MasterKey:
    """A master key encrypts and decrypts seals' keys by SM4-GCM, bound to the seal's address.

    Messages call it `name`. The store alone reveals which seals have keys, but no key
    (`test_keys_are_encrypted_at_rest`); a row moved to another seal is detected.
    """

    def __init__(self, key: bytes, name: str) -> None:
        self._algorithm = algorithms.SM4(key)
        self.name = name

    @classmethod
    def read(cls, file: Path) -> MasterKey:
        """Return the master key in `file`, 16 bytes or 32 hexadecimal digits; raises `Failure`."""
        return cls(read_key(file), str(file))

    def encrypt(self, seal: str, key: bytes) -> bytes:
        """Return nonce, encrypted key and tag, with a new nonce each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        encryptor = Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(seal.encode())
        encrypted = encryptor.update(key) + encryptor.finalize()
        return nonce + encrypted + encryptor.tag

    def decrypt(self, seal: str, encrypted: bytes) -> bytes:
        """Return the key; `Failure` when it was encrypted under another master key."""
        nonce, tag = encrypted[:_NONCE_BYTES], encrypted[-_TAG_BYTES:]
        decryptor = Cipher(self._algorithm, modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(seal.encode())
        try:
            return decryptor.update(encrypted[_NONCE_BYTES:-_TAG_BYTES]) + decryptor.finalize()
        except InvalidTag:
            raise Failure(
                f"master key {self.name} does not fit the stored key of seal {seal}: give the one that the "
                "keys were imported with"
            ) from None


@dataclass(frozen=True, slots=True)
class Stored:
    """A seal has a key, imported at this time."""

    seal: str
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class Imported:
    """An import counts the keys that were new, that replaced another, and that were stored already."""

    new: int = 0
    changed: int = 0
    known: int = 0


@contextmanager
def writing(store: Path) -> Iterator[Connection]:
    """Open a transaction on the store of a system that is not running; `Failure` when it runs."""
    with sole_owner(store), closing(Database(store, SCHEMA)) as database, database.transaction() as conn:
        yield conn


def load(conn: Connection, master: MasterKey | None) -> dict[str, bytes]:
    """Return all keys by seal; `Failure` for a wrong master key, and for none where keys are stored."""
    rows = conn.execute(select(_keys).order_by(_keys.c.seal)).all()
    if rows and master is None:
        raise Failure(f"the store keeps keys of {len(rows)} seals: give their --master-key FILE")
    return {row.seal: master.decrypt(row.seal, row.encrypted) for row in rows if master is not None}


def put(conn: Connection, master: MasterKey, keys: Mapping[str, bytes], at: datetime) -> Imported:
    """Store `keys` by seal; `Failure` unless all stored keys are under the same master key."""
    stored = load(conn, master)
    for seal, key in keys.items():
        if stored.get(seal) != key:
            changed = {"encrypted": master.encrypt(seal, key), "imported_at": at}
            row = insert(conn, _keys).values(seal=seal, **changed)
            conn.execute(row.on_conflict_do_update(index_elements=["seal"], set_=changed))
    known = sum(stored.get(seal) == key for seal, key in keys.items())
    new = len(keys.keys() - stored.keys())
    return Imported(new, len(keys) - new - known, known)


def forget(conn: Connection, seal: str) -> bool:
    """Remove a seal's key; return False when there is none."""
    return conn.execute(delete(_keys).where(_keys.c.seal == seal)).rowcount == 1


def list_all(conn: Connection) -> list[Stored]:
    """Return the seals that have keys, by address."""
    rows = conn.execute(select(_keys.c.seal, _keys.c.imported_at).order_by(_keys.c.seal))
    return [Stored(**row._mapping) for row in rows]


def read_keys(file: Path) -> dict[str, bytes]:
    """Return the keys in a JSON file `{"SEAL ADDRESS": "32 hexadecimal digits", …}`."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"keys {file}: {error.strerror}") from error
    except ValueError:
        # The reason would quote the file.
        raise Failure(f"keys {file}: not JSON") from None
    if not isinstance(rows, dict):
        raise Failure(f"keys {file}: expected an object with a key for each seal address")
    return dict(_key(file, seal, digits) for seal, digits in rows.items())


def _key(file: Path, seal: str, digits: object) -> tuple[str, bytes]:
    if not (seal.isascii() and seal.isdecimal() and len(seal) <= 12):
        raise Failure(f"keys {file}: seal address {seal!r}: give up to 12 decimal digits")
    try:
        key = bytes.fromhex(str(digits))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Failure(f"keys {file}, seal {seal}: expected 32 hexadecimal digits")
    if key == NO_KEY:
        raise Failure(f"keys {file}, seal {seal}: a key of zeros means that the seal does not sign")
    return bcd.address(bcd.address_bytes(seal)), key
