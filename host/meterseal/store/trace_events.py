"""Every system with a store traces events and alarms in the same lines."""

from __future__ import annotations

from meterseal.domain.event import SealEvent
from meterseal.store.applied import Applied
from meterseal.trace import Trace

__all__ = ["trace_alarms", "trace_applied", "trace_event"]


def trace_applied(trace: Trace, applied: Applied, **more: object) -> None:
    """Trace what a durable transaction did; `more` adds fields to the line of a new event."""
    if applied.new_event is not None:
        trace_event(trace, applied.new_event, **more)
    trace_alarms(trace, applied)


def trace_event(trace: Trace, event: SealEvent, **more: object) -> None:
    """Trace a stored event."""
    trace(
        "event",
        seal=event.seal,
        boot=event.boot,
        counter=event.counter,
        kind=event.kind.name.lower(),
        state=event.state.name.lower(),
        **more,
    )


def trace_alarms(trace: Trace, applied: Applied) -> None:
    """Trace the alarms that were raised and cleared."""
    for alarms, is_raised in ((applied.raised, True), (applied.cleared, False)):
        for alarm in alarms:
            about = {"code": alarm.code.value, "seal": alarm.subject, "counter": alarm.counter}
            trace("alarm", **about, raised=is_raised, detail=alarm.detail)
