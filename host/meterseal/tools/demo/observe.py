"""What each system saw, read from its durable store while it runs: the truth that the demo reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent
from meterseal.sim.customer import network
from meterseal.store import alarms, events
from meterseal.store.database import Database
from meterseal.tools.demo.plan import LINKS, Plan
from sealchip.gsm.text import SIGN

__all__ = ["SYSTEMS", "Attack", "Observation", "Seen", "observe"]

#: The systems that alarm.
SYSTEMS = ("meter", "terminal", "metering", "marketing")
#: Record number in a message to the customer: the id of the event in marketing.
_RECORD_NUMBER = re.compile(r"EV(\d+)")
#: How a message of a chip itself begins.
_OF_CHIP = re.compile(rf"{SIGN}(\d{{12}}) ")


@dataclass(frozen=True, slots=True)
class Seen:
    """One event and when each link had it; `hops` has no entry where a link has not seen it."""

    seal: str
    boot: int
    counter: int
    kind: str
    hops: dict[str, datetime]

    def document(self) -> dict[str, Any]:
        """As `demo --json` shows it: a hop that was not passed is null."""
        hops = {link: isoformat(self.hops[link]) if link in self.hops else None for link in LINKS}
        return {
            "seal": self.seal,
            "boot": self.boot,
            "counter": self.counter,
            "kind": self.kind,
            "hops": hops,
        }


@dataclass(slots=True)
class Observation:
    """All events by (seal, counter), alarms by system, messages on the phones."""

    events: dict[tuple[str, int], Seen] = field(default_factory=dict)
    alarms: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    messages: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack on one seal, and by system the alarms that it raised."""

    attack: str
    seal: str
    named: dict[str, list[dict[str, object]]]


def observe(plan: Plan) -> Observation:
    """What is known now. A store that does not exist yet has nothing in it."""
    seen = Observation()
    for line in _chip_log(plan.store("chip")):
        _hop(seen, "chip", line["seal"], line["boot"], line["counter"], line["kind"], _time(line["time"]))
    numbers: dict[int, SealEvent] = {}
    for system in SYSTEMS:
        seen.alarms[system] = []
        with _reading(plan.store(system)) as conn:
            if conn is None:
                continue
            seen.alarms[system] = [alarms.document(alarm) for alarm in alarms.every(conn)]
            for event in events.history(conn, limit=None):
                assert event.stored_at is not None
                _hop(
                    seen,
                    system,
                    event.seal,
                    event.boot,
                    event.counter,
                    event.kind.name.lower(),
                    event.stored_at,
                )
                if system == "marketing" and event.id is not None:
                    numbers[event.id] = event
    for message in _inbox(plan.store("customer")):
        number = _RECORD_NUMBER.search(message.text)
        told = numbers.get(int(number[1])) if number else None
        if told is not None:
            seen.events[told.seal, told.counter].hops.setdefault("customer", message.received_at)
        of_chip = _OF_CHIP.match(message.text)
        seen.messages.append(
            {
                "number": message.number,
                "text": message.text,
                "received_at": isoformat(message.received_at),
                "seal": told.seal if told else of_chip and of_chip[1],
                "counter": told.counter if told else None,
                "by": "chip" if of_chip else "marketing",
            }
        )
    return seen


def _hop(seen: Observation, link: str, seal: str, boot: int, counter: int, kind: str, at: datetime) -> None:
    event = seen.events.setdefault((seal, counter), Seen(seal, boot, counter, kind, {}))
    # The chip's log may tell an event twice, once for each life of its process; the first is the event.
    event.hops.setdefault(link, at)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _chip_log(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        # A line without its end is still being written, or its process was killed in the middle.
        if line.endswith("\n") and (entry := json.loads(line))["what"] == "event":
            yield entry


def _inbox(path: Path) -> list[network.Received]:
    if not path.exists():
        return []
    database = Database(path, network.STORE_PART, read_only=True)
    try:
        return network.inbox(database)
    finally:
        database.close()


@contextmanager
def _reading(path: Path) -> Iterator[Connection | None]:
    if not path.exists():
        yield None
        return
    database = Database(path, read_only=True)
    try:
        with database.reading() as conn:
            yield conn
    finally:
        database.close()
