"""Run-length filter for the class of the loop; what is shorter is counted, never silently dropped."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import StateClass
from .timing import cycles

__all__ = ["Debounce"]


class Debounce(wiring.Component):
    """Takes over a class of measurement when it has held for the whole hold time.

    Any change restarts the run. After reset the state is *unknown* until the first run is complete.

    *Timing:* `changed` strobes with the new `state` exactly `hold` cycles after the last change of `i`.
    *Excursions:* every return of `i` to the present state, after having left it for one cycle or longer,
    adds one to `excursions`, which saturates.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz. hold: time in seconds that a class must hold.

    Members
    -------
    i: class of the present measurement. state: the filtered class. changed: strobe, `state` is new.
    excursions: saturating count since reset.

    Guarantees: `verif/chip/test_loop.py::test_debounce_against_model`, `test_debounce_is_two_sided`,
    `test_every_excursion_counts_once`, `test_excursions_saturate`; proofs:
    `verif/formal/loop.py::state_changes_iff_the_input_held`, `verif/formal/loop.py::every_excursion_counts`.
    """

    def __init__(self, clock_hz, hold=0.020):
        self._hold = cycles(clock_hz, hold)
        super().__init__(
            {"i": In(StateClass), "state": Out(StateClass), "changed": Out(1), "excursions": Out(16)}
        )

    def elaborate(self, platform):
        m = Module()
        candidate = Signal(StateClass)
        run = Signal(range(self._hold))
        seen = Signal()

        with m.If(~seen | (self.i != candidate)):
            m.d.sync += [seen.eq(1), candidate.eq(self.i), run.eq(0)]
            with m.If(seen & (self.i == self.state) & (self.excursions != 0xFFFF)):
                m.d.sync += self.excursions.eq(self.excursions + 1)
        with m.Elif(candidate != self.state):
            m.d.sync += run.eq(run + 1)
            with m.If(run == self._hold - 2):
                m.d.sync += [self.state.eq(candidate), self.changed.eq(1)]
        with m.If(self.changed):
            m.d.sync += self.changed.eq(0)
        return m
