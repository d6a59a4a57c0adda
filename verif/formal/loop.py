"""Theorems from the class of the loop to events and lamps: nothing too short or lost, no false green."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem, unchanged

from sealchip.debounce import Debounce
from sealchip.interface import Kind, StateClass
from sealchip.lamps import Lamps
from sealchip.log_entry import LoopEvent
from sealchip.loop_monitor import QUEUE_DEPTH, LoopMonitor
from sealchip.timing import cycles

HOLD_SECONDS = 0.020


@theorem(k=1, reach=20, parameters="48 MHz, 960 000 cycles to hold, any input", smaller={"clock_hz": 250})
def state_changes_iff_the_input_held(m: Module, clock_hz: int = 48_000_000) -> None:
    """`state` becomes what the input has been for exactly the hold time, and changes at no other time; after
    that time it is the input's. `changed` marks each change in its first cycle.
    """
    debounce = Debounce(clock_hz, HOLD_SECONDS)
    dut = Subject(m, debounce)
    hold = cycles(clock_hz, HOLD_SECONDS)

    # Reference: for how long the input had been the same at the end of the cycle before.
    last, length = Signal(StateClass), Signal(range(hold + 2))
    m.d.sync += last.eq(debounce.i)
    with m.If((length == 0) | (debounce.i != last)):
        m.d.sync += length.eq(1)
    with m.Elif(length <= hold):
        m.d.sync += length.eq(length + 1)
    changed = debounce.state != past(m, debounce.state)

    m.d.comb += [
        Assert(debounce.changed == changed),
        Assert(~changed | ((length == hold) & (debounce.state == last))),
        Assert((length < hold) | (debounce.state == last)),
    ]

    # Invariants: the run is that of the reference.
    m.d.comb += [
        Assert(dut.signal("seen") == (length != 0)),
        Assert((length == 0) | (dut.signal("candidate") == last)),
        Assert((length == 0) | (last == debounce.state) | (dut.signal("run") == length - 1)),
    ]
    m.d.comb += [
        Cover(changed & (debounce.state == StateClass.OPEN) & past(m, length == hold - 1)),
        Cover(past(m, (length == hold - 1) & (last != debounce.state)) & ~changed),
    ]


@theorem(k=1, reach=40, parameters="48 MHz, 960 000 cycles to hold, any input", smaller={"clock_hz": 250})
def every_excursion_counts(m: Module, clock_hz: int = 48_000_000) -> list[Value]:
    """Each time the input comes back to `state` after one cycle or more of something else, `excursions` is
    one more in the next cycle, up to FFFF where it stays; it changes at no other time.
    """
    debounce = Debounce(clock_hz, HOLD_SECONDS)
    dut = Subject(m, debounce)

    away, begun = Signal(), Signal()
    m.d.sync += [away.eq(debounce.i != debounce.state), begun.eq(1)]
    left = begun & (past(m, debounce.i) != debounce.state)
    returns = left & (debounce.i == debounce.state)
    before = past(m, debounce.excursions)
    m.d.comb += [
        Assert(debounce.excursions == Mux(past(m, returns) & (before != 0xFFFF), before + 1, before)),
        Assert(dut.signal("seen") == begun),
        Assert(~begun | (dut.signal("candidate") == past(m, debounce.i))),
        Cover((debounce.excursions == 2) & (debounce.state == StateClass.SEALED)),
    ]
    return [(debounce.i == StateClass.SEALED) | (debounce.i == StateClass.OPEN)]


@theorem(k=0, reach=2)
def green_is_never_false(m: Module) -> None:
    """Green only with a valid identity, the loop sealed, a report acknowledged since power-up, nothing
    pending and the last report not failed; never together with red.
    """
    lamps = Lamps()
    Subject(m, lamps)
    sealed = lamps.state == StateClass.SEALED
    good = lamps.identity_valid & sealed & lamps.exchanged & ~lamps.pending & ~lamps.failed
    m.d.comb += [
        Assert(~lamps.green | good),
        Assert(~(lamps.green & lamps.red)),
        Assert(~(lamps.identity_ready & ~lamps.identity_valid) | lamps.red),
        Assert(sealed | (lamps.state == StateClass.UNKNOWN) | lamps.red),
        Cover(lamps.green),
        Cover(lamps.red),
    ]


class Queue:
    """The queue of a loop monitor: where its entries are, and that its pointers fit together."""

    def __init__(self, m: Module, dut: Subject) -> None:
        self._dut = dut
        self._depth = QUEUE_DEPTH - 1  # the buffer behind it is one more
        self._produce, self._consume = dut.signal("produce", "queue"), dut.signal("consume", "queue")
        self.level, self.buffered = dut.signal("inner_level", "queue"), dut.signal("r_rdy", "queue")
        distance = self._wrapped(self._depth + self._produce - self._consume)
        m.d.comb += [
            Assert((self._produce < self._depth) & (self._consume < self._depth)),
            Assert((self.level == distance) | ((self.level == self._depth) & (distance == 0))),
            Assert(self.buffered | (self.level <= 1)),
        ]

    def entry(self, index: Value) -> LoopEvent:
        """The entry with `index` others before it, the buffer not counted."""
        return LoopEvent(self._dut.row(self._wrapped(self._consume + index), "queue", "storage"))

    def _wrapped(self, slot: Value) -> Value:
        return Mux(slot >= self._depth, slot - self._depth, slot)[: len(self._produce)]


def change_of_state(m: Module, monitor: LoopMonitor, dut: Subject) -> Value:
    """Whether `state` differs from the cycle before; the filter marks exactly that."""
    change = monitor.state != past(m, monitor.state)
    filtered = dut.signal("candidate", "debounce") == monitor.state
    m.d.comb += Assert(dut.signal("changed", "debounce") == change)
    m.d.comb += Assert(~change | filtered)
    return change


@theorem(k=1, reach=30, parameters="48 MHz, any input, any `ready`", smaller={"clock_hz": 250})
def every_change_is_one_event(m: Module, clock_hz: int = 48_000_000) -> list[Value]:
    """While no more than 32 events wait, the n-th change of `state` is told by the n-th event, for every n
    below 2^32: with the state that it changed to, as *boot* for the first, *closed* for *sealed*, else
    *opened*.
    """
    monitor = LoopMonitor(clock_hz, HOLD_SECONDS)
    dut = Subject(m, monitor)
    queue = Queue(m, dut)
    change = change_of_state(m, monitor, dut)
    taken = monitor.o.valid & monitor.o.ready

    # Reference: change number `n`, counted from 0, is followed to its event.
    n = AnyConst(32)
    changes, events = Signal(32), Signal(32)
    happened, told = Signal(), Signal()
    state = Signal(StateClass)
    waiting = (changes - events)[:32]
    m.d.sync += [changes.eq(changes + change), events.eq(events + taken)]
    m.d.comb += Assume(~change | (waiting < QUEUE_DEPTH) & ~changes.all())
    with m.If(change & (changes == n) & ~happened):
        m.d.sync += [happened.eq(1), state.eq(monitor.state)]
    its_event = taken & (events == n) & ~told
    with m.If(its_event):
        m.d.sync += told.eq(1)

    def tells(event: LoopEvent) -> Value:
        kind = Mux(n == 0, Kind.BOOT, Mux(state == StateClass.SEALED, Kind.CLOSED, Kind.OPENED))
        return (event.state == state) & (event.kind == kind)

    m.d.comb += Assert(~its_event | (happened & tells(monitor.o.payload)))

    # Invariants: nothing is in the queue but the changes that wait, in order.
    pending = dut.signal("changed")
    held = dut.signal("candidate", "debounce") == monitor.state
    before = (n - events)[:32]  # events before that of change `n`
    m.d.comb += [
        Assert((waiting == queue.level + queue.buffered + pending) & (waiting <= QUEUE_DEPTH)),
        Assert(~pending | (~change & (held | (dut.signal("run", "debounce") == 0)))),
    ]
    m.d.comb += [
        Assert(dut.signal("booted") == (changes > pending)),
        Assert((events <= changes) & (happened == (changes > n)) & (told == (events > n))),
    ]
    index = (before - queue.buffered)[: len(queue.level)]
    stored = queue.entry(index)
    with m.If(happened & ~told):
        m.d.comb += Assert(before < waiting)
        with m.If(queue.buffered & (before == 0)):
            m.d.comb += Assert(tells(monitor.o.payload))
        with m.Elif(index < queue.level):
            m.d.comb += Assert(tells(stored))
        with m.Else():
            m.d.comb += Assert(pending & (monitor.state == state))

    kinds = (Kind.BOOT, Kind.OPENED, Kind.CLOSED)
    m.d.comb += [Cover(its_event & (monitor.o.payload.kind == kind)) for kind in kinds]
    return [n < 3]


@theorem(k=4, reach=30, parameters="48 MHz, any input, any `ready`", smaller={"clock_hz": 250})
def no_change_is_forgotten(m: Module, clock_hz: int = 48_000_000) -> None:
    """However many events wait: while `unlogged` is 0, the newest event that was taken told the present
    state; while it is 1, an event is offered within three cycles.
    """
    monitor = LoopMonitor(clock_hz, HOLD_SECONDS)
    dut = Subject(m, monitor)
    queue = Queue(m, dut)
    change = change_of_state(m, monitor, dut)

    told = Signal(StateClass)  # by the newest event that was taken
    with m.If(monitor.o.valid & monitor.o.ready):
        m.d.sync += told.eq(monitor.o.payload.state)
    unoffered = Signal(3)  # cycles
    m.d.sync += unoffered.eq(Mux(monitor.unlogged & ~monitor.o.valid, unoffered + ~unoffered.all(), 0))
    m.d.comb += [
        Assert(monitor.unlogged | (told == monitor.state)),
        Assert(unoffered <= 3),
    ]

    # Invariant: the newest event tells the present state, unless there is a change to tell.
    newest = queue.entry((queue.level - 1)[: len(queue.level)])
    with m.If(~change & ~dut.signal("changed")):
        with m.If(queue.level != 0):
            m.d.comb += Assert(newest.state == monitor.state)
        with m.Elif(queue.buffered):
            m.d.comb += Assert(monitor.o.payload.state == monitor.state)
    m.d.comb += [
        Cover(~monitor.unlogged & (told == StateClass.SEALED) & past(m, monitor.unlogged)),
        Cover(queue.level == 2),
    ]


@theorem(k=1, reach=30, parameters="48 MHz, any input, any `ready`", smaller={"clock_hz": 250})
def events_wait_until_taken(m: Module, clock_hz: int = 48_000_000) -> None:
    """Stream rule: an event that is offered stays, unchanged, until it is taken."""
    monitor = LoopMonitor(clock_hz, HOLD_SECONDS)
    Subject(m, monitor)
    waits = past(m, monitor.o.valid & ~monitor.o.ready)
    same = unchanged(m, monitor.o.payload)
    m.d.comb += [Assert(~waits | (monitor.o.valid & same)), Cover(waits & monitor.o.ready)]
