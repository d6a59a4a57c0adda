"""Pure rules decide which alarms an event raises and clears, the same in all four systems.

An event is a fact; alarms are derived from events. The active alarms depend on the set of events alone,
not on the order of their arrival (`test_active_alarms_depend_on_the_events_not_on_their_order`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from meterseal.domain.record import EXCURSIONS_MAX, Flags, Kind, StateClass
from sealchip.interface import VerdictCode

if TYPE_CHECKING:
    from meterseal.domain.event import SealEvent

__all__ = ["FOUND", "SEVERITY", "Clear", "Code", "Raise", "Severity", "cleared_by", "derive_alarms"]


class Severity(StrEnum):
    """The severity states how soon an operator has to act on an alarm."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    #: Ends other alarms and does not count as one itself.
    CLEARS = "clears"


class Code(StrEnum):
    """Each alarm has a code, by which the catalogue has its text."""

    #: Opened, and no authorised work order was found.
    SEAL_OPEN_UNMATCHED = "SEAL_OPEN_UNMATCHED"
    #: Opened as a work order had announced.
    SEAL_OPEN_AUTHORISED = "SEAL_OPEN_AUTHORISED"
    #: Closed again, and measured as sealed.
    SEAL_RESEALED = "SEAL_RESEALED"
    #: The loop opens and closes too often to record each change.
    SEAL_FLAPPING = "SEAL_FLAPPING"
    #: Sealing was requested while the loop was not closed.
    SEAL_REFUSED = "SEAL_REFUSED"
    #: Wrong passwords: the seal refuses writes for a time.
    SEAL_LOCKED = "SEAL_LOCKED"
    #: A write with the password changed the seal's identity.
    SEAL_PROVISIONED = "SEAL_PROVISIONED"
    #: Loop voltage below the window.
    SEAL_LOW = "SEAL_LOW"
    #: Loop voltage above the window.
    SEAL_HIGH = "SEAL_HIGH"
    #: The pattern received over the loop differs from the one sent.
    SEAL_MISMATCH = "SEAL_MISMATCH"
    #: The seal was without power for an unknown time.
    SEAL_UNOBSERVED = "SEAL_UNOBSERVED"
    #: Three polls unanswered: state unknown.
    SEAL_COMMS_LOST = "SEAL_COMMS_LOST"
    #: Records are missing before this counter.
    SEAL_COUNTER_GAP = "SEAL_COUNTER_GAP"
    #: The record's authentication code is wrong.
    SEAL_AUTH_FAIL = "SEAL_AUTH_FAIL"
    #: An old record was replayed.
    SEAL_REPLAY = "SEAL_REPLAY"
    #: Two different contents under one counter; both are kept.
    EVIDENCE_CONFLICT = "EVIDENCE_CONFLICT"
    #: The seal detected a fault in itself.
    SEAL_SELFTEST = "SEAL_SELFTEST"
    #: The meter's clock is wrong.
    CLOCK_DRIFT = "CLOCK_DRIFT"
    #: The seal that reported is not registered, or not for this meter.
    UNKNOWN_DEVICE = "UNKNOWN_DEVICE"
    #: The terminal that logged in is not registered.
    UNKNOWN_TERMINAL = "UNKNOWN_TERMINAL"
    #: A terminal has been silent for too long.
    TERMINAL_LOST = "TERMINAL_LOST"
    #: A meter's standard cover alarm without any seal record that explains it.
    COVER_OPEN = "COVER_OPEN"
    #: A record arrived that cannot be read; its bytes are kept.
    RECORD_UNREADABLE = "RECORD_UNREADABLE"


SEVERITY = {
    Code.SEAL_OPEN_UNMATCHED: Severity.CRITICAL,
    Code.SEAL_OPEN_AUTHORISED: Severity.MINOR,
    Code.SEAL_RESEALED: Severity.CLEARS,
    Code.SEAL_FLAPPING: Severity.MAJOR,
    Code.SEAL_REFUSED: Severity.MINOR,
    Code.SEAL_LOCKED: Severity.MAJOR,
    Code.SEAL_PROVISIONED: Severity.WARNING,
    Code.SEAL_LOW: Severity.MAJOR,
    Code.SEAL_HIGH: Severity.CRITICAL,
    Code.SEAL_MISMATCH: Severity.CRITICAL,
    Code.SEAL_UNOBSERVED: Severity.MAJOR,
    Code.SEAL_COMMS_LOST: Severity.MAJOR,
    Code.SEAL_COUNTER_GAP: Severity.CRITICAL,
    Code.SEAL_AUTH_FAIL: Severity.CRITICAL,
    Code.SEAL_REPLAY: Severity.CRITICAL,
    Code.EVIDENCE_CONFLICT: Severity.CRITICAL,
    Code.SEAL_SELFTEST: Severity.MAJOR,
    Code.CLOCK_DRIFT: Severity.WARNING,
    Code.UNKNOWN_DEVICE: Severity.MAJOR,
    Code.UNKNOWN_TERMINAL: Severity.MAJOR,
    Code.TERMINAL_LOST: Severity.MAJOR,
    Code.COVER_OPEN: Severity.CRITICAL,
    Code.RECORD_UNREADABLE: Severity.MAJOR,
}

