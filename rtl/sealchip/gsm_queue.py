"""Events on their way to the customer's phone: what happened, when, and how long it has waited."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .gsm_script import Slot
from .gsm_text import LOST_MAX
from .interface import Kind, StateClass

__all__ = ["DEPTH", "CurrentEvent", "GsmQueue"]

#: Events that wait; the one being sent is not among them.
DEPTH = 4
#: Where the event being sent is.
_CURRENT = DEPTH
_MINUTE_S = 60


class _Task(enum.Enum, shape=2):
    """What is done with the memory; each takes `_STEPS` reads, each followed by a write."""

    #: The event that arrived, with the time, to the end of the queue.
    APPEND = 0
    #: The oldest one to where it is read.
    TAKE = 1
    #: Each event a minute older.
    AGE = 2


_STEPS = 8


#: The event being sent, as the sequencer sees it: `GsmQueue` says how.
CurrentEvent = wiring.Signature(
    {
        "hold": Out(1),
        "busy": In(1),
        "take": Out(1),
        "taken": In(1),
        "address": Out(range(len(Slot))),
        "byte": In(8),
        "tell": Out(1),
        "lost": In(range(LOST_MAX + 1)),
        "done": Out(1),
        "gave_up": Out(1),
    }
)


class GsmQueue(wiring.Component):
    """Keeps the newest four events that the customer is told of, and the one being sent.

    Told are *opened*, *closed*, *flapping*, *sealing refused*, and a *boot* that finds the loop not sealed.
    An event gets the clock's time when it enters, to the minute, and its age in minutes up to 99. The
    clock's bytes are read from the first one again when the clock was not `clock_free` in between.

    *Timing:* `take` is held until `taken` strobes; then the event's bytes (`gsm_script.Slot`) are read
    through `address` → `byte`, one cycle later, while not `busy`. While `hold`, nothing is begun; what
    arrives enters behind it, with the time as it then is.
    *Errors:* an event too many drops the oldest that waits, and during `hold` the one that arrived before.
    Those and what was given up are counted, up to 9. `tell` latches the number into `lost`, and `done` takes
    off what was told.

    Members
    -------
    valid, kind, state: events. tick_s: a second passed. current: the event being sent, see above.
    clock_index, clock_byte: byte of the clock, ss mm hh DD MM YY, one cycle later. clock_valid: it is set.
    clock_free: it is ours to read, and steady.

    Guarantees: `verif/chip/test_gsm_parts.py::test_queue_like_the_reference`, `test_ages`,
    `test_what_is_told_and_what_is_not`.
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
        arrived, minute = Signal(), Signal()  # to be done
        number = Signal(4)
        first, next_ = Signal(range(DEPTH)), Signal(range(DEPTH))
        count = Signal(range(DEPTH + 1))
        task = Signal(_Task)
        step, writing = Signal(range(_STEPS)), Signal()

        arrives, drop = Signal(), Signal()
        found_open = (self.kind == Kind.BOOT) & (self.state != StateClass.SEALED)
        told = [self.kind == kind for kind in (Kind.OPENED, Kind.CLOSED, Kind.FLAPPING, Kind.SEALING_REFUSED)]
        m.d.comb += arrives.eq(self.valid & (Cat(told).any() | found_open))
        with m.If(arrives):
            m.d.sync += [
                arrived.eq(1),
                # As `gsm_script.event_number`.
                number.eq(Mux(self.kind == Kind.OPENED, self.state, C(8, 4) | self.kind)),
            ]
        self._count_seconds(m, minute)
        self._count_lost(m, (arrives & arrived) | drop | current.gave_up)
        self._move_bytes(m, task, step, writing, number, first, next_)

        with m.If(current.busy & (task == _Task.APPEND) & (step != Slot.EVENT) & ~self.clock_free):
            m.d.sync += [step.eq(Slot.MINUTE), writing.eq(0)]
        with m.Elif(current.busy):
            m.d.sync += writing.eq(~writing)
            with m.If(writing):
                m.d.sync += step.eq(step + 1)
                with m.If(step == _STEPS - 1):
                    m.d.sync += current.busy.eq(0)
                    m.d.comb += current.taken.eq(task == _Task.TAKE)
                    m.d.sync += next_.eq(next_ + (task == _Task.APPEND))
                    m.d.sync += first.eq(first + current.taken)
        with m.Elif(~current.hold & ~arrives & ~current.gave_up):  # so that `lost` counts one at a time
            with m.If(arrived):
                # Written at once: another event may arrive now.
                m.d.sync += [current.busy.eq(1), task.eq(_Task.APPEND), writing.eq(1), arrived.eq(0)]
                with m.If(count == DEPTH):
                    m.d.comb += drop.eq(1)
                    m.d.sync += first.eq(first + 1)
                with m.Else():
                    m.d.sync += count.eq(count + 1)
            with m.Elif(minute):
                m.d.sync += [current.busy.eq(1), task.eq(_Task.AGE), writing.eq(0), minute.eq(0)]
            with m.Elif(current.take & (count != 0)):
                m.d.sync += [current.busy.eq(1), task.eq(_Task.TAKE), writing.eq(0), count.eq(count - 1)]
        return m

    def _count_seconds(self, m, minute):
        seconds = Signal(range(_MINUTE_S))
        with m.If(self.tick_s):
            m.d.sync += seconds.eq(seconds + 1)
            with m.If(seconds == _MINUTE_S - 1):
                m.d.sync += [seconds.eq(0), minute.eq(1)]

    def _count_lost(self, m, one_more):
        current = self.current
        missing, untold = Signal.like(current.lost), Signal.like(current.lost)
        m.d.comb += untold.eq(missing - Mux(current.done, current.lost, 0))
        m.d.sync += missing.eq(untold + (one_more & (untold != LOST_MAX)))
        with m.If(current.tell):
            m.d.sync += current.lost.eq(missing)
        with m.Elif(current.done):
            m.d.sync += current.lost.eq(0)

    def _move_bytes(self, m, task, step, writing, number, first, next_):
        """Each step one byte of an event is read and written; *age* does one event a step instead."""
        current = self.current
        m.submodules.memory = memory = Memory(shape=8, depth=_STEPS * _STEPS, init=[])
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            # Never both at once, as in `Sm4`.
            write.en.eq(current.busy & writing),
            read.en.eq(~write.en),
            self.clock_index.eq(step),
            current.byte.eq(read.data),
            read.addr.eq(Cat(current.address, C(_CURRENT, 3))),
        ]
        with m.If(current.busy):
            m.d.comb += read.addr.eq(Cat(step, first))
        with m.Switch(task):
            with m.Case(_Task.APPEND):
                m.d.comb += [write.addr.eq(Cat(step, next_)), write.data.eq(self.clock_byte)]
                with m.If(step == Slot.EVENT):
                    m.d.comb += write.data.eq(Cat(number, C(0, 3), self.clock_valid))
                with m.Elif(step == Slot.AGE):
                    m.d.comb += write.data.eq(0)
            with m.Case(_Task.TAKE):
                m.d.comb += [write.addr.eq(Cat(step, C(_CURRENT, 3))), write.data.eq(read.data)]
            with m.Case(_Task.AGE):
                place = Cat(C(Slot.AGE, 3), step)
                m.d.comb += [write.addr.eq(place), write.data.eq(_older(read.data))]
                with m.If(current.busy):
                    m.d.comb += read.addr.eq(place)


def _older(age):
    """`age`, two decimal digits, and one more; 99 stays."""
    ones, tens = age[:4], age[4:]
    carry = ones == 9
    stays = carry & (tens == 9)
    return Mux(stays, age, Cat(Mux(carry, 0, ones + 1)[:4], (tens + carry)[:4]))
