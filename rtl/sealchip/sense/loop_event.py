"""The event that the loop monitor passes to the log."""

from amaranth.lib import data

from ..interface import Kind, StateClass

__all__ = ["LoopEvent"]


class LoopEvent(data.Struct):
    """One event, with its fields in the order of `interface.ENTRY`; the log adds counters and time stamp."""

    kind: Kind
    state: StateClass
    loop_mv: 16
    #: Excursions since the event before, saturating.
    excursions: 8
    #: The baseline in force from this event on; FFFF without one.
    baseline_mv: 16
