"""From classes of measurement to events: the loop's first state, each change, and each sealing command."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..interface import LOOP_NOT_MEASURED, Kind, StateClass
from ..signatures import LoopCommand, LoopStatus, Measurement, RestoredBaseline, Ticks
from .classifier import is_learned
from .debounce import HOLD_MS, Debounce
from .event_queue import EventQueue
from .flapping import Flapping
from .loop_event import LoopEvent

__all__ = ["LoopMonitor"]

#: Stands for a change among the kinds of event; *boot*, *opened* or *closed* is chosen when it is queued.
CHANGE = None


class LoopMonitor(wiring.Component):
    """Makes one event of the first state after power-up (*boot*) and of every later change.

    Becoming *sealed* is the event *closed*; leaving it is *opened*, and so is any change between classes that
    are not sealed (the state class shows which). The sixth change within 10 s is *flapping* instead; from
    then on changes are counted as excursions, and when the loop has held still for 10 s one *closed* or
    *opened* reports its state. An event carries the number of excursions since the one before, at most 255.
    State and voltages are those at the time when it is queued: a few cycles later, or more if the queue is
    full.

    *Sealing:* the voltage of the sealed loop is learned when the loop closes for the first time, or by a
    `seal` command while the loop is stable and sealable. It never changes otherwise. A `seal` command on any
    other loop is refused, which is an event; on a sealed loop it is the event *provisioned*, and on an
    unsealed one *closed* follows as the class changes.

    *Timing:* the loop is *unknown* until `restored.valid`. `command.seal_done` or `command.seal_refused`
    comes in the cycle after `command.seal`.

    Parameters
    ----------
    measures : the front end measures millivolts; else there is no baseline.
    hold_ms : the debounce time.

    Members
    -------
    ticks : the time.
    measurement : from the front end.
    restored : what was learned before this power-up.
    command : what a request has asked for or brought about.
    o : events.
    status : what is known of the loop.

    Guarantees: `verif/blocks/test_loop.py::test_loop_monitor`,
    `test_nothing_is_lost_while_the_log_is_stalled`,
    `test_a_full_queue_merges_changes_into_the_present_state`,
    `test_a_flapping_loop_is_one_event_with_a_count`, `test_excursions_saturate`; sealing in
    `verif/blocks/test_sense_sealing.py`; the whole in `verif/chip/test_chip_report.py`; proofs:
    `verif/formal/loop.py::every_change_is_one_event`, `verif/formal/loop.py::no_change_is_forgotten`,
    `verif/formal/loop.py::events_wait_until_taken`, `verif/formal/loop.py::excursions_are_told`,
    `verif/formal/sense.py::learned_only_when_sealing`, `verif/formal/sense.py::sealing_is_answered_and_told`.
    """

    def __init__(self, *, measures=True, hold_ms=HOLD_MS):
        self._measures, self._hold_ms = measures, hold_ms
        super().__init__(
            {
                "ticks": In(Ticks),
                "measurement": In(Measurement),
                "restored": In(RestoredBaseline),
                "command": In(LoopCommand),
                "o": Out(stream.Signature(LoopEvent)),
                "status": Out(LoopStatus),
            }
        )

    def elaborate(self, platform):
        m = Module()
        measurement, command, status = self.measurement, self.command, self.status
        debounce = m.submodules.debounce = Debounce(self._hold_ms)
        flapping = m.submodules.flapping = Flapping()
        booted = Signal()
        started = Signal()
        accepted = Signal()
        # The class has held for the debounce time and still does.
        stable = started & (measurement.class_ == status.state) & ~status.flapping
        counted = debounce.changed & status.flapping
        m.d.comb += [
            debounce.tick_ms.eq(self.ticks.ms),
            debounce.blind.eq(measurement.blind),
            debounce.i.eq(Mux(started, measurement.class_, StateClass.UNKNOWN)),
            status.state.eq(debounce.state),
            flapping.tick_s.eq(self.ticks.s),
            flapping.change.eq(debounce.changed & booted),
            status.flapping.eq(flapping.flapping),
            accepted.eq(command.seal & stable & measurement.sealable),
        ]
        m.d.sync += [
            started.eq(self.restored.valid),
            command.seal_done.eq(accepted),
            command.seal_refused.eq(command.seal & ~accepted),
        ]

        # The events that are due, the most important first. Of a change only the state when it is queued
        # counts, so changes that come while one still waits need no event of their own.
        due = {
            Kind.FLAPPING: flapping.begins,
            CHANGE: (debounce.changed & ~counted & ~flapping.begins) | flapping.ends,
            Kind.SEALING_REFUSED: command.seal & ~accepted,
            Kind.LOCKED_OUT: command.locked_out,
            Kind.PROVISIONED: command.provisioned | (accepted & (status.state == StateClass.SEALED)),
        }
        event = Signal(LoopEvent)
        offered = Signal()
        taken = Signal()
        changes = self._offer(m, due, event, offered, taken, booted)
        self._count(m, event, debounce.excursion | counted, taken)
        m.d.comb += [
            event.state.eq(status.state),
            event.loop_mv.eq(LOOP_NOT_MEASURED),
            event.baseline_mv.eq(LOOP_NOT_MEASURED),
        ]
        if self._measures:
            closes = debounce.takes & (debounce.i == StateClass.SEALED)
            self._learn(m, accepted | (closes & ~is_learned(status.baseline_mv)), started)
            m.d.comb += [
                event.loop_mv.eq(measurement.millivolts),
                event.baseline_mv.eq(status.baseline_mv),
            ]

        # A field that is the same in all events takes no room in block RAM.
        constant = () if self._measures else ("loop_mv", "baseline_mv")
        fields = [name for name, _ in data.Layout.cast(LoopEvent) if name not in constant]
        queue = m.submodules.queue = EventQueue(sum(len(Value.cast(event[field])) for field in fields))
        m.d.comb += [
            queue.i.payload.eq(Cat(event[field] for field in fields)),
            queue.i.valid.eq(offered),
            taken.eq(offered & queue.i.ready),
            self.o.payload.eq(event),
            Cat(self.o.payload[field] for field in fields).eq(queue.o.payload),
            self.o.valid.eq(queue.o.valid),
            queue.o.ready.eq(self.o.ready),
            status.unlogged.eq(debounce.changed | changes | ~queue.empty | status.flapping),
        ]
        return m

    def _offer(self, m, due, event, offered, taken, booted):
        """Offer the first event that is due until it is taken; return whether a change waits."""
        free, waiting = 1, {}
        for kind, happens in due.items():
            waits = waiting[kind] = Signal(name=f"{kind.name.lower()}_waits" if kind else "change_waits")
            chosen = waits & free
            free = free & ~waits
            with m.If(chosen):
                m.d.comb += [offered.eq(1), event.kind.eq(kind or Kind.OPENED)]
            with m.If(happens):
                m.d.sync += waits.eq(1)
            with m.Elif(chosen & taken):
                m.d.sync += waits.eq(0)
            if kind is CHANGE:
                # No other event comes before *boot*, which is a change.
                free = free & booted
                with m.If(chosen & (self.status.state == StateClass.SEALED)):
                    m.d.comb += event.kind.eq(Kind.CLOSED)
                with m.If(chosen & ~booted):
                    m.d.comb += event.kind.eq(Kind.BOOT)
        with m.If(taken):
            m.d.sync += booted.eq(1)
        return waiting[Kind.FLAPPING] | waiting[CHANGE]

    def _count(self, m, event, excursion, taken):
        """Count the excursions since reset, and those since the last event, which the next one carries."""
        excursions = self.status.excursions
        with m.If(excursion & ~excursions.all()):
            m.d.sync += excursions.eq(excursions + 1)
        since = Signal(8)
        m.d.comb += event.excursions.eq(since)
        with m.If(taken):
            m.d.sync += since.eq(excursion)
        with m.Elif(excursion & ~since.all()):
            m.d.sync += since.eq(since + 1)

    def _learn(self, m, learn, started):
        """Take the baseline from the log at first, and later the voltage measured when `learn`."""
        with m.If(self.restored.valid & ~started):
            m.d.sync += self.status.baseline_mv.eq(self.restored.baseline_mv)
        with m.Elif(learn):
            m.d.sync += self.status.baseline_mv.eq(self.measurement.millivolts)
