"""Theorems use this model of a loop monitor's queue to follow an event through it."""

from collections.abc import Callable, Iterator

from amaranth.hdl import Assert, Module, Signal, Value

from sealchip.sense.event_queue import QUEUE_DEPTH
from sealchip.sense.loop_event import LoopEvent
from verif.formal.theorem import Subject

__all__ = ["Followed", "Queue"]


class Queue:
    """Gives the place of each entry, and asserts that the pointers fit together."""

    def __init__(self, m: Module, dut: Subject) -> None:
        self._dut = dut
        self.o = dut.part("queue").o
        self.i = dut.part("queue").i
        self._consume = dut.signal("consume", "queue")
        self.level = (dut.signal("produce", "queue") - self._consume)[: len(self._consume)]
        m.d.comb += [
            Assert(self.level <= QUEUE_DEPTH),
            # What is offered is the first row.
            Assert(~self.o.valid | (self.level != 0)),
            Assert(~self.o.valid | (self.o.payload == self._row(0))),
        ]

    def entry(self, index: Value) -> LoopEvent:
        """Return the event with `index` others before it."""
        return LoopEvent(self._row(index))

    def _row(self, index: Value) -> Value:
        return self._dut.row((self._consume + index)[: len(self._consume) - 1], "queue", "storage")


class Followed:
    """Follows the event that is made in the cycle `begins` through the queue up to the port.

    `enters` is set when it goes into the queue, `inside` from then on, `leaves` when the port takes it out.
    """

    def __init__(self, m: Module, dut: Subject, queue: Queue, begins: Value) -> None:
        self.begins = begins
        self._queue = queue
        self.inside = Signal()
        self._before = Signal(range(QUEUE_DEPTH + 1))  # events that leave before it
        self.enters = begins & queue.i.valid & queue.i.ready
        moves = queue.o.valid & queue.o.ready
        self.leaves = self.inside & moves & (self._before == 0)
        with m.If(self.enters):
            m.d.sync += [self.inside.eq(1), self._before.eq(queue.level - moves)]
        with m.Elif(self.inside & moves):
            m.d.sync += [self.inside.eq(self._before != 0), self._before.eq(self._before - 1)]

    def tells(self, right: Callable[[LoopEvent], Value]) -> Iterator[Value]:
        """Yield asserts that the event keeps its place and stays `right` up to the port."""
        queue = self._queue
        yield Assert(~self.inside | (self._before < queue.level))
        yield Assert(~self.inside | right(queue.entry(self._before)))
        yield Assert(~self.leaves | right(LoopEvent(queue.o.payload)))
