"""A queue for the events that wait while the log is busy."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["QUEUE_DEPTH", "EventQueue"]

QUEUE_DEPTH = 32


class EventQueue(wiring.Component):
    """Holds 32 events in block RAM, first in, first out.

    *Timing:* an event is offered two cycles after it has entered, at the earliest. One
    leaves in every second cycle at most.

    Parameters
    ----------
    shape : the shape of an event.

    Members
    -------
    i, o : events.
    empty : no event waits.

    Guarantees: `verif/blocks/test_event_queue.py::test_queue_like_a_list`; as part of `LoopMonitor`,
    `verif/blocks/test_loop.py::test_nothing_is_lost_while_the_log_is_stalled`.
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__(
            {"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "empty": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        storage = m.submodules.storage = Memory(shape=self._shape, depth=QUEUE_DEPTH, init=[])
        write, read = storage.write_port(), storage.read_port()
        # One bit more than the number of a row: it differs in a full queue and is equal in an empty one.
        produce = Signal(range(2 * QUEUE_DEPTH))
        consume = Signal(range(2 * QUEUE_DEPTH))
        m.d.comb += [
            self.empty.eq(produce == consume),
            self.i.ready.eq(produce != (consume ^ QUEUE_DEPTH)),
            write.addr.eq(produce),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            read.addr.eq(consume),
            # Never both at once: block RAM leaves that undefined, and synthesis would add logic to define it.
            read.en.eq(~write.en),
            self.o.payload.eq(read.data),
        ]
        with m.If(write.en):
            m.d.sync += produce.eq(produce + 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [consume.eq(consume + 1), self.o.valid.eq(0)]
        with m.Elif(read.en):
            m.d.sync += self.o.valid.eq(~self.empty)
        return m
