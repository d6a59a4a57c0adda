"""Tells a contact that keeps changing: one alarm with a count, not a storm."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FLAPPING_CHANGES", "FLAPPING_S", "Flapping"]

#: So many changes within so many seconds are *flapping*, until so many seconds without one.
FLAPPING_CHANGES, FLAPPING_S = 6, 10
#: Overlapping counts; one begins every `_PERIOD_S`.
_WINDOWS = 3
_PERIOD_S = FLAPPING_S // (_WINDOWS - 1)


class Flapping(wiring.Component):
    """Flapping begins with the sixth change within 10 s and ends after 10 to 11 s without a change.

    Three counts, each over 15 s, begin 5 s apart: any 10 s lie wholly in one of them. So six changes within
    10 s always begin it, six that take longer than 15 s never do.

    *Timing:* `flapping` follows `begins` and `ends` by one cycle.

    Members
    -------
    tick_s, change: strobes. flapping: see above. begins, ends: strobes; `begins` comes with the sixth change.

    Guarantees: `verif/chip/test_sense_flapping.py::test_six_changes_within_ten_seconds`,
    `test_a_count_lasts_fifteen_seconds`,
    `test_it_ends_after_ten_seconds_without_a_change`.
    """

    tick_s: In(1)
    change: In(1)
    flapping: Out(1)
    begins: Out(1)
    ends: Out(1)

    def elaborate(self, platform):
        m = Module()
        second = Signal(range(_PERIOD_S))
        oldest = Signal(_WINDOWS, init=1)  # one bit: the count that begins anew next
        still = Signal(range(FLAPPING_S + 1))  # whole seconds since the last change
        boundary = Signal()
        m.d.comb += boundary.eq(self.tick_s & (second == _PERIOD_S - 1))
        with m.If(self.tick_s):
            m.d.sync += [second.eq(second + 1), still.eq(still + 1)]
        with m.If(boundary):
            m.d.sync += [second.eq(0), oldest.eq(oldest.rotate_left(1))]

        full = 0
        for number in range(_WINDOWS):
            count = Signal(range(FLAPPING_CHANGES), name=f"count{number}")
            full |= count == FLAPPING_CHANGES - 1
            # A change in the very cycle in which a count begins anew still belongs to the two others.
            with m.If(self.flapping | (boundary & oldest[number])):
                m.d.sync += count.eq(0)
            with m.Elif(self.change):
                m.d.sync += count.eq(count + 1)

        m.d.comb += [
            self.begins.eq(self.change & ~self.flapping & full),
            self.ends.eq(self.flapping & ~self.change & self.tick_s & (still == FLAPPING_S)),
        ]
        with m.If(self.change | self.ends):
            m.d.sync += still.eq(0)
        with m.If(self.begins | self.ends):
            m.d.sync += self.flapping.eq(self.begins)
        return m
