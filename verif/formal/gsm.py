"""Theorems about the GSM dialogue: it never waits for ever, and an event does not change while it is sent."""

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Signal, Value

from sealchip.gsm.queue import DEPTH, GsmQueue
from sealchip.gsm.script import Order
from sealchip.gsm.sequencer import GsmSequencer
from sealchip.interface import Kind
from verif.formal.theorem import Subject, past, theorem, unchanged


@theorem(k=1, reach=36, parameters="the script")
def every_wait_ends(m: Module) -> list[Value]:
    """A wait ends at the latest in the cycle after as many ticks as its word has, whatever the module sends,
    and no character is sent during the wait.
    """
    sequencer = GsmSequencer()
    dut = Subject(m, sequencer)
    state, place, word = dut.fsm(), dut.signal("place"), dut.signal("word")
    waits = state.ongoing("act") & (word[12:] == 0xC | Order.WAIT)
    limit = word[:7]

    ticks = Signal(8)
    with m.If(~waits):
        m.d.sync += ticks.eq(0)
    with m.Elif(sequencer.tick_s):
        m.d.sync += ticks.eq(ticks + 1)
    m.d.comb += [
        Assert(~waits | (ticks <= limit)),
        Assert(~past(m, waits & (ticks == limit)) | state.ongoing("fetch")),
        Assert(~waits | ~sequencer.o.valid),
        # Invariants: the word is the one at its place, and the seconds, at most seven bits, are counted.
        Assert(state.ongoing("fetch") | (word == dut.row(place, "script"))),
        Assert(~waits | (dut.signal("seconds") == ticks)),
        Cover(past(m, waits & (ticks == limit))),
        Cover(past(m, waits & (ticks != limit)) & state.ongoing("fetch")),
    ]
    return [sequencer.event.waiting, sequencer.identity_byte == ord("1"), sequencer.o.ready, sequencer.tick_s]


@theorem(k=1, reach=12, parameters="the script; data bytes and number that rest while a character waits")
def characters_wait_until_taken(m: Module) -> list[Value]:
    """A character that is offered stays, unchanged, until it is taken."""
    sequencer = GsmSequencer()
    dut = Subject(m, sequencer)
    event = sequencer.event
    waits = past(m, sequencer.o.valid & ~sequencer.o.ready)
    m.d.comb += [
        Assume(~waits | unchanged(m, Cat(sequencer.identity_byte, event.byte, event.lost))),
        Assert(~waits | (sequencer.o.valid & unchanged(m, sequencer.o.payload))),
        Assert(dut.fsm().ongoing("fetch") | (dut.signal("word") == dut.row(dut.signal("place"), "script"))),
        Cover(waits & past(m, waits) & sequencer.o.ready),
    ]
    return [event.waiting, sequencer.identity_byte == ord("1")]


@theorem(k=1, reach=44, parameters="ends of events that are there")
def what_is_told_stays(m: Module) -> list[Value]:
    """While the queue is held and not busy, nothing is written, and the oldest event and the number of lost
    ones stay the same. The queue never holds more than four events.
    """
    queue = GsmQueue()
    dut = Subject(m, queue)
    current = queue.current
    first, end, dropped = (dut.signal(name) for name in ("first", "end", "dropped"))
    kept = Signal(3)
    m.d.comb += kept.eq(end - first)
    ends = current.done | current.gave_up
    held = past(m, current.hold & ~current.busy)
    m.d.comb += [
        # The sequencer ends and starts events only in this way.
        Assume(~ends | ((current.waiting | dropped) & ~current.hold & ~current.start)),
        Assume(~(current.done & current.gave_up)),
        Assume(~current.start | ~current.hold),
        Assert(kept <= DEPTH),
        Assert(~held | unchanged(m, Cat(first, end, current.lost))),
        Assert(~held | ~current.busy),
        # Invariant: there is room for the event that is being appended.
        Assert(~(current.busy & dut.signal("append")) | (kept < DEPTH)),
        Cover(held & (kept == 2)),
        Cover(past(m, current.start & current.waiting)),
    ]
    return [
        queue.kind == Kind.OPENED,
        queue.clock_free,
        ~queue.tick_s,
        ~ends,
        ~queue.valid | ~past(m, queue.valid),
    ]
