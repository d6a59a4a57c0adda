"""The queue of events for the customer's phone, each with its time and its age."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import Kind, StateClass
from .script import Slot
from .text import LOST_MAX

__all__ = ["DEPTH", "CurrentEvent", "GsmQueue"]

#: How many events are kept, including the one being sent.
DEPTH = 4
_MINUTE_S = 60
#: The room of one event in bytes.
_SLOT = 8

#: From the sequencer: the oldest event, which is the one being sent; see `GsmQueue`.
#:
#: waiting : there is an event.
#: hold : nothing may change, because the event is being sent.
#: busy : a change is under way, so nothing may be read yet.
#: address, byte : a byte of the event, a `Slot`, one cycle later.
#: start : strobe, begin to send the event that is the oldest now.
#: renewed : with `start`, another event is the oldest than at the last `start`.
#: lost : how many messages got lost before this one.
#: done, gave_up : strobes, the message has arrived, or has been given up.
CurrentEvent = wiring.Signature(
    {
        "waiting": In(1),
        "hold": Out(1),
        "busy": In(1),
        "address": Out(range(_SLOT)),
        "byte": In(8),
        "start": Out(1),
        "renewed": In(1),
        "lost": In(range(LOST_MAX + 1)),
        "done": Out(1),
        "gave_up": Out(1),
    }
)


class GsmQueue(wiring.Component):
    """Keeps the newest four of the events that are reported to the customer.

    Reported are *opened*, *closed*, *flapping*, *sealing refused*, and a *boot* that finds the loop not
    sealed. An event gets the clock's time when it enters, to the minute, and its age in minutes up to 99. If
    the clock could not be read in between, reading begins anew with its first byte.

    *Timing:* the bytes of the oldest event may be read while `current.waiting` and `hold` and not `busy`.
    During `hold` nothing enters; an event that arrives then enters afterwards, with the time of that moment.
    `start` begins a `hold` and latches `lost`; `done` or `gave_up` ends the event of the last `start`.
    *Errors:* one event too many drops the oldest, and during `hold` the one that arrived before it. If the
    dropped one is being sent, the sending goes on; unless it ends with `done` it counts as lost, and at the
    next `start` `renewed` shows that another event is the oldest. Events that were not reported are counted
    up to 7: `lost` is their number before the last `start`, and returns to 0 with `done`.

    Members
    -------
    valid, kind, state : strobe, an event has been logged.
    tick_s : strobe, each second.
    current : the event being sent.
    clock_index, clock_byte : a byte of the clock, ss mm hh DD MM YY, one cycle later.
    clock_valid : the clock is set.
    clock_free : the clock may be read and does not change.

    Guarantees: `verif/blocks/test_gsm_parts.py::test_queue_like_the_reference`, `test_ages`,
    `test_which_events_are_reported`; proof: `verif/formal/gsm.py::what_is_told_stays`.
    """

    valid: In(1)
    kind: In(Kind)
    state: In(StateClass)
    tick_s: In(1)
    current: In(CurrentEvent)
    clock_index: Out(3)
    clock_byte: In(8)
    clock_valid: In(1)
    clock_free: In(1)

    def elaborate(self, platform):
        m = Module()
        current = self.current
        arrived = Signal()  # an event has still to enter
        minute = Signal()  # a minute has still to be added to the ages
        number = Signal(4)
        # One bit more than a place needs: it differs when the queue is full and is equal when it is empty.
        first = Signal(range(2 * DEPTH))
        end = Signal(range(2 * DEPTH))
        dropped = Signal()  # the event being sent is no longer in the queue
        # A change writes the event that arrived to the end, byte by byte; otherwise it adds a minute to all
        # ages.
        append = Signal()
        step = Signal(range(_SLOT))
        writing = Signal()

        arrives = Signal()
        overrun = Signal()
        pop = Signal()
        full = first == end ^ DEPTH
        m.d.comb += [
            arrives.eq(self.valid & _is_reported(self.kind, self.state)),
            current.waiting.eq(first != end),
            current.renewed.eq(dropped),
            pop.eq((current.done | current.gave_up) & ~dropped),
        ]
        with m.If(arrives):
            # As `script.event_number`.
            number_of = Mux(self.kind == Kind.OPENED, self.state, C(8, 4) | self.kind)
            m.d.sync += [arrived.eq(1), number.eq(number_of)]
        ends = current.start | current.done | current.gave_up
        with m.If(ends):
            m.d.sync += dropped.eq(0)
        with m.If(pop | overrun):
            m.d.sync += first.eq(first + 1)
        self._count_seconds(m, minute)
        self._count_lost(m, (arrives & arrived) | (overrun & dropped) | current.gave_up, dropped)
        self._move_bytes(m, append, step, writing, number, first, end)

        with m.If(current.busy):
            m.d.sync += writing.eq(~writing)
            with m.If(append & (step != Slot.EVENT) & ~self.clock_free):
                m.d.sync += [step.eq(Slot.MINUTE), writing.eq(0)]
            with m.Elif(writing):
                m.d.sync += step.eq(step + 1)
                with m.If(step == _SLOT - 1):
                    m.d.sync += [current.busy.eq(0), end.eq(end + append)]
        # One change at a time, and none while a message is being sent.
        with m.Elif(~current.hold & ~arrives & ~ends & (arrived | minute)):
            m.d.sync += [current.busy.eq(1), append.eq(arrived)]
            with m.If(arrived):
                # The number is written at once, because another event may arrive from now on.
                m.d.sync += [step.eq(Slot.EVENT), writing.eq(1), arrived.eq(0)]
                with m.If(full):
                    m.d.comb += overrun.eq(1)
                    m.d.sync += dropped.eq(1)
            with m.Else():
                m.d.sync += [step.eq(_SLOT - DEPTH), writing.eq(0), minute.eq(0)]
        return m

    def _count_seconds(self, m, minute):
        """Count the seconds of a minute."""
        seconds = Signal(range(_MINUTE_S))
        with m.If(self.tick_s):
            m.d.sync += seconds.eq(seconds + 1)
            with m.If(seconds == _MINUTE_S - 1):
                m.d.sync += [seconds.eq(0), minute.eq(1)]

    def _count_lost(self, m, one_more, dropped):
        """Count the events that get lost; one that has been dropped without a message counts at `start`."""
        current = self.current
        missing = Signal.like(current.lost)
        total = Signal(len(current.lost) + 1)
        m.d.comb += total.eq(current.lost + missing + dropped)
        with m.If(one_more & (missing != LOST_MAX)):
            m.d.sync += missing.eq(missing + 1)
        with m.If(current.start):
            m.d.sync += [missing.eq(0), current.lost.eq(Mux(total[-1], LOST_MAX, total))]
        with m.Elif(current.done):
            m.d.sync += current.lost.eq(0)

    def _move_bytes(self, m, append, step, writing, number, first, end):
        """Connect the memory: write the event that enters, or the ages that have grown by a minute."""
        current = self.current
        m.submodules.memory = memory = Memory(shape=8, depth=DEPTH * _SLOT, init=[])
        read, write = memory.read_port(), memory.write_port()
        older = Cat(C(Slot.AGE, 3), step[:2])
        m.d.comb += [
            # Never both at once, as in `EventQueue`.
            write.en.eq(current.busy & writing),
            read.en.eq(~write.en),
            read.addr.eq(Mux(current.busy, older, Cat(current.address, first[:2]))),
            current.byte.eq(read.data),
            self.clock_index.eq(step),
            write.addr.eq(Mux(append, Cat(step, end[:2]), older)),
        ]
        with m.If(~append):
            m.d.comb += write.data.eq(_older(read.data))
        with m.Elif(step == Slot.EVENT):
            m.d.comb += write.data.eq(Cat(number, C(0, 3), self.clock_valid))
        with m.Elif(step != Slot.AGE):
            m.d.comb += write.data.eq(self.clock_byte)


def _is_reported(kind, state):
    """Return whether the customer gets a message about an event."""
    kinds = [kind == it for it in (Kind.OPENED, Kind.CLOSED, Kind.FLAPPING, Kind.SEALING_REFUSED)]
    return Cat(kinds).any() | ((kind == Kind.BOOT) & (state != StateClass.SEALED))


def _older(age):
    """Return an age of two decimal digits, and one more; 99 stays."""
    ones, tens = age[:4], age[4:]
    carry = ones == 9
    stays = carry & (tens == 9)
    return Mux(stays, age, Cat(Mux(carry, 0, ones + 1)[:4], (tens + carry)[:4]))
