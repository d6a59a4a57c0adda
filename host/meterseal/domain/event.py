"""One event of a seal as a system knows it: the signed record, and where and when it was received."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from meterseal.clock import isoformat
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.octets.hexadecimal import hex_digits

__all__ = ["SealEvent", "event_document", "record_fields"]


@dataclass(frozen=True, slots=True)
class SealEvent:
    """One event of a seal has the record that reports it. All times are aware.

    `occurred_at` and `received_at` are the meter's (to the second), `stored_at` is this system's;
    `terminal` is the one that forwarded it (`440106:1`), where a terminal did.
    """

    seal: str
    boot: int
    counter: int
    kind: Kind
    state: StateClass
    loop_mv: int | None
    flags: Flags
    excursions: int
    record: bytes
    #: The same record, decoded once and for all.
    decoded: SealRecord
    meter: str | None
    occurred_at: datetime
    received_at: datetime | None
    terminal: str | None = None
    stored_at: datetime | None = None
    id: int | None = None

    @classmethod
    def from_record(
        cls,
        record: bytes,
        *,
        occurred_at: datetime,
        meter: str | None = None,
        received_at: datetime | None = None,
        terminal: str | None = None,
        stored_at: datetime | None = None,
        id: int | None = None,
    ) -> SealEvent:
        """Return the event in a 38-byte seal record; `LayoutError` when the record cannot be read."""
        decoded = SealRecord.decode(record)
        return cls(
            seal=decoded.seal,
            boot=decoded.boot,
            counter=decoded.counter,
            kind=decoded.kind,
            state=decoded.state,
            loop_mv=decoded.loop_mv,
            flags=decoded.flags,
            excursions=decoded.excursions,
            record=record,
            decoded=decoded,
            meter=meter,
            occurred_at=occurred_at,
            received_at=received_at,
            terminal=terminal,
            stored_at=stored_at,
            id=id,
        )

    @property
    def proves_sealed(self) -> bool:
        """Whether the loop was sealed and stable; while it flaps, a moment of *sealed* proves nothing."""
        return self.state is StateClass.SEALED and self.kind is not Kind.FLAPPING

    @property
    def fact(self) -> bytes:
        """Return what two copies of one event have in common, as record bytes."""
        return self.decoded.fact.encode()


def event_document(event: SealEvent) -> dict[str, object]:
    """Return the event as every JSON document has it: names in lower case, bytes in hex, times with zone."""
    return record_fields(event) | {
        "record": hex_digits(event.record),
        "meter": event.meter,
        "terminal": event.terminal,
        "occurred_at": isoformat(event.occurred_at),
        "received_at": event.received_at and isoformat(event.received_at),
        "stored_at": event.stored_at and isoformat(event.stored_at),
    }


def record_fields(event: SealEvent | SealRecord) -> dict[str, object]:
    """Return the part of the document that comes from the record itself."""
    return {
        "seal": event.seal,
        "boot": event.boot,
        "counter": event.counter,
        "kind": event.kind.name.lower(),
        "state": event.state.name.lower(),
        "loop_mv": event.loop_mv,
        "flags": [flag.name.lower() for flag in Flags if flag in event.flags and flag.name],
        "excursions": event.excursions,
    }
