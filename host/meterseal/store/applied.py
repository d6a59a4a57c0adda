"""`Applied` collects what one transaction did, to be traced and answered once it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from meterseal.domain.event import SealEvent
from meterseal.store.alarms import Alarm
from meterseal.store.events import Outcome

__all__ = ["Applied"]


@dataclass(slots=True)
class Applied:
    """One transaction stored an event, raised alarms and cleared alarms.

    `event` is the event as it is stored now. An alarm that a later event had ended already is in both lists.
    `own` is the seal's own record that took the place of a disowned one. `understood` is False for a report
    that is kept but cannot be interpreted, so that sending it again would not help.
    """

    event: SealEvent | None = None
    outcome: Outcome = Outcome.KNOWN
    raised: list[Alarm] = field(default_factory=list)
    cleared: list[Alarm] = field(default_factory=list)
    own: SealEvent | None = None
    understood: bool = True

    @property
    def new_event(self) -> SealEvent | None:
        """Return the event, if this transaction stored it."""
        return self.event if self.outcome is Outcome.NEW else None

    def note(self, *, raised: Alarm | None = None, cleared: Alarm | None = None) -> None:
        """Add an alarm to the list of raised or of cleared ones; None adds nothing."""
        if raised is not None:
            self.raised.append(raised)
        if cleared is not None:
            self.cleared.append(cleared)

    def include(self, other: Applied) -> None:
        """Add the alarms that another step of the same transaction raised and cleared."""
        self.raised += other.raised
        self.cleared += other.cleared
