"""Metering hands seal events and findings to marketing as CloudEvents 1.0 in structured JSON.

The bodies are defined here alone; the sender encodes, the receiver decodes. The signed record inside is the
event; the other fields repeat its content for readers, and a body that contradicts its record is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_structured_event, to_structured_event
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.v1.event import CloudEvent

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent, event_document
from meterseal.domain.layout import LayoutError
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits

__all__ = [
    "CONTENT_TYPE",
    "FINDING_TYPE",
    "PATH",
    "SOURCE",
    "TYPE",
    "Finding",
    "HandoverError",
    "decode",
    "encode",
    "encode_finding",
    "key",
]

#: Path at which marketing accepts the body, by POST; 2xx means that the event is stored there.
PATH = "/events"
CONTENT_TYPE = "application/cloudevents+json"
SOURCE = "/meterseal/metering"
TYPE = "meterseal.seal.event.v1"
FINDING_TYPE = "meterseal.seal.finding.v1"


class HandoverError(ValueError):
    """The body is not a seal event; the message states what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Metering has found this about a record; `detail` gives the reason in a sentence."""

    verdict: RecordVerdict
    detail: str
    found_at: datetime


def key(event: SealEvent) -> str:
    """Return the CloudEvents id, the same for every repetition of one event."""
    return f"{event.seal}-{event.counter}"


def encode(event: SealEvent) -> bytes:
    """Return the body for one event, to be sent as `CONTENT_TYPE`; the same event gives the same bytes."""
    attributes = {
        "id": key(event),
        "source": SOURCE,
        "type": TYPE,
        "subject": event.seal,
        "time": event.occurred_at,
        "datacontenttype": "application/json",
    }
    return to_structured_event(CloudEvent(attributes, event_document(event))).body


def encode_finding(finding: Finding) -> bytes:
    """Return the body for one finding."""
    verdict = finding.verdict
    attributes = {
        "id": verdict.key,
        "source": SOURCE,
        "type": FINDING_TYPE,
        "subject": verdict.seal,
        "time": finding.found_at,
        "datacontenttype": "application/json",
    }
    data = {
        "seal": verdict.seal,
        "counter": verdict.counter,
        "finding": verdict.code.name.lower(),
        "digest": hex_digits(verdict.digest),
        "detail": finding.detail,
        "found_at": isoformat(finding.found_at),
    }
    return to_structured_event(CloudEvent(attributes, data)).body


def decode(body: bytes) -> SealEvent | Finding:
    """Return the event (its `stored_at` is the sender's) or finding; `HandoverError` names what is wrong."""
    try:
        message = from_structured_event(HTTPMessage({"content-type": CONTENT_TYPE}, body))
        attributes, data = message.get_attributes(), message.get_data()
    except (ValueError, TypeError, AttributeError, BaseCloudEventException) as error:
        raise HandoverError(f"not a CloudEvent in JSON: {error}") from error
    if attributes.get("type") not in (TYPE, FINDING_TYPE):
        raise HandoverError(f"type {attributes.get('type')!r}: expected {TYPE!r} or {FINDING_TYPE!r}")
    if not isinstance(data, dict):
        raise HandoverError("data: expected a JSON object")
    found = _event(data) if attributes["type"] == TYPE else _finding(data)
    inside = key(found) if isinstance(found, SealEvent) else found.verdict.key
    if inside != attributes.get("id"):
        raise HandoverError(f"id {attributes.get('id')!r}: what is inside is {inside!r}")
    return found


def _finding(data: Mapping[str, Any]) -> Finding:
    try:
        verdict = RecordVerdict(
            bcd.address(bcd.address_bytes(data["seal"])),
            int(data["counter"]),
            VerdictCode[data["finding"].upper()],
            bytes.fromhex(data["digest"]),
        )
        return Finding(verdict, str(data["detail"]), _time(data["found_at"]))
    except KeyError as error:
        raise HandoverError(f"data: {error} is missing or unknown") from error
    except (AttributeError, ValueError, TypeError) as error:
        raise HandoverError(f"data: {error}") from error


def _event(data: Mapping[str, Any]) -> SealEvent:
    try:
        event = SealEvent.from_record(
            bytes.fromhex(data["record"]),
            meter=_text(data, "meter"),
            terminal=_text(data, "terminal"),
            occurred_at=_time(data["occurred_at"]),
            received_at=data["received_at"] and _time(data["received_at"]),
            stored_at=data["stored_at"] and _time(data["stored_at"]),
        )
    except KeyError as error:
        raise HandoverError(f"data: field {error} is missing") from error
    except LayoutError as error:
        raise HandoverError(f"record: {error}") from error
    except (ValueError, TypeError) as error:
        raise HandoverError(f"data: {error}") from error
    expected = event_document(event)
    for name in ("seal", "boot", "counter", "kind", "state", "loop_mv", "flags", "excursions"):
        if data.get(name) != expected[name]:
            raise HandoverError(f"{name} {data.get(name)!r}: the record says {expected[name]!r}")
    return event


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    return at


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data[name]
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{name} {value!r} is not text")
