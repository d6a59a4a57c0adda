"""Theorems from the loop's class to events and LEDs: no glitch counts, no event is lost, no false green."""

from itertools import pairwise

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Const, Cover, Module, Mux, Signal, Value

from sealchip.interface import Kind, StateClass
from sealchip.sense.debounce import HOLD_MS, Debounce
from sealchip.sense.event_queue import QUEUE_DEPTH
from sealchip.sense.flapping import FLAPPING_CHANGES, FLAPPING_S, Flapping
from sealchip.sense.loop_event import LoopEvent
from sealchip.sense.loop_monitor import LoopMonitor
from sealchip.status_leds import StatusLeds
from verif.formal.queue import Followed, Queue
from verif.formal.theorem import Subject, past, theorem, unchanged


@theorem(k=1, reach=30, parameters="20 ticks to hold, any input, ticks and blindness at any time")
def state_changes_iff_the_input_held(m: Module) -> None:
    """`state` takes over a value that the input has held for exactly 20 ticks after its first cycle, not
    counting blind cycles, and changes at no other time; after those ticks it equals the input. `changed`
    marks the first cycle of each change.
    """
    debounce = Debounce()
    dut = Subject(m, debounce)

    # Reference: what the input was when last seen, and the ticks since the first cycle of that.
    last, ticks = Signal(StateClass), Signal(range(HOLD_MS + 1))
    sees = ~debounce.blind
    with m.If(sees & (debounce.i != last)):
        m.d.sync += [last.eq(debounce.i), ticks.eq(0)]
    with m.Elif(sees & debounce.tick_ms & (ticks != HOLD_MS)):
        m.d.sync += ticks.eq(ticks + 1)
    changed = debounce.state != past(m, debounce.state)
    held = past(m, ticks) == HOLD_MS - 1

    m.d.comb += [
        Assert(debounce.changed == changed),
        Assert(~changed | (held & (ticks == HOLD_MS) & (debounce.state == last))),
        Assert((ticks != HOLD_MS) | (debounce.state == last)),
    ]

    # Invariants: the run is that of the reference.
    m.d.comb += [
        Assert(dut.signal("candidate") == last),
        Assert((last == debounce.state) | (dut.signal("run") == ticks)),
        Cover(changed & (debounce.state == StateClass.OPEN)),
        Cover((last != debounce.state) & past(m, ticks == HOLD_MS - 1) & (ticks == 0)),
    ]


@theorem(k=1, reach=50, parameters="20 ticks to hold, any input, ticks and blindness at any time")
def every_excursion_counts(m: Module) -> list[Value]:
    """`excursion` is 1 exactly in the cycles in which the input is back at `state` and was different in the
    last cycle that was not blind.
    """
    debounce = Debounce()
    dut = Subject(m, debounce)

    seen = Signal(StateClass)
    with m.If(~debounce.blind):
        m.d.sync += seen.eq(debounce.i)
    returns = ~debounce.blind & (seen != debounce.state) & (debounce.i == debounce.state)
    m.d.comb += [
        Assert(debounce.excursion == returns),
        Assert(dut.signal("candidate") == seen),
        Cover(debounce.excursion & (debounce.state == StateClass.SEALED)),
    ]
    return [debounce.tick_ms]


#: Seconds of a period; a change counts for three periods. Number of ticks that are distinguished.
PERIOD, MANY = 5, 15


@theorem(k=1, reach=45, parameters="ticks and changes at any time")
def flapping_begins_and_ends_in_time(m: Module) -> list[Value]:
    """`flapping` rises exactly after a change that finds five others, all since the last fall, in its own
    period of five ticks and the two periods before it; periods are counted from reset and from each fall. It
    therefore always rises if no more than 10 ticks came since the first of six changes, and never if 15 came.
    It falls exactly after the eleventh tick since the last change; a tick in the same cycle as a change
    counts as earlier.
    """
    flapping = Flapping()
    dut = Subject(m, flapping)
    change, tick, now = flapping.change, flapping.tick_s, flapping.flapping

    # Reference: of the last five changes, the newest first, the fifth ticks and the ticks since it.
    second = Signal(range(PERIOD))
    fifth = tick & (second == PERIOD - 1)
    since = Signal(range(FLAPPING_S + 2))  # ticks since the last change
    periods = [Signal(range(4), init=3, name=f"periods{n}") for n in range(FLAPPING_CHANGES - 1)]
    ticks = [Signal(range(MANY + 1), init=MANY, name=f"ticks{n}") for n in range(FLAPPING_CHANGES - 1)]
    rises = ~now & change & (periods[-1] != 3)
    falls = now & tick & ~change & (since == FLAPPING_S)
    with m.If(now | rises):
        m.d.sync += [second.eq(0), *(age.eq(age.init) for age in (*periods, *ticks))]
    with m.Else():
        m.d.sync += second.eq(Mux(fifth, 0, second + tick))
        for ages, passes in ((periods, fifth), (ticks, tick)):
            for age, newer in zip(ages, [Const(0), *ages], strict=False):
                it = Mux(change, newer, age)
                m.d.sync += age.eq(Mux(passes & (it != age.init), it + 1, it))
    m.d.sync += since.eq(Mux(change | falls, 0, since + (tick & (since <= FLAPPING_S))))

    m.d.comb += [
        Assert(now == Mux(past(m, now), ~past(m, falls), past(m, rises))),
        Assert(flapping.begins == rises),
        Assert(flapping.ends == falls),
        Assert(~rises | (ticks[-1] < MANY)),
        Assert(~(~now & change & (ticks[-1] <= FLAPPING_S)) | rises),
    ]

    # Invariants: each count is of the changes that are young enough, and ages agree.
    begun = past(m, rises)
    for n, youngest in enumerate((2, 1, 0)):
        count = sum(age <= youngest for age in periods)
        m.d.comb += Assert(begun | (dut.signal(f"count{n}") == count))
    for age, passed in zip(periods, ticks, strict=True):
        least = Mux(age == 0, 0, PERIOD * (age - 1) + second + 1)
        m.d.comb += [
            Assert(passed >= Mux(least > MANY, MANY, least)),
            Assert((age == 3) | (passed <= PERIOD * age + second)),
        ]
    m.d.comb += [
        *(Assert(newer <= older) for newer, older in pairwise(periods)),
        *(Assert(~now | (age == 3)) for age in periods),
        Assert(dut.signal("second") == Mux(now, since, second)),
        Assert(~begun | (now & (since == 0))),
        Assert(second < Mux(now, 1, PERIOD)),
        Assert(~now | (since <= FLAPPING_S)),
        Cover(rises & (ticks[-1] == MANY - 1)),
        Cover(falls),
    ]
    return [tick]


