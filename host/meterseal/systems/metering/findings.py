"""A finding about a record raises an alarm here and is queued for the other systems that raise alarms.

Terminal and meter get a write that the terminal passes on (`verdict_downlink.py`), marketing gets a
CloudEvent (`delivery.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from meterseal.domain.alarm_rules import FOUND
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.protocols import handover
from meterseal.store import outbox
from meterseal.systems.metering.tables import DOWNLINK, MARKETING
from meterseal.systems.metering.unit_of_work import UnitOfWork

__all__ = ["MeterWrite", "Route", "issue"]


@dataclass(frozen=True, slots=True)
class Route:
    """A route leads to the meter that reported the record; `point` is None where it is not known."""

    meter: str
    terminal: str
    point: int | None


@dataclass(frozen=True, slots=True)
class MeterWrite:
    """A write of a verdict to one meter, as the outbox keeps it, has the verdict in hexadecimal digits."""

    meter: str
    terminal: str
    point: int
    verdict: str

    def encode(self) -> bytes:
        """Return the outbox body."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, body: bytes) -> MeterWrite:
        """Return the write in an outbox body."""
        return cls(**json.loads(body))


def issue(work: UnitOfWork, code: VerdictCode, record: bytes, detail: str, route: Route) -> None:
    """Raise the alarm and queue the finding for the other systems; a repetition changes nothing."""
    verdict = RecordVerdict.on(record, code)
    work.raise_alarm(FOUND[code], verdict.seal, verdict.counter, detail)
    body = handover.encode_finding(handover.Finding(verdict, detail, work.at))
    outbox.put(work.conn, MARKETING, verdict.key, body, work.at)
    if route.point is not None:
        write = MeterWrite(route.meter, route.terminal, route.point, verdict.encode().hex())
        outbox.put(work.conn, DOWNLINK, f"{route.meter}-{verdict.key}", write.encode(), work.at)
