"""Tests of how classes of measurement become events."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sealchip.interface import Kind, StateClass
from sealchip.sense.debounce import Debounce
from sealchip.sense.event_queue import QUEUE_DEPTH
from sealchip.sense.loop_monitor import LoopMonitor
from verif.benches.block import Bench, examples, simulate

#: A class must hold for so many ticks in these tests.
HOLD = 5
OPEN, LOW, SEALED = StateClass.OPEN, StateClass.LOW, StateClass.SEALED

lengths = st.sampled_from([1, 2, HOLD, HOLD + 1, HOLD + 2, 4 * HOLD])
runs = st.lists(st.tuples(st.sampled_from(StateClass), lengths), min_size=1, max_size=15)


def levels(runs):
    """Return the class in each cycle."""
    return [value for value, length in runs for _ in range(length)]


def filtered(samples, period=1):
    """Return (state, excursions) in each cycle, as a reference found from the runs of equal samples.

    A tick comes in every `period`-th cycle.
    """
    starts = [n for n, value in enumerate(samples) if n == 0 or value != samples[n - 1]]
    state, changes, excursions = StateClass.UNKNOWN, [], []
    for start, end in zip(starts, [*starts[1:], len(samples)], strict=True):
        if start and samples[start] == state != samples[start - 1]:
            excursions.append(start + 1)
        ticks = [cycle for cycle in range(start + 1, end) if cycle % period == 0]
        # The class that is there after reset, *unknown*, has no first cycle; nothing can come of it.
        if len(ticks) >= HOLD and samples[start] != state:
            state = samples[start]
            changes.append((ticks[HOLD - 1] + 1, state))
    result = []
    for cycle in range(len(samples)):
        past = [state for at, state in changes if at <= cycle]
        result.append((past[-1] if past else StateClass.UNKNOWN, sum(at <= cycle for at in excursions)))
    return result


DEBOUNCE = Bench(Debounce, HOLD)


def debounce(samples, period=1, blind=()):
    """Return (state, excursions) in each cycle; check that `changed` marks exactly the new states.

    In the cycles `blind` the input is not to be looked at.
    """
    dut, result = DEBOUNCE.dut, []

    async def testbench(ctx):
        before, excursions = StateClass.UNKNOWN, 0
        for cycle, value in enumerate(samples):
            ctx.set(dut.i, value)
            ctx.set(dut.tick_ms, cycle % period == 0)
            ctx.set(dut.blind, cycle in blind)
            state = ctx.get(dut.state)
            assert ctx.get(dut.changed) == (state != before)
            before = state
            result.append((state, excursions))
            excursions += ctx.get(dut.excursion)
            await ctx.tick()

    DEBOUNCE.run(testbench)
    return result


@examples(60)
@given(runs=runs, period=st.integers(1, 3))
def test_debounce_against_model(runs, period):
    samples = levels(runs) + [runs[-1][0]] * 2
    assert debounce(samples, period) == filtered(samples, period)


def test_debounce_is_two_sided():
    """A class held for exactly the hold time is taken over, in exactly that cycle; held for one cycle less it
    counts as an excursion.
    """
    sealed, opened = [SEALED] * 10, [OPEN]
    taken = debounce(sealed + opened * (HOLD + 1) + [SEALED] * 3)
    assert [state for state, _ in taken[: 11 + HOLD]] == [0] * (HOLD + 1) + [SEALED] * 10
    assert [state for state, _ in taken[11 + HOLD :]] == [OPEN] * 3
    assert {count for _, count in taken} == {0}, "a change that was taken over does not count as an excursion"
    refused = debounce(sealed + opened * HOLD + [SEALED] * 3)
    assert [state for state, _ in refused[HOLD + 1 :]] == [SEALED] * (len(refused) - HOLD - 1)
    assert refused[-1][1] == 1


@examples(10)
@given(number=st.integers(0, 20), length=st.integers(1, HOLD))
def test_every_excursion_counts_once(number, length):
    samples = [SEALED] * 10 + ([OPEN] * length + [SEALED]) * number + [SEALED] * 2
    assert debounce(samples)[-1] == (SEALED, number)


def test_blind_cycles_are_as_if_they_had_not_been():
    samples = [SEALED] * 10 + [OPEN] * 3 + [SEALED] * 7 + [OPEN] * 10
    seen = debounce(samples, blind=range(13, 20))
    without = debounce(samples[:13] + samples[20:])
    assert seen[:14] + seen[21:] == without[:14] + without[14:]


# -- Loop monitor

MONITOR = Bench(lambda hold: LoopMonitor(hold_ms=hold), HOLD)
MILLIVOLTS = 4321


def expected_events(samples):
    """Return (kind, state, excursions since the event before) of each change of the filtered state, as a
    reference.
    """
    events, reported, before = [], 0, StateClass.UNKNOWN
    model = filtered(samples)
    for (state, _), (_, excursions) in pairwise(model):
        if state != before:
            kind = Kind.CLOSED if state == SEALED else Kind.OPENED
            events.append((kind if events else Kind.BOOT, state, excursions - reported))
            reported, before = excursions, state
    return events


def monitor(samples, ready, drain=0, seconds=()):
    """Return the events taken while `ready(cycle)`, and in `drain` more cycles with the log ready.

    The tick of the second comes in the cycles `seconds`.
    """
    dut, events = MONITOR.dut, []

    async def testbench(ctx):
        ctx.set(dut.ticks.ms, 1)
        ctx.set(dut.measurement.millivolts, MILLIVOLTS)
        ctx.set(dut.restored.valid, 1)
        ctx.set(dut.restored.baseline_mv, 0xFFFF)
        await ctx.tick()
        for cycle in range(len(samples) + drain):
            ctx.set(dut.measurement.class_, samples[min(cycle, len(samples) - 1)])
            ctx.set(dut.ticks.s, cycle in seconds)
            taking = cycle >= len(samples) or ready(cycle)
            ctx.set(dut.o.ready, taking)
            if ctx.get(dut.o.valid):
                assert ctx.get(dut.status.unlogged)
                if taking:
                    event = ctx.get(dut.o.payload)
                    assert event.loop_mv == MILLIVOLTS
                    events.append((event.kind, event.state, event.excursions))
            await ctx.tick()
        assert not ctx.get(dut.o.valid) or not drain

    MONITOR.run(testbench)
    return events


#: Seconds come so often that nothing is flapping: one in every cycle.
CALM = range(1_000_000)


@examples(40)
@given(runs=runs, phase=st.integers(1, 40))
def test_loop_monitor(runs, phase):
    """Boot comes first, then each change; its kind shows whether its state is sealed, and it counts the
    excursions.
    """
    samples = levels(runs) + [runs[-1][0]] * (HOLD + 3)
    assert monitor(samples, lambda cycle: cycle % phase == 0, drain=80, seconds=CALM) == expected_events(
        samples
    )


def bouncing(changes):
    """Return a loop that becomes sealed and then changes `changes` times, each long enough for an event."""
    return [(SEALED, OPEN)[n % 2] for n in range(changes + 1) for _ in range(HOLD + 1)] + [
        (SEALED, OPEN)[changes % 2]
    ] * 4


def test_nothing_is_lost_while_the_log_is_stalled():
    samples = bouncing(QUEUE_DEPTH - 1)
    events = monitor(samples, lambda _: False, drain=80, seconds=CALM)
    assert len(events) == QUEUE_DEPTH
    assert events == expected_events(samples)


def test_a_full_queue_merges_changes_into_the_present_state():
    """What finds no room is merged into one event; the last event always has the present state."""
    for changes in (QUEUE_DEPTH, QUEUE_DEPTH + 7, QUEUE_DEPTH + 8):
        samples = bouncing(changes)
        events = monitor(samples, lambda _: False, drain=80, seconds=CALM)
        assert events[:QUEUE_DEPTH] == expected_events(samples)[:QUEUE_DEPTH]
        assert len(events) == QUEUE_DEPTH + 1
        assert events[-1][:2] == expected_events(samples)[-1][:2]


def test_a_flapping_loop_is_one_event_with_a_count():
    """After *boot* five changes are reported, the sixth is *flapping*; others are counted, and the end is
    reported.
    """
    changes = 6 + 40
    samples = bouncing(changes)
    still = [SEALED] * 30
    seconds = range(len(samples), len(samples) + 30)
    events = monitor(samples + still, lambda _: True, drain=10, seconds=seconds)
    state = (SEALED, OPEN)
    kinds = [(Kind.CLOSED, Kind.OPENED)[n % 2] for n in range(1, 6)]
    assert events == [
        (Kind.BOOT, SEALED, 0),
        *((kind, state[n % 2], 0) for n, kind in enumerate(kinds, 1)),
        (Kind.FLAPPING, SEALED, 0),
        (Kind.CLOSED, SEALED, 40),
    ]


def test_excursions_saturate():
    """The count since reset saturates at FFFF, the count of an event at 255."""
    dut = LoopMonitor(hold_ms=HOLD)

    async def testbench(ctx):
        ctx.set(dut.ticks.ms, 1)
        ctx.set(dut.restored.valid, 1)
        ctx.set(dut.measurement.class_, SEALED)
        await ctx.tick().repeat(2 * HOLD)
        ctx.set(dut.status.excursions, 0xFFFD)  # instead of a quarter of a million cycles
        counts = []
        for _ in range(260):
            ctx.set(dut.measurement.class_, OPEN)
            await ctx.tick()
            ctx.set(dut.measurement.class_, SEALED)
            await ctx.tick().repeat(2)
            counts.append(ctx.get(dut.status.excursions))
        assert counts[:4] == [0xFFFE, 0xFFFF, 0xFFFF, 0xFFFF]
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.measurement.class_, OPEN)
        reported = []
        for _ in range(2 * HOLD + 4):
            if ctx.get(dut.o.valid):
                reported.append(ctx.get(dut.o.payload.excursions))
            await ctx.tick()
        assert reported == [0, 0xFF]

    simulate(dut, testbench)
