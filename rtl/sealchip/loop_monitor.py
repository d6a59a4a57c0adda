"""From classes of measurement to events: what the loop is, and every change of it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .debounce import Debounce
from .interface import LOOP_NOT_MEASURED, Kind, StateClass
from .log_entry import LoopEvent

__all__ = ["LoopMonitor"]

#: Events that wait while the log is busy; an erase (0.4 s) lets at most 20 debounced changes pass, and
#: those that find the queue full are merged into the next event: the state is reported as it then is.
QUEUE_DEPTH = 32


class LoopMonitor(wiring.Component):
    """Makes one event of the first state after power-up (*boot*) and of every later change.

    Becoming *sealed* is *closed*, leaving it is *opened*; so is any change between classes that are not
    sealed (the state class tells which). An event carries how many shorter excursions were counted since
    the one before, at most 255.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz. hold: debounce time in seconds.

    Members
    -------
    class_, millivolts: from the front end. o: events. state: filtered class. excursions: count since reset.
    unlogged: a change of `state`, from its very first cycle on, has not been taken from `o` yet.

    Guarantees: `verif/chip/test_loop.py::test_loop_monitor`, `test_nothing_is_lost_while_the_log_is_stalled`,
    `test_a_full_queue_tells_the_state_as_it_is_then`; the whole in `verif/chip/test_chip_report.py`; proofs:
    `verif/formal/loop.py::every_change_is_one_event`, `verif/formal/loop.py::no_change_is_forgotten`,
    `verif/formal/loop.py::events_wait_until_taken`.
    """

    def __init__(self, clock_hz, hold=0.020):
        self._clock_hz, self._hold = clock_hz, hold
        super().__init__(
            {
                "class_": In(StateClass),
                "millivolts": In(16),
                "o": Out(stream.Signature(LoopEvent)),
                "state": Out(StateClass),
                "excursions": Out(16),
                "unlogged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        debounce = m.submodules.debounce = Debounce(self._clock_hz, self._hold)
        queue = m.submodules.queue = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=QUEUE_DEPTH)
        event = Signal(LoopEvent)
        booted = Signal()
        reported = Signal(16)  # excursions told so far
        untold = (debounce.excursions - reported)[:16]
        changed = Signal()  # there is a change to tell

        m.d.comb += [
            debounce.i.eq(self.class_),
            self.state.eq(debounce.state),
            self.excursions.eq(debounce.excursions),
            event.state.eq(debounce.state),
            event.loop_mv.eq(self.millivolts),
            event.excursions.eq(Mux(untold > 0xFF, 0xFF, untold)),
            event.baseline_mv.eq(LOOP_NOT_MEASURED),
            queue.w_data.eq(event),
            queue.w_en.eq(changed),
            self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.unlogged.eq(debounce.changed | changed | (queue.level != 0)),
        ]
        with m.If(~booted):
            m.d.comb += event.kind.eq(Kind.BOOT)
        with m.Elif(debounce.state == StateClass.SEALED):
            m.d.comb += event.kind.eq(Kind.CLOSED)
        with m.Else():
            m.d.comb += event.kind.eq(Kind.OPENED)

        with m.If(queue.w_en & queue.w_rdy):
            m.d.sync += [changed.eq(0), booted.eq(1), reported.eq(debounce.excursions)]
        with m.If(debounce.changed):
            m.d.sync += changed.eq(1)
        return m
