"""What each system has observed, read from its durable store while it runs: the basis of the report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent
from meterseal.sim.customer import network
from meterseal.store import alarms, events
from meterseal.store.database import Database, Schema
from meterseal.tools.demo.plan import LINKS, Plan
from sealchip.gsm.text import SIGN

__all__ = ["SYSTEMS", "Attack", "Observation", "Observer", "Seen"]

#: The systems that raise alarms.
SYSTEMS = ("meter", "terminal", "metering", "marketing")
#: Record number in a message to the customer: the id of the event in marketing.
_RECORD_NUMBER = re.compile(r"EV(\d+)")
#: Beginning of a message that a chip itself has sent.
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
        """Return the event as `demo --json` shows it; a hop that was not passed is null."""
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
    """Holds one attack on one seal, and by system the alarms that it raised."""

    attack: str
    seal: str
    named: dict[str, list[dict[str, object]]]


class Observer:
    """Looks into the stores of `plan` while their owners write.

    Each store is opened at the first look that finds it and stays open until `close`: a demo looks several
    times a second, and opening costs more than reading.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._opened: dict[str, Database] = {}

    def look(self) -> Observation:
        """Return what the stores contain now; one that does not exist yet contains nothing."""
        seen = Observation()
        for line in _chip_log(self._plan.store("chip")):
            at = datetime.fromisoformat(line["time"])
            _hop(seen, "chip", line["seal"], line["boot"], line["counter"], line["kind"], at)
        numbers: dict[int, SealEvent] = {}
        for system in SYSTEMS:
            for event in self._look_into(system, seen):
                if system == "marketing" and event.id is not None:
                    numbers[event.id] = event
        for message in self._inbox():
            _message(seen, message, numbers)
        return seen

    def close(self) -> None:
        """Close every store."""
        for database in self._opened.values():
            database.close()
        self._opened.clear()

    def _look_into(self, system: str, seen: Observation) -> list[SealEvent]:
        """Add the alarms and events of one system to `seen`; returns the events."""
        seen.alarms[system] = []
        database = self._database(system)
        if database is None:
            return []
        with database.reading() as conn:
            seen.alarms[system] = [alarms.document(alarm) for alarm in alarms.list_all(conn)]
            stored = events.history(conn, limit=None)
        for event in stored:
            assert event.stored_at is not None
            kind = event.kind.name.lower()
            _hop(seen, system, event.seal, event.boot, event.counter, kind, event.stored_at)
        return stored

    def _inbox(self) -> list[network.Received]:
        database = self._database("customer", network.SCHEMA)
        return [] if database is None else network.inbox(database)

    def _database(self, link: str, *parts: Schema) -> Database | None:
        path = self._plan.store(link)
        if link not in self._opened and path.exists():
            self._opened[link] = Database(path, *parts, read_only=True)
        return self._opened.get(link)


def _message(seen: Observation, message: network.Received, numbers: dict[int, SealEvent]) -> None:
    """Add one message on a phone; the marketing system's messages carry the id of their event."""
    number = _RECORD_NUMBER.search(message.text)
    event = numbers.get(int(number[1])) if number else None
    if event is not None:
        seen.events[event.seal, event.counter].hops.setdefault("customer", message.received_at)
    of_chip = _OF_CHIP.match(message.text)
    seen.messages.append(
        {
            "number": message.number,
            "text": message.text,
            "received_at": isoformat(message.received_at),
            "seal": event.seal if event else of_chip and of_chip[1],
            "counter": event.counter if event else None,
            "by": "chip" if of_chip else "marketing",
        }
    )


def _hop(seen: Observation, link: str, seal: str, boot: int, counter: int, kind: str, at: datetime) -> None:
    event = seen.events.setdefault((seal, counter), Seen(seal, boot, counter, kind, {}))
    # The chip's log may contain an event twice, once for each run of its process; the first one counts.
    event.hops.setdefault(link, at)


def _chip_log(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        # A line without its end is still being written, or its process was killed while writing.
        if line.endswith("\n") and (entry := json.loads(line))["what"] == "event":
            yield entry