@theorem(k=0, reach=2)
def green_is_never_false(m: Module) -> None:
    """Green is lit only with a valid identity, the loop sealed, both filtered and as just measured, and not
    flapping, a report acknowledged since power-up, nothing pending or unlogged, the last report not failed,
    the bus not stuck and no lock-out. It is never lit together with red. An open loop gives steady red.
    """
    leds = StatusLeds()
    Subject(m, leds)
    core, loop, meter = leds.core, leds.loop, leds.meter
    sealed = (loop.state == StateClass.SEALED) & (leds.measurement.class_ == StateClass.SEALED)
    pending = core.pending | loop.unlogged
    faults = loop.flapping | meter.failed | leds.bus_stuck | leds.locked_out
    good = core.identity_valid & sealed & meter.exchanged & ~pending & ~faults
    readable = ~core.identity_ready | core.identity_valid
    m.d.comb += [
        Assert(~leds.green | good),
        Assert(~(leds.green & leds.red)),
        Assert((loop.state != StateClass.OPEN) | loop.flapping | ~readable | leds.red),
        Cover(leds.green),
        Cover(leds.red),
    ]


def change_of_state(m: Module, monitor: LoopMonitor, dut: Subject) -> Value:
    """Return whether `state` differs from the cycle before, and assert that the filter marks exactly that."""
    change = monitor.status.state != past(m, monitor.status.state)
    m.d.comb += [
        Assert(dut.part("debounce").changed == change),
        Assert(~change | (dut.signal("candidate", "debounce") == monitor.status.state)),
    ]
    return change


#: Kinds of event that report a change.
TOLD_BY = (Kind.BOOT, Kind.OPENED, Kind.CLOSED, Kind.FLAPPING)


@theorem(k=1, reach=40, parameters="any input, ticks, strobes and `ready`", smaller={"hold_ms": 1})
def every_change_is_one_event(m: Module, hold_ms: int = HOLD_MS) -> list[Value]:
    """A change of `state` while `flapping` is counted in `excursions`. Every other change, for every number
    of changes below 2^32 and if no more than 30 events wait when it comes, is reported by one event with the
    state that it changed to: *boot* for the first change, *flapping* if `flapping` rises after it, *closed*
    for *sealed*, else *opened*.
    """
    monitor = LoopMonitor(hold_ms=hold_ms)
    dut = Subject(m, monitor)
    queue = Queue(m, dut)
    change = change_of_state(m, monitor, dut)

    # Reference: change number `n`, counted from 0, is followed to its event.
    n, changes = AnyConst(32), Signal(32)
    m.d.sync += changes.eq(changes + change)
    m.d.comb += Assume(~change | (queue.level < QUEUE_DEPTH - 1) & ~changes.all())
    its_change = change & (changes == n)
    state = Signal(StateClass)
    kind = Signal(Kind)
    followed = Followed(m, dut, queue, begins=past(m, its_change & ~monitor.status.flapping))
    with m.If(its_change):
        m.d.sync += state.eq(monitor.status.state)
    with m.If(followed.begins):
        m.d.sync += kind.eq(LoopEvent(dut.signal("event")).kind)
    sealed = past(m, monitor.status.state) == StateClass.SEALED
    plain = Mux(sealed, Kind.CLOSED, Kind.OPENED)
    usual = Mux(n == 0, Kind.BOOT, Mux(monitor.status.flapping, Kind.FLAPPING, plain))
    m.d.comb += [
        Assert(~followed.begins | (followed.enters & (LoopEvent(dut.signal("event")).kind == usual))),
        *followed.tells(lambda event: (event.state == state) & (event.kind == kind)),
    ]

    # A change that is not reported by an event is counted.
    counted = past(m, change & monitor.status.flapping)
    before = past(m, monitor.status.excursions)
    m.d.comb += Assert(~counted | (monitor.status.excursions == Mux(before == 0xFFFF, before, before + 1)))

    # Invariants: a change is reported in the cycle after it, and nothing is reported before the first.
    earlier = past(m, changes)
    change_waits = dut.signal("change_waits")
    flaps = dut.signal("flapping_waits") | monitor.status.flapping
    m.d.comb += [
        Assert(changes - earlier == past(m, change)),
        Assert(dut.signal("booted") == (earlier != 0)),
        Assert((changes != 0) | ~(change_waits | flaps)),
        Assert((changes == 0) | (earlier != 0) | (change_waits & ~flaps)),
        Assert(~past(m, change) | queue.i.ready),
        Assert(~(followed.inside | followed.begins) | (changes > n)),
        Assert(~followed.begins | (state == monitor.status.state)),
        *(Cover(followed.leaves & (kind == it)) for it in TOLD_BY),
    ]
    return [n < 8, monitor.ticks.ms, ~monitor.measurement.blind, monitor.restored.valid]


