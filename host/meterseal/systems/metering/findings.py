"""What this system found about a record: alarmed here, and queued for all others who raise alarms.

Down to terminal and meter goes a write that the terminal passes on (`verdict_downlink.py`), up to marketing a
CloudEvent (`delivery.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from meterseal.domain.alarm_rules import FOUND
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.protocols import handover
from meterseal.store import outbox
from meterseal.systems.metering.changes import Changes
from meterseal.systems.metering.tables import DOWNLINK, MARKETING

__all__ = ["MeterWrite", "Route", "issue"]


@dataclass(frozen=True, slots=True)
class Route:
    """The meter that reported the record, and how it is reached; `point` None where it is not known."""

    meter: str
    terminal: str
    point: int | None


@dataclass(frozen=True, slots=True)
class MeterWrite:
    """One write to one meter, as the outbox keeps it; `verdict` in hex."""

    meter: str
    terminal: str
    point: int
    verdict: str

    def encode(self) -> bytes:
        """The outbox body."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, body: bytes) -> MeterWrite:
        """The write in an outbox body."""
        return cls(**json.loads(body))


def issue(changes: Changes, code: VerdictCode, record: bytes, detail: str, route: Route) -> None:
    """Raise the alarm and queue the finding for everybody else; a repetition changes nothing."""
    verdict = RecordVerdict.on(record, code)
    changes.raise_alarm(FOUND[code], verdict.seal, verdict.counter, detail)
    body = handover.encode_finding(handover.Finding(verdict, detail, changes.at))
    outbox.put(changes.conn, MARKETING, verdict.key, body, changes.at)
    if route.point is not None:
        write = MeterWrite(route.meter, route.terminal, route.point, verdict.encode().hex())
        outbox.put(changes.conn, DOWNLINK, f"{route.meter}-{verdict.key}", write.encode(), changes.at)
