"""What one transaction did, to be traced and answered once it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from meterseal.domain.event import SealEvent
from meterseal.store.alarms import Alarm
from meterseal.store.events import Outcome

__all__ = ["Applied"]


@dataclass(slots=True)
class Applied:
    """The event as it is stored now, and what became of the alarms.

    An alarm that a later event had ended already is in both lists. `own` is the seal's own record that took
    the place of a disowned one. `understood` is False for a report that is kept, but that would not be
    understood if it were sent again either.
    """

    event: SealEvent | None = None
    outcome: Outcome = Outcome.KNOWN
    raised: list[Alarm] = field(default_factory=list)
    cleared: list[Alarm] = field(default_factory=list)
    own: SealEvent | None = None
    understood: bool = True

    @property
    def new_event(self) -> SealEvent | None:
        """The event, if this transaction stored it."""
        return self.event if self.outcome is Outcome.NEW else None

    def note(self, *, raised: Alarm | None = None, cleared: Alarm | None = None) -> None:
        """Add one alarm to either list, where there is one."""
        if raised is not None:
            self.raised.append(raised)
        if cleared is not None:
            self.cleared.append(cleared)

    def include(self, other: Applied) -> None:
        """Add the alarms of another step of the same transaction."""
        self.raised += other.raised
        self.cleared += other.cleared