#: Loop classes that have an alarm of their own.
_ABNORMAL = {
    StateClass.LOW: Code.SEAL_LOW,
    StateClass.HIGH: Code.SEAL_HIGH,
    StateClass.MISMATCH: Code.SEAL_MISMATCH,
}
#: Alarm for each finding of a master station about a record.
FOUND = {VerdictCode.AUTH_FAIL: Code.SEAL_AUTH_FAIL, VerdictCode.REPLAY: Code.SEAL_REPLAY}
#: Classes measured as not sealed. *Unknown* proves neither.
_NOT_SEALED = frozenset({StateClass.OPEN, *_ABNORMAL})
#: Alarms that end once the loop is proved sealed.
_ENDED_BY_SEALED = frozenset(
    {Code.SEAL_OPEN_UNMATCHED, Code.SEAL_FLAPPING, Code.SEAL_REFUSED, *_ABNORMAL.values()}
)
_NONE: frozenset[Code] = frozenset()


@dataclass(frozen=True, slots=True)
class Raise:
    """This effect raises `code` for the event at hand."""

    code: Code
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    """This effect clears `codes` that earlier events of the same seal raised."""

    codes: frozenset[Code]


def derive_alarms(event: SealEvent, previous: SealEvent | None) -> list[Raise | Clear]:
    """Return what `event` raises and clears, given the known event with the next lower counter.

    Without a previous event, a boot raises no alarm for an open loop or an unobserved time: a seal that is
    new here has not been applied yet (`test_the_first_boot_with_an_open_loop_raises_nothing`).
    """
    effects: list[Raise | Clear] = []
    if _is_opening(event, previous):
        effects.append(Raise(Code.SEAL_OPEN_UNMATCHED, _how_opened(event, previous)))
    if event.state in _ABNORMAL:
        effects.append(Raise(_ABNORMAL[event.state], _loop(event)))
    effects += _by_kind(event)
    if previous is not None:
        if event.kind is Kind.BOOT and Flags.UNOBSERVED in event.flags:
            effects.append(Raise(Code.SEAL_UNOBSERVED, _unobserved(event, previous)))
        missing = event.counter - previous.counter - 1
        if missing > 0:
            jump = f"counter {previous.counter} to {event.counter}, {missing} missing"
            effects.append(Raise(Code.SEAL_COUNTER_GAP, jump))
    if codes := cleared_by(event):
        effects.append(Clear(codes))
    return effects


def cleared_by(event: SealEvent) -> frozenset[Code]:
    """Return the codes that `event` ends. A boot with the loop sealed ends an opening as a closing does."""
    return _ENDED_BY_SEALED if event.proves_sealed else _NONE


def _is_opening(event: SealEvent, previous: SealEvent | None) -> bool:
    if event.kind is Kind.OPENED:
        return True
    # The opening itself was not recorded, for want of power or because its record is missing.
    return event.state in _NOT_SEALED and previous is not None and previous.state not in _NOT_SEALED


def _how_opened(event: SealEvent, previous: SealEvent | None) -> str:
    if event.kind is Kind.OPENED or previous is None:
        return _loop(event)
    found = "power-up" if event.kind is Kind.BOOT else "next record"
    return f"{_loop(event)}, found by the {found}; {previous.state.name.lower()} before"


def _by_kind(event: SealEvent) -> list[Raise | Clear]:
    match event.kind:
        case Kind.FLAPPING:
            count = f"{event.excursions}{' or more' * (event.excursions == EXCURSIONS_MAX)}"
            detail = f"changes too often to tell each; {count} excursions counted; {_loop(event)}"
            return [Raise(Code.SEAL_FLAPPING, detail)]
        case Kind.SEALING_REFUSED:
            return [Raise(Code.SEAL_REFUSED, f"asked to seal; {_loop(event)}")]
        case Kind.LOCKED_OUT:
            return [Raise(Code.SEAL_LOCKED, "three wrong passwords; writes are refused for 24 h")]
        case Kind.PROVISIONED:
            return [Raise(Code.SEAL_PROVISIONED, "a write with the password was taken")]
    return []


def _unobserved(event: SealEvent, previous: SealEvent) -> str:
    before, after = previous.state.name.lower(), event.state.name.lower()
    found = f"{after} before and after" if before == after else f"{before} before, {after} after"
    return f"no power for an unknown time, boot {previous.boot} to {event.boot}; {found}"


def _loop(event: SealEvent) -> str:
    measured = "not measured" if event.loop_mv is None else f"{event.loop_mv} mV"
    return f"loop {event.state.name.lower()}, {measured}"
