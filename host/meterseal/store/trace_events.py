"""The trace lines of events and alarms, alike for every system with a store."""

from __future__ import annotations

from collections.abc import Iterable

from meterseal.domain.event import SealEvent
from meterseal.store.alarms import Alarm
from meterseal.trace import Trace

__all__ = ["tell_alarms", "tell_event"]


def tell_event(trace: Trace, event: SealEvent, **more: object) -> None:
    """An event is stored now; `more` is what this system alone knows of it."""
    trace(
        "event",
        seal=event.seal,
        boot=event.boot,
        counter=event.counter,
        kind=event.kind.name.lower(),
        state=event.state.name.lower(),
        **more,
    )


def tell_alarms(trace: Trace, raised: Iterable[Alarm], cleared: Iterable[Alarm]) -> None:
    """Alarms were raised and cleared, once that is durable."""
    for alarms, is_raised in ((raised, True), (cleared, False)):
        for alarm in alarms:
            said = {"code": alarm.code.value, "seal": alarm.subject, "counter": alarm.counter}
            trace("alarm", **said, raised=is_raised, detail=alarm.detail)
