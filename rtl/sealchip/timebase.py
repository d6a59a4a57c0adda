"""The timebase: ticks of a millisecond, a quarter of a second and a second."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .signatures import Ticks
from .timing import cycles

__all__ = ["Timebase"]


class Timebase(wiring.Component):
    """Divides the clock into milliseconds, quarters of a second and seconds.

    The first tick comes one whole period after reset. A second is 1000 ticks of the rounded millisecond;
    `timing.cycles` bounds the error at 1 %.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz.

    Members
    -------
    ticks : one-cycle strobes each millisecond, each quarter of a second and each second.

    Guarantees: `verif/blocks/test_timing.py::test_timebase`.
    """

    def __init__(self, clock_hz):
        self._ms_cycles = cycles(clock_hz, 1e-3)
        super().__init__({"ticks": Out(Ticks)})

    def elaborate(self, platform):
        m = Module()
        prescaler = m.submodules.prescaler = _Divider(self._ms_cycles)
        quarters = m.submodules.quarters = _Divider(250)
        seconds = m.submodules.seconds = _Divider(4)
        m.d.comb += [
            prescaler.en.eq(1),
            self.ticks.ms.eq(prescaler.tick),
            quarters.en.eq(prescaler.tick),
            self.ticks.quarter.eq(quarters.tick),
            seconds.en.eq(quarters.tick),
            self.ticks.s.eq(seconds.tick),
        ]
        return m


class _Divider(wiring.Component):
    """Ticks on every `period`-th cycle in which it is enabled.

    Members
    -------
    en : count this cycle.
    tick : strobe, in the cycle that completes a period.
    """

    def __init__(self, period):
        self._period = period
        super().__init__({"en": wiring.In(1), "tick": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._period))
        last = count == self._period - 1
        m.d.comb += self.tick.eq(self.en & last)
        with m.If(self.en):
            with m.If(last):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + 1)
        return m
