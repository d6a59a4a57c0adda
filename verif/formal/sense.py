"""Theorems about when a loop counts as sealed: when its voltage is learned, and what the pattern detects."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value

from sealchip.interface import Kind, StateClass
from sealchip.sense.classifier import NO_BASELINE_MV, SEALED_MAX_MV, SEALED_MIN_MV, Classifier, is_learned
from sealchip.sense.debounce import HOLD_MS
from sealchip.sense.front_end import FrontEnd, Sensor
from sealchip.sense.loop_event import LoopEvent
from sealchip.sense.loop_monitor import LoopMonitor
from sealchip.sense.pattern import CLEAN_PHASES, OFF_MS, SETTLE_MS
from verif.formal.queue import Followed, Queue
from verif.formal.theorem import Subject, past, theorem, unchanged

CLOCK_HZ = 307_200


def within_range(mv: Value) -> Value:
    """Return whether a loop of that voltage may be sealed."""
    return (mv >= SEALED_MIN_MV) & (mv <= SEALED_MAX_MV)


@theorem(k=1, reach=30, parameters="any measurement at any time, ticks and strobes", smaller={"hold_ms": 3})
def learned_only_when_sealing(m: Module, hold_ms: int = HOLD_MS) -> None:
    """Once restored, the baseline changes only in the cycle after an accepted `seal`, or when the loop
    becomes *sealed* and there is no baseline. It then becomes the measured voltage, which lies within 3000 to
    5250 mV. The monitor gets the classifier's class or *mismatch*, and `sealable` only in that range.
    """
    classifier = Classifier()
    monitor = LoopMonitor(hold_ms=hold_ms)
    measurement, command, status = monitor.measurement, monitor.command, monitor.status
    parts = Subject(m, classifier, "classifier", driven=(classifier.baseline_mv, classifier.place))
    dut = Subject(m, monitor, "monitor", driven=(measurement.millivolts,))
    class_, millivolts, baseline = classifier.class_, classifier.millivolts, status.baseline_mv
    m.d.comb += [
        classifier.baseline_mv.eq(baseline),
        measurement.millivolts.eq(millivolts),
        Assume((measurement.class_ == class_) | (measurement.class_ == StateClass.MISMATCH)),
        Assume(~measurement.sealable | classifier.in_range),
    ]

    # The converter: a voltage stands for sixteen places.
    place = classifier.place
    m.d.sync += place.eq(place + classifier.step)
    m.d.comb += Assume((place == 0) | unchanged(m, classifier.measured_mv))

    started = past(m, monitor.restored.valid)
    restored = past(m, started)
    before = past(m, baseline, init=NO_BASELINE_MV)
    changes = restored & (baseline != before)
    becomes_sealed = (status.state == StateClass.SEALED) & (past(m, status.state) != StateClass.SEALED)
    closes = becomes_sealed & ~is_learned(before)
    m.d.comb += [
        Assume(~started | monitor.restored.valid),
        Assert(~changes | command.seal_done | closes),
        Assert(~changes | (within_range(baseline) & (baseline == past(m, millivolts)))),
    ]

    # Invariants: what the classifier has found at the lower places, and what it outputs for its measurement.
    lower = ((1 << place) - 1)[:16]
    measured_low = classifier.measured_mv & lower
    below, above = parts.signal("below_range"), parts.signal("above_range")
    m.d.comb += [
        Assert(below == (measured_low < (SEALED_MIN_MV & lower))),
        Assert(above == (measured_low > (SEALED_MAX_MV & lower))),
        Assert(is_learned(baseline) | parts.signal("baseline").bit_select(~place, 1)),
    ]
    measured = class_ != StateClass.UNKNOWN
    sealed_without = (class_ == StateClass.SEALED) & ~is_learned(baseline)
    m.d.comb += [
        Assert(dut.signal("started") == started),
        Assert(started | ~is_learned(baseline)),
        Assert(classifier.in_range == (measured & within_range(millivolts))),
        Assert(~sealed_without | (measured & within_range(millivolts))),
        Cover(changes & command.seal_done & is_learned(before)),
        Cover(changes & closes),
    ]


@theorem(k=1, reach=30, parameters="any input, ticks, strobes and `ready`", smaller={"hold_ms": 3})
def sealing_is_answered_and_told(m: Module, hold_ms: int = HOLD_MS) -> list[Value]:
    """Each `seal` is answered in the next cycle by either `seal_done` or `seal_refused`, never both. It is
    done only on a loop that is `sealable`, not flapping and still of the class of its state; the baseline is
    then the measured voltage. A refusal changes no baseline and is reported by an event *sealing refused*.
    """
    monitor = LoopMonitor(hold_ms=hold_ms)
    measurement, command, status = monitor.measurement, monitor.command, monitor.status
    dut = Subject(m, monitor)
    queue = Queue(m, dut)
    seal = past(m, command.seal)
    good = past(
        m,
        measurement.sealable & ~status.flapping & (measurement.class_ == status.state),
    )
    started = past(m, monitor.restored.valid)
    before = past(m, status.baseline_mv, init=NO_BASELINE_MV)
    m.d.comb += [
        Assert(command.seal_done + command.seal_refused == seal),
        Assert(~command.seal_done | (good & (status.baseline_mv == past(m, measurement.millivolts)))),
        Assert(dut.signal("started") == started),
    ]

    # Reference: any one refusal is followed to its event. Refusals that come while it waits share that event.
    chosen = AnyConst(32)
    cycle = Signal(32)
    m.d.sync += cycle.eq(cycle + 1)
    its_refusal = command.seal_refused & (cycle == chosen)
    waits = Signal()
    event = LoopEvent(dut.signal("event"))
    refusal_waits = dut.signal("sealing_refused_waits")
    followed = Followed(m, dut, queue, begins=(waits | its_refusal) & (event.kind == Kind.SEALING_REFUSED))
    with m.If(followed.enters):
        m.d.sync += waits.eq(0)
    with m.Elif(its_refusal):
        m.d.sync += waits.eq(1)
    learns = (status.state == StateClass.SEALED) & (past(m, status.state) != StateClass.SEALED)
    m.d.comb += [
        Assume(~cycle.all()),
        *followed.tells(lambda it: it.kind == Kind.SEALING_REFUSED),
        Assert(~(waits | command.seal_refused) | refusal_waits),
        Assert(~(command.seal_refused & past(m, started)) | learns | (status.baseline_mv == before)),
        Assert(~waits | ~followed.inside),
        Assert(~(waits | followed.inside) | (cycle > chosen)),
        Cover(followed.leaves),
        Cover(command.seal_done),
    ]
    return [chosen < 20]


@theorem(k=1, reach=120, parameters="comparator, any line, ticks at any time", long=True)
def sealed_only_while_the_pattern_returns(m: Module) -> list[Value]:
    """A line that is not open in any cycle of an off phase, from the phase's 8th tick on, is a *mismatch*
    from the end of that phase until four off phases in a row have been open throughout; in between the class
    is never *sealed*.
    """
    front_end = FrontEnd(CLOCK_HZ, Sensor.COMPARATOR, pattern=True)
    dut = Subject(m, front_end)
    line = past(m, past(m, front_end.cmp))  # after the synchroniser

    # Reference: ticks of this phase, whether the line was open in it, and clean phases still to come.
    ticks = Signal(range(SETTLE_MS + 1))
    foreign = Signal()
    owed = Signal(range(CLEAN_PHASES + 1))
    switches = front_end.drive != past(m, front_end.drive)
    ends_off = switches & front_end.drive
    settled = Mux(switches, 0, ticks) == SETTLE_MS
    with m.If(front_end.ticks.ms & ~settled):
        m.d.sync += ticks.eq(Mux(switches, 0, ticks) + 1)
    with m.Elif(switches):
        m.d.sync += ticks.eq(0)
    m.d.sync += foreign.eq(Mux(switches, 0, foreign) | (~front_end.drive & settled & line))
    now_owed = Mux(ends_off, Mux(foreign, CLEAN_PHASES, owed - (owed != 0)), owed)
    m.d.sync += owed.eq(now_owed)

    # Invariants: the registers of the pattern match the reference.
    pattern = dut.part("pattern")
    elapsed = dut.signal("elapsed", "pattern")
    passed = Mux(switches, 0, ticks)
    off = ~front_end.drive
    m.d.comb += [
        Assert(dut.signal("stage0", "synchroniser") == past(m, front_end.cmp)),
        Assert(pattern.reads_open == ~line),
        Assert(passed == Mux(elapsed < SETTLE_MS, elapsed, SETTLE_MS)),
        Assert(dut.signal("settled", "pattern") == (passed == SETTLE_MS)),
        Assert(~off | (dut.signal("read_other", "pattern") == Mux(switches, 0, foreign))),
        Assert(~off | (elapsed <= SETTLE_MS) | dut.signal("was_read", "pattern")),
        Assert(~off | (elapsed < OFF_MS)),
        Assert(dut.signal("unclean", "pattern") == now_owed),
        Assert(dut.signal("class_") <= StateClass.SEALED),
    ]
    m.d.comb += [
        Assert((front_end.measurement.class_ == StateClass.MISMATCH) == (now_owed != 0)),
        Assert(~front_end.measurement.sealable | (front_end.measurement.class_ == StateClass.SEALED)),
        Cover(ends_off & (front_end.measurement.class_ == StateClass.MISMATCH)),
    ]
    return [front_end.ticks.ms]
