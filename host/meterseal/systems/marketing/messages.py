"""An event is announced to customer and duty staff, each over their own channels.

Both get their messages at the same time, with the same record number. A message is put into the
outbox in the transaction that stores its event; its key makes it one message however often the event
comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from meterseal.clock import CST
from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.record import Flags, Kind, StateClass
from meterseal.domain.verdict import RecordVerdict
from meterseal.i18n import catalogue
from meterseal.store import events, outbox
from meterseal.store.alarms import Alarm
from meterseal.store.applied import Applied
from meterseal.systems.marketing.customers import Customer
from meterseal.systems.marketing.sms_sequence import next_sequence

__all__ = ["APPRISE", "SMS", "Message", "announce", "announce_finding", "record_number", "wording"]

#: Topics of the outbox, one for each channel.
SMS, APPRISE = "sms", "apprise"
_CUSTOMER_ALARMS = frozenset({Code.SEAL_OPEN_UNMATCHED, Code.SEAL_FLAPPING})
_ABNORMAL = frozenset({StateClass.LOW, StateClass.HIGH, StateClass.MISMATCH})


@dataclass(frozen=True, slots=True)
class Message:
    """A message goes to one recipient, a phone number or an Apprise URL.

    `sequence` counts the messages to a phone number; every attempt to send this one uses it.
    """

    to: str
    title: str
    text: str
    record: str
    seal: str
    counter: int
    account: str | None
    sequence: int = 0

    def encode(self) -> bytes:
        """Return the outbox body."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def decode(cls, body: bytes) -> Message:
        """Return the message in an outbox body."""
        return cls(**json.loads(body))


def record_number(event: SealEvent) -> str:
    """Return the record number (记录号) of a stored event, as messages and pages print it."""
    return f"EV{event.id:06d}"


def wording(event: SealEvent, customer: Customer) -> str:
    """Return the customer's text about an opening or a closing, which fits into two SMS."""
    lang = customer.lang
    when = "time.before" if Flags.AGE_UNKNOWN in event.flags else "time.at"
    return catalogue.text(
        _text_key(event),
        lang,
        tail=customer.account[-4:],
        time=catalogue.text(when, lang, at=event.occurred_at.astimezone(CST)),
        state=catalogue.text(f"state.{event.state.name.lower()}", lang),
        record=record_number(event),
    )


def announce(
    conn: Connection, applied: Applied, customer: Customer | None, staff: Iterable[str], at: datetime
) -> None:
    """Queue the messages about a new event and the alarms raised with it.

    The customer gets messages about openings, closings and flapping, and about a power-up only when it finds
    the seal opened.
    An event that comes late may show that a later one was an opening: that one is announced then.
    """
    event = applied.event
    if event is None:
        return
    alarms: dict[int, list[Alarm]] = {}
    for alarm in applied.raised:
        alarms.setdefault(alarm.counter, []).append(alarm)
    for counter in sorted({event.counter, *alarms}):
        subject = event if counter == event.counter else events.find(conn, event.seal, counter)
        if subject is None:
            continue
        here = alarms.get(counter, [])
        is_alarming = any(alarm.code in _CUSTOMER_ALARMS for alarm in here)
        is_closing = subject is applied.new_event and subject.kind is Kind.CLOSED
        if customer is not None and (is_alarming or is_closing):
            text = wording(subject, customer)
            _queue_sms(conn, subject, customer, text, at)
            _queue_apprise(conn, subject, customer, (*customer.notify, *staff), customer.lang, text, at)
        elif here:
            text = _staff_text(subject, here)
            _queue_apprise(conn, subject, customer, staff, catalogue.LANGUAGES[0], text, at)


def announce_finding(
    conn: Connection, verdict: RecordVerdict, raised: list[Alarm], staff: Iterable[str], at: datetime
) -> None:
    """Queue for the duty staff what metering found about a record; it does not concern the customer."""
    if not raised:
        return
    lang = catalogue.LANGUAGES[0]
    text = catalogue.text(
        "notify.finding", lang, seal=verdict.seal, alarms=_names(raised), counter=verdict.counter
    )
    number = f"{verdict.seal}-{verdict.counter}"
    title = catalogue.text("notify.title", lang, record=number)
    for url in staff:
        message = Message(url, title, text, number, verdict.seal, verdict.counter, None)
        _put_apprise(conn, message, at)


def _text_key(event: SealEvent) -> str:
    if event.kind is Kind.FLAPPING:
        return "sms.flapping"
    if event.state in _ABNORMAL:
        return "sms.abnormal"
    return "sms.resealed" if event.kind is Kind.CLOSED else "sms.opened"


def _staff_text(event: SealEvent, alarms: list[Alarm]) -> str:
    lang = catalogue.LANGUAGES[0]
    return catalogue.text(
        "notify.staff", lang, seal=event.seal, alarms=_names(alarms), record=record_number(event)
    )


def _names(alarms: Iterable[Alarm]) -> str:
    lang = catalogue.LANGUAGES[0]
    return ";".join(catalogue.text(f"alarm.{alarm.code}", lang) for alarm in alarms)


def _queue_sms(conn: Connection, event: SealEvent, customer: Customer, text: str, at: datetime) -> None:
    sequence = next_sequence(conn, customer.phone)
    message = _message(event, customer, customer.phone, customer.lang, text, sequence)
    outbox.put(conn, SMS, f"{event.seal}-{event.counter}", message.encode(), at)


def _queue_apprise(
    conn: Connection,
    event: SealEvent,
    customer: Customer | None,
    urls: Iterable[str],
    lang: str,
    text: str,
    at: datetime,
) -> None:
    for url in urls:
        _put_apprise(conn, _message(event, customer, url, lang, text), at)


def _put_apprise(conn: Connection, message: Message, at: datetime) -> None:
    # A URL may hold a password and be long: a digest stands for it, and for the text.
    digest = sha256(f"{message.to} {message.text}".encode()).hexdigest()[:16]
    outbox.put(conn, APPRISE, f"{message.seal}-{message.counter}-{digest}", message.encode(), at)


def _message(
    event: SealEvent, customer: Customer | None, to: str, lang: str, text: str, sequence: int = 0
) -> Message:
    record = record_number(event)
    title = catalogue.text("notify.title", lang, record=record)
    account = customer.account if customer else None
    return Message(to, title, text, record, event.seal, event.counter, account, sequence)
