"""The detector of a contact that keeps changing, so that it causes one alarm with a count and not a storm."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FLAPPING_CHANGES", "FLAPPING_S", "Flapping"]

#: So many changes within so many seconds begin *flapping*, and so many seconds without a change end it.
FLAPPING_CHANGES, FLAPPING_S = 6, 10
#: How many counts overlap; one begins every `_PERIOD_S`.
_WINDOWS = 3
_PERIOD_S = FLAPPING_S // (_WINDOWS - 1)


class Flapping(wiring.Component):
    """Reports flapping from the sixth change within 10 s until 10 to 11 s have passed without a change.

    An exact window would need the time of each of the last changes. Three counts do nearly the same: they
    begin 5 s apart and each lasts 15 s, so any 10 s lie wholly in one of them. Six changes within 10 s always
    begin flapping, and six that take 15 s or longer never do. The oldest count is always the greatest, so it
    is the only one that is compared.

    *Timing:* `flapping` follows `begins` and `ends` by one cycle.

    Members
    -------
    tick_s : strobe, each second.
    change : strobe, the state has changed.
    flapping : see above.
    begins : strobe, in the cycle of the sixth change.
    ends : strobe.

    Guarantees: `verif/blocks/test_sense_flapping.py::test_six_changes_within_ten_seconds`,
    `test_a_count_lasts_fifteen_seconds`,
    `test_it_ends_after_ten_seconds_without_a_change`; proof:
    `verif/formal/loop.py::flapping_begins_and_ends_in_time`.
    """

    tick_s: In(1)
    change: In(1)
    flapping: Out(1)
    begins: Out(1)
    ends: Out(1)

    def elaborate(self, platform):
        m = Module()
        # Seconds of the present period; while flapping, whole seconds since the last change.
        second = Signal(range(FLAPPING_S + 1))
        boundary = Signal()
        counts = [Signal(range(FLAPPING_CHANGES + 1), name=f"count{number}") for number in range(_WINDOWS)]
        m.d.comb += [
            boundary.eq(~self.flapping & self.tick_s & (second == _PERIOD_S - 1)),
            self.begins.eq(~self.flapping & self.change & (counts[0] == FLAPPING_CHANGES - 1)),
            self.ends.eq(self.flapping & ~self.change & self.tick_s & (second == FLAPPING_S)),
        ]
        with m.If(self.begins | self.ends):
            m.d.sync += self.flapping.eq(self.begins)
        with m.If(boundary | self.ends | self.begins | (self.flapping & self.change)):
            m.d.sync += second.eq(0)
        with m.Elif(self.tick_s):
            m.d.sync += second.eq(second + 1)

        # The counts, the oldest first. At a boundary the oldest one ends and each moves up by one place; a
        # change in that very cycle is counted by those that had begun.
        for count, later in pairwise(counts):
            m.d.sync += count.eq(Mux(boundary, later, count) + self.change)
        m.d.sync += counts[-1].eq(Mux(boundary, 0, counts[-1] + self.change))
        with m.If(self.flapping):
            m.d.sync += [count.eq(0) for count in counts]
        return m
