"""The customer file states who gets messages about which seal, and how.

It comes from a JSON list or a CSV table (`account, name, phone, meter, seal, lang, notify`; in CSV the
`notify` URLs are separated by blanks) and is kept in the store, so that an event and its messages
use the same version of the file.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    String,
    Table,
    delete,
    select,
)

from meterseal.errors import Failure
from meterseal.i18n.catalogue import LANGUAGES
from meterseal.octets import bcd
from meterseal.protocols.gsm.pdu import PduError, Submit
from meterseal.systems.marketing.tables import metadata

__all__ = ["Customer", "list_all", "load", "of_account", "of_seal", "read"]

_customers = Table(
    "customers",
    metadata,
    Column("account", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("phone", String(21), nullable=False),
    Column("meter", String(12), nullable=False),
    Column("seal", String(12), nullable=False, unique=True),
    Column("lang", String(2), nullable=False),
    Column("notify", JSON, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer has an account, a meter with its seal, and addresses for messages (phone, Apprise URLs)."""

    account: str
    name: str
    phone: str
    meter: str
    seal: str
    lang: str = LANGUAGES[0]
    notify: tuple[str, ...] = ()


def read(path: Path) -> list[Customer]:
    """Return the customers in a `.json` or `.csv` file; `Failure` names the wrong entry and the reason."""
    try:
        rows = _rows(path)
        customers = [_customer(row) for row in rows]
    except OSError as error:
        raise Failure(f"cannot read the customer file {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise Failure(f"customer file {path}: {error}") from None
    for field in ("account", "seal"):
        counted = Counter(getattr(customer, field) for customer in customers)
        if twice := [value for value, count in counted.items() if count > 1]:
            raise Failure(f"customer file {path}: {field} {twice[0]} stands there twice")
    return customers


def load(conn: Connection, customers: Iterable[Customer]) -> None:
    """Replace the stored customer file by `customers`."""
    conn.execute(delete(_customers))
    rows = [asdict(customer) for customer in customers]
    if rows:
        conn.execute(_customers.insert(), rows)


def list_all(conn: Connection) -> list[Customer]:
    """Return all customers, by account."""
    rows = conn.execute(select(_customers).order_by(_customers.c.account))
    return [_stored(row._mapping) for row in rows]


def of_account(conn: Connection, account: str) -> Customer | None:
    """Return the customer with this account number; None when there is none."""
    return _one(conn, _customers.c.account == account)


def of_seal(conn: Connection, seal: str) -> Customer | None:
    """Return the customer whose meter this seal closes; None when there is none."""
    return _one(conn, _customers.c.seal == seal)


def _rows(path: Path) -> list[Mapping[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        rows = csv.DictReader(text.splitlines())
        return [{**row, "notify": (row.get("notify") or "").split()} for row in rows]
    document = json.loads(text)
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise ValueError("expected a list of objects")
    return document


def _customer(row: Mapping[str, Any]) -> Customer:
    missing = [name for name in ("account", "phone", "meter", "seal") if not row.get(name)]
    if missing:
        raise ValueError(f"{dict(row)} lacks {', '.join(missing)}")
    account = str(row["account"])
    customer = Customer(
        account=account,
        name=str(row.get("name") or ""),
        phone=str(row["phone"]),
        meter=bcd.address(bcd.address_bytes(str(row["meter"]))),
        seal=bcd.address(bcd.address_bytes(str(row["seal"]))),
        lang=row.get("lang") or LANGUAGES[0],
        notify=tuple(row.get("notify") or ()),
    )
    try:
        Submit(customer.phone, "", 0).encode()
    except PduError as error:
        raise ValueError(f"account {account}: {error}") from None
    if customer.lang not in LANGUAGES:
        raise ValueError(f"account {account}: lang {customer.lang!r} is none of {', '.join(LANGUAGES)}")
    return customer


def _one(conn: Connection, condition: ColumnElement[bool]) -> Customer | None:
    row = conn.execute(select(_customers).where(condition)).one_or_none()
    return None if row is None else _stored(row._mapping)


def _stored(row: RowMapping) -> Customer:
    return Customer(**{**row, "notify": tuple(row["notify"])})
