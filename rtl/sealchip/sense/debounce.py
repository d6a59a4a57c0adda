"""A run-length filter for the class of the loop, which reports runs that are too short as excursions."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import StateClass

__all__ = ["HOLD_MS", "Debounce"]

HOLD_MS = 20


class Debounce(wiring.Component):
    """Takes over a measured class as the state when it has held for the whole hold time.

    Any change restarts the run. After reset the state is *unknown* until the first run is complete.

    *Timing:* a class is taken over at the 20th tick after its first cycle, so after 19 to 20 ms.
    *Excursions:* each return of `i` to the present state, after one cycle or longer of another class.
    While `blind`, the run neither goes on nor ends, and `i` is ignored.

    Parameters
    ----------
    hold_ms : how many ticks a class must hold.

    Members
    -------
    tick_ms : strobe, each millisecond.
    i : the class of the newest measurement.
    blind : that measurement does not show the loop as it is.
    takes : strobe, `i` will be the state in the next cycle.
    state : the filtered class.
    changed : strobe in the first cycle of a new state.
    excursion : strobe, see above.

    Guarantees: `verif/blocks/test_loop.py::test_debounce_against_model`, `test_debounce_is_two_sided`,
    `test_every_excursion_counts_once`; proofs: `verif/formal/loop.py::state_changes_iff_the_input_held`,
    `verif/formal/loop.py::every_excursion_counts`.
    """

    def __init__(self, hold_ms=HOLD_MS):
        self._hold_ms = hold_ms
        super().__init__(
            {
                "tick_ms": In(1),
                "i": In(StateClass),
                "blind": In(1),
                "takes": Out(1),
                "state": Out(StateClass),
                "changed": Out(1),
                "excursion": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        candidate = Signal(StateClass)
        run = Signal(range(self._hold_ms))
        m.d.sync += self.changed.eq(self.takes)
        with m.If(~self.blind):
            with m.If(self.i != candidate):
                m.d.comb += self.excursion.eq(self.i == self.state)
                m.d.sync += [candidate.eq(self.i), run.eq(0)]
            with m.Elif((candidate != self.state) & self.tick_ms):
                m.d.comb += self.takes.eq(run == self._hold_ms - 1)
                m.d.sync += run.eq(run + 1)
        with m.If(self.takes):
            m.d.sync += self.state.eq(candidate)
        return m