@theorem(k=1, reach=30, parameters="any input, ticks, strobes and `ready`", smaller={"hold_ms": 3})
def no_change_is_forgotten(m: Module, hold_ms: int = HOLD_MS) -> None:
    """However many events wait: while `unlogged` is 0, the newest event that was taken reports the present
    state; while it is 1 and the loop is not flapping, an event is offered within 36 cycles.
    """
    monitor = LoopMonitor(hold_ms=hold_ms)
    dut = Subject(m, monitor)
    queue = Queue(m, dut)
    change = change_of_state(m, monitor, dut)

    told = Signal(StateClass)  # by the newest event that was taken
    with m.If(monitor.o.valid & monitor.o.ready):
        m.d.sync += told.eq(monitor.o.payload.state)
    unoffered = Signal(range(64))  # cycles
    m.d.sync += unoffered.eq(
        Mux(
            monitor.status.unlogged & ~monitor.o.valid & ~monitor.status.flapping,
            unoffered + ~unoffered.all(),
            0,
        )
    )
    m.d.comb += [
        Assert(monitor.status.unlogged | (told == monitor.status.state)),
        Assert(unoffered <= QUEUE_DEPTH + 4),
    ]

    # Invariants: the newest event reports the present state, unless there is a change yet to report.
    waits = dut.signal("change_waits") | dut.signal("flapping_waits")
    newest = queue.entry(queue.level - 1)
    with m.If(~change & ~waits & ~monitor.status.flapping):
        m.d.comb += Assert(Mux(queue.level == 0, told, newest.state) == monitor.status.state)
    m.d.comb += [
        Assert(unoffered <= Mux(queue.level == 0, waits, queue.level + 1 + queue.o.valid)),
        Cover(~monitor.status.unlogged & (told == StateClass.SEALED) & past(m, monitor.status.unlogged)),
        Cover(queue.level == 2),
    ]


@theorem(k=1, reach=30, parameters="any input, ticks, strobes and `ready`", smaller={"hold_ms": 3})
def events_wait_until_taken(m: Module, hold_ms: int = HOLD_MS) -> None:
    """The stream rule holds: an event that is offered stays, unchanged, until it is taken."""
    monitor = LoopMonitor(hold_ms=hold_ms)
    dut = Subject(m, monitor)
    Queue(m, dut)
    waits = past(m, monitor.o.valid & ~monitor.o.ready)
    same = unchanged(m, monitor.o.payload)
    m.d.comb += [Assert(~waits | (monitor.o.valid & same)), Cover(waits & monitor.o.ready)]


@theorem(
    k=1,
    reach=40,
    parameters="any input, ticks, strobes and `ready`",
    smaller={"hold_ms": 3},
    long=True,
)
def excursions_are_told(m: Module, hold_ms: int = HOLD_MS) -> list[Value]:
    """The excursions in all events so far, together with those since the last event, equal the number
    counted, as long as fewer than 255 come between two events and fewer than 65 535 altogether.
    """
    monitor = LoopMonitor(hold_ms=hold_ms)
    dut = Subject(m, monitor)
    told, many = Signal(16), Signal()
    since = dut.signal("since")
    with m.If(dut.signal("taken")):
        m.d.sync += told.eq(told + LoopEvent(dut.signal("event")).excursions)
    with m.If((since == 0xFF) | (monitor.status.excursions == 0xFFFF)):
        m.d.sync += many.eq(1)
    now_many = many | (since == 0xFF) | (monitor.status.excursions == 0xFFFF)
    m.d.comb += [
        Assert(now_many | ((told + since)[:16] == monitor.status.excursions)),
        Cover((told == 2) & (since == 1)),
    ]
    return [monitor.ticks.ms, ~monitor.measurement.blind, monitor.restored.valid]
