"""An event from metering is stored, its alarms derived and its messages queued in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.protocols import handover
from meterseal.protocols.handover import Finding, HandoverError
from meterseal.store import alarms, diagnostics, disowned, ingest
from meterseal.store.alarms import Alarm
from meterseal.store.applied import Applied
from meterseal.store.events import Outcome
from meterseal.systems.marketing import customers
from meterseal.systems.marketing.messages import announce, announce_finding

__all__ = ["load_customers", "refuse", "take", "take_finding"]


def take(conn: Connection, event: SealEvent, staff: Iterable[str], at: datetime) -> Applied:
    """Store `event` and queue its messages; a repetition changes nothing.

    An event of a seal in no customer's file is stored and alarmed like any other. One that metering had
    disowned and now passes on is the seal's after all: its key had been wrong.
    """
    believed = None
    if disowned.forget(conn, event.seal, event.counter, event.record):
        believed = alarms.clear_one(conn, Code.SEAL_AUTH_FAIL, event.seal, event.counter, at)
    applied = ingest.apply(conn, event, at)
    applied.note(cleared=believed)
    customer = customers.of_seal(conn, event.seal)
    if customer is None:
        diagnostics.count(conn, "unknown_seal", event.seal, at=at, raw=event.record)
        applied.note(raised=_raise_unknown(conn, event, at))
    announce(conn, applied, customer, staff, at)
    return applied


def take_finding(conn: Connection, finding: Finding, staff: Iterable[str], at: datetime) -> Applied:
    """Raise what metering found, and queue messages to the duty staff; a repetition changes nothing."""
    applied = ingest.apply_verdict(conn, finding.verdict, finding.detail, at)
    announce_finding(conn, finding.verdict, applied.raised, staff, at)
    applied.outcome = Outcome.NEW if applied.raised else Outcome.KNOWN
    return applied


def refuse(conn: Connection, body: bytes, error: HandoverError, at: datetime) -> None:
    """Keep a body that is neither event nor finding, so that nothing that arrived is lost."""
    diagnostics.count(conn, "bad_event", at=at, raw=body)
    diagnostics.keep(conn, "bad_event", handover.SOURCE, body, str(error), at)


def load_customers(conn: Connection, file: Iterable[customers.Customer], at: datetime) -> None:
    """Replace the customer file, and clear the alarms of unknown seals that it now lists."""
    known = list(file)
    customers.load(conn, known)
    seals = {customer.seal for customer in known}
    for alarm in alarms.active(conn, code=Code.UNKNOWN_DEVICE):
        if alarm.subject in seals:
            alarms.clear_one(conn, alarm.code, alarm.subject, alarm.counter, at)


def _raise_unknown(conn: Connection, event: SealEvent, at: datetime) -> Alarm | None:
    """Raise at most one active alarm a seal, since it concerns the file and not the event."""
    if alarms.active(conn, event.seal, Code.UNKNOWN_DEVICE):
        return None
    key = (Code.UNKNOWN_DEVICE, event.seal, event.counter)
    return alarms.raise_alarm(conn, *key, at, "in no customer's file")
