"""Events on their way to the customer's phone: what happened, when, and how long it has waited."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import Kind, StateClass
from .script import Slot
from .text import LOST_MAX

__all__ = ["DEPTH", "CurrentEvent", "GsmQueue"]

#: Events that are kept, the one being sent among them.
DEPTH = 4
_MINUTE_S = 60
#: Room of one event in bytes.
_SLOT = 8

#: The oldest event, the one being sent, as the sequencer sees it: `GsmQueue` says how.
CurrentEvent = wiring.Signature(
    {
        "waiting": In(1),
        "hold": Out(1),
        "busy": In(1),
        "address": Out(range(_SLOT)),
        "byte": In(8),
        "tell": Out(1),
        "renewed": In(1),
        "lost": In(range(LOST_MAX + 1)),
        "done": Out(1),
        "gave_up": Out(1),
    }
)


class GsmQueue(wiring.Component):
    """Keeps the newest four events that the customer is told of.

    Told are *opened*, *closed*, *flapping*, *sealing refused*, and a *boot* that finds the loop not sealed.
    An event gets the clock's time when it enters, to the minute, and its age in minutes up to 99. The
    clock's bytes are read from the first one again when the clock was not `clock_free` in between.

    *Timing:* the oldest event's bytes (`gsm_script.Slot`) are read through `address` → `byte`, one cycle
    later, while `waiting` and `hold` and not `busy`. While `hold`, nothing enters; what arrives does so
    behind it, with the time as it then is. `tell` begins a `hold` and latches `lost`; `done` or `gave_up`
    ends the event that was there at the last `tell`.
    *Errors:* an event too many drops the oldest, and during `hold` the one that arrived before. If the one
    that is dropped is being sent, the sending goes on; it counts as lost if it ends otherwise than `done`,
    and at the next `tell` `renewed` says that another event is the oldest. All that was not told is counted
    up to 7: `lost` are those before the last `tell`, until a message was `done`.

    Members
    -------
    valid, kind, state: events. tick_s: a second passed. current: the event being sent, see above.
    clock_index, clock_byte: byte of the clock, ss mm hh DD MM YY, one cycle later. clock_valid: it is set.
    clock_free: it is ours to read, and steady.

    Guarantees: `verif/blocks/test_gsm_parts.py::test_queue_like_the_reference`, `test_ages`,
    `test_what_is_told_and_what_is_not`; proof: `verif/formal/gsm.py::what_is_told_stays`.
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
        arrived = Signal()  # to be done
        minute = Signal()  # to be done
        number = Signal(4)
        # One bit more than the place: full and empty differ.
        first = Signal(range(2 * DEPTH))
        end = Signal(range(2 * DEPTH))
        dropped = Signal()  # the event being sent is no longer here
        # `APPEND` writes what arrived to the end, byte by byte; otherwise each event gets a minute older.
        append = Signal()
        step = Signal(range(_SLOT))
        writing = Signal()

        arrives = Signal()
        overrun = Signal()
        pop = Signal()
        full = first == end ^ DEPTH
        m.d.comb += [
            arrives.eq(self.valid & _is_told(self.kind, self.state)),
            current.waiting.eq(first != end),
            current.renewed.eq(dropped),
            pop.eq((current.done | current.gave_up) & ~dropped),
        ]
        with m.If(arrives):
            # As `gsm_script.event_number`.
            number_of = Mux(self.kind == Kind.OPENED, self.state, C(8, 4) | self.kind)
            m.d.sync += [arrived.eq(1), number.eq(number_of)]
        ends = current.tell | current.done | current.gave_up
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
        # One thing at a time is counted, and what is being told does not change.
        with m.Elif(~current.hold & ~arrives & ~ends & (arrived | minute)):
            m.d.sync += [current.busy.eq(1), append.eq(arrived)]
            with m.If(arrived):
                # Written at once: another event may arrive now.
                m.d.sync += [step.eq(Slot.EVENT), writing.eq(1), arrived.eq(0)]
                with m.If(full):
                    m.d.comb += overrun.eq(1)
                    m.d.sync += dropped.eq(1)
            with m.Else():
                m.d.sync += [step.eq(_SLOT - DEPTH), writing.eq(0), minute.eq(0)]
        return m

    def _count_seconds(self, m, minute):
        seconds = Signal(range(_MINUTE_S))
        with m.If(self.tick_s):
            m.d.sync += seconds.eq(seconds + 1)
            with m.If(seconds == _MINUTE_S - 1):
                m.d.sync += [seconds.eq(0), minute.eq(1)]

    def _count_lost(self, m, one_more, dropped):
        """`missing` since the last `tell`; one that was dropped then without having been told is another."""
        current = self.current
        missing = Signal.like(current.lost)
        total = Signal(len(current.lost) + 1)
        m.d.comb += total.eq(current.lost + missing + dropped)
        with m.If(one_more & (missing != LOST_MAX)):
            m.d.sync += missing.eq(missing + 1)
        with m.If(current.tell):
            m.d.sync += [missing.eq(0), current.lost.eq(Mux(total[-1], LOST_MAX, total))]
        with m.Elif(current.done):
            m.d.sync += current.lost.eq(0)

    def _move_bytes(self, m, append, step, writing, number, first, end):
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


def _is_told(kind, state):
    told = [kind == it for it in (Kind.OPENED, Kind.CLOSED, Kind.FLAPPING, Kind.SEALING_REFUSED)]
    return Cat(told).any() | ((kind == Kind.BOOT) & (state != StateClass.SEALED))


def _older(age):
    """`age`, two decimal digits, and one more; 99 stays."""
    ones, tens = age[:4], age[4:]
    carry = ones == 9
    stays = carry & (tens == 9)
    return Mux(stays, age, Cat(Mux(carry, 0, ones + 1)[:4], (tens + carry)[:4]))
