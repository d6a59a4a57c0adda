"""JSON API and pages show the same documents; pages add words and colours, but no facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent, event_document
from meterseal.octets.hexadecimal import hex_digits
from meterseal.store import alarms, diagnostics, events, outbox
from meterseal.store.alarms import Alarm
from meterseal.store.diagnostics import Kept
from meterseal.store.outbox import Item
from meterseal.systems.marketing import customers, messages
from meterseal.systems.marketing.customers import Customer
from meterseal.systems.marketing.messages import Message, record_number

__all__ = [
    "LATE",
    "Document",
    "alarm_list",
    "customer_file",
    "customer_list",
    "diagnostic_list",
    "event_list",
    "message_list",
    "seal",
    "seals",
]

Document = dict[str, Any]

#: An event that took longer from the seal to here is marked as reported late (补传).
LATE = timedelta(minutes=10)


def seals(conn: Connection) -> list[Document]:
    """Return every seal that reported or is in the customer file, by address."""
    newest = {event.seal: event for event in events.seals(conn)}
    owners = {customer.seal: customer for customer in customers.list_all(conn)}
    addresses = sorted(newest.keys() | owners.keys())
    return [_status(conn, address, newest.get(address), owners.get(address)) for address in addresses]


def seal(conn: Connection, address: str, limit: int) -> Document | None:
    """Return one seal with its history, the newest event first; None for an unknown seal."""
    newest = events.newest(conn, address)
    owner = customers.of_seal(conn, address)
    if newest is None and owner is None:
        return None
    return {**_status(conn, address, newest, owner), "events": event_list(conn, address, limit)}


def customer_list(conn: Connection) -> list[Document]:
    """Return the customer files, by account."""
    return [_customer(conn, customer) for customer in customers.list_all(conn)]


def customer_file(conn: Connection, account: str, limit: int) -> Document | None:
    """Return one customer's file with its seal's state and history; None for an unknown account."""
    customer = customers.of_account(conn, account)
    if customer is None:
        return None
    return {**_customer(conn, customer), "events": event_list(conn, customer.seal, limit)}


def event_list(conn: Connection, address: str | None, limit: int) -> list[Document]:
    """Return stored events, the newest first."""
    return [_event(event) for event in events.history(conn, address, limit)]


def alarm_list(conn: Connection, address: str | None, active: bool | None, limit: int) -> list[Document]:
    """Return alarms, the newest first; `active` chooses the active (True) or the cleared ones (False)."""
    rows = alarms.active(conn, address) if active else alarms.list_all(conn, address, limit=limit)
    chosen = [alarm for alarm in rows if active in (None, alarm.cleared_at is None)]
    return [_alarm(conn, alarm) for alarm in chosen[::-1][:limit]]


def message_list(conn: Connection, limit: int) -> list[Document]:
    """Return messages sent and waiting, the newest first."""
    return [_message(item) for item in outbox.history(conn, limit)]


def diagnostic_list(conn: Connection, limit: int) -> Document:
    """Return the diagnostics, and the bodies kept because they could not be read."""
    return {
        "diagnostics": [diagnostics.document(diagnostic) for diagnostic in diagnostics.list_all(conn)],
        "kept": [_kept(kept) for kept in diagnostics.kept(conn, limit)],
    }


def _status(conn: Connection, address: str, newest: SealEvent | None, customer: Customer | None) -> Document:
    verified = newest and (newest.received_at or newest.occurred_at)
    return {
        "seal": address,
        "state": newest.state.name.lower() if newest else "unknown",
        "loop_mv": newest and newest.loop_mv,
        "verified_at": verified and isoformat(verified),
        "account": customer and customer.account,
        "name": customer and customer.name,
        "meter": customer.meter if customer else newest and newest.meter,
        "event": newest and _event(newest),
        "alarms": [alarm.code.value for alarm in alarms.active(conn, address)],
    }


def _customer(conn: Connection, customer: Customer) -> Document:
    return {
        "account": customer.account,
        "name": customer.name,
        "phone": customer.phone,
        "meter": customer.meter,
        "lang": customer.lang,
        "seal": _status(conn, customer.seal, events.newest(conn, customer.seal), customer),
    }


def _event(event: SealEvent) -> Document:
    late = event.stored_at is not None and event.stored_at - event.occurred_at > LATE
    return {**event_document(event), "number": record_number(event), "late": late}


def _alarm(conn: Connection, alarm: Alarm) -> Document:
    event = events.find(conn, alarm.subject, alarm.counter)
    return {**alarms.document(alarm), "number": event and record_number(event)}


def _message(item: Item) -> Document:
    message = Message.decode(item.body)
    # An Apprise URL holds passwords.
    to = message.to if item.topic == messages.SMS else message.to.partition("://")[0] + "://…"
    return {
        "id": item.id,
        "channel": item.topic,
        "to": to,
        "text": message.text,
        "number": message.record,
        "account": message.account,
        "seal": message.seal,
        "counter": message.counter,
        "state": "waiting" if item.done_at is None else "sent",
        "created_at": isoformat(item.created_at),
        "sent_at": item.done_at and isoformat(item.done_at),
        "attempts": item.attempts,
        "last_error": item.last_error,
    }


def _kept(kept: Kept) -> Document:
    return {
        "id": kept.id,
        "what": kept.what,
        "origin": kept.origin,
        "raw": hex_digits(kept.raw),
        "reason": kept.reason,
        "stored_at": isoformat(kept.stored_at),
    }
