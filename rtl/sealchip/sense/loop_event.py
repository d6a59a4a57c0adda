"""What the loop monitor tells the log."""

from amaranth.lib import data

from ..interface import Kind, StateClass

__all__ = ["LoopEvent"]


class LoopEvent(data.Struct):
    """One event; the log adds boot count, counter and time stamp.

    `excursions` since the event before, saturating; `baseline_mv` in force from this event on, FFFF = none.
    """

    kind: Kind
    state: StateClass
    loop_mv: 16
    excursions: 8
    baseline_mv: 16
