"""The event that the loop monitor passes to the log."""

from amaranth.hdl import C, Cat, Value
from amaranth.lib import data

from ..interface import ENTRY, Kind, StateClass

__all__ = ["LoopEvent", "entry_bytes"]


class LoopEvent(data.Struct):
    """One event, with its fields in the order of `interface.ENTRY`; the log adds counters and time stamp."""

    kind: Kind
    state: StateClass
    loop_mv: 16
    #: Excursions since the event before, saturating.
    excursions: 8
    #: The baseline in force from this event on; FFFF without one.
    baseline_mv: 16


def entry_bytes(event):
    """Yield the bytes of a `LoopEvent` in the order of `interface.ENTRY`, from the kind up to the time stamp.

    The low byte of the flags is the firmware's and is 0 here; their high byte counts excursions.
    """
    names = [*ENTRY.offsets]
    for name in names[names.index("kind") : names.index("stamp")]:
        value = Cat(C(0, 8), event.excursions) if name == "flags" else Value.cast(event[name])
        yield from (value[8 * n : 8 * n + 8] for n in range(ENTRY[name].width))
