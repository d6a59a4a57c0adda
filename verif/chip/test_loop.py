"""From classes of measurement to events and lamps."""

from __future__ import annotations

from itertools import pairwise, product

from chip.support import Bench, examples, simulate
from hypothesis import given
from hypothesis import strategies as st

from sealchip.debounce import Debounce
from sealchip.interface import Kind, StateClass
from sealchip.lamps import Lamps
from sealchip.loop_monitor import QUEUE_DEPTH, LoopMonitor

#: Cycles that a class must hold in these tests.
HOLD = 5
OPEN, LOW, SEALED = StateClass.OPEN, StateClass.LOW, StateClass.SEALED

lengths = st.sampled_from([1, 2, HOLD - 1, HOLD, HOLD + 1, 3 * HOLD])
runs = st.lists(st.tuples(st.sampled_from(StateClass), lengths), min_size=1, max_size=15)


def levels(runs):
    """Class in each cycle."""
    return [value for value, length in runs for _ in range(length)]


def filtered(samples):
    """Reference: (state, excursions) in each cycle, found from the runs of equal samples."""
    starts = [n for n, value in enumerate(samples) if n == 0 or value != samples[n - 1]]
    state, changes, excursions = StateClass.UNKNOWN, [], []
    for start, end in zip(starts, [*starts[1:], len(samples)], strict=True):
        if start and samples[start] == state != samples[start - 1]:
            excursions.append(start + 1)
        if end - start >= HOLD and samples[start] != state:
            state = samples[start]
            changes.append((start + HOLD, state))
    result = []
    for cycle in range(len(samples)):
        past = [state for at, state in changes if at <= cycle]
        result.append((past[-1] if past else StateClass.UNKNOWN, sum(at <= cycle for at in excursions)))
    return result


DEBOUNCE = Bench(Debounce, 1000, HOLD / 1000)


def debounce(samples, bench=DEBOUNCE):
    """(state, excursions) in each cycle; checks that `changed` marks exactly the new states."""
    dut, result = bench.dut, []

    async def testbench(ctx):
        before = StateClass.UNKNOWN
        for value in samples:
            ctx.set(dut.i, value)
            state = ctx.get(dut.state)
            assert ctx.get(dut.changed) == (state != before)
            before = state
            result.append((state, ctx.get(dut.excursions)))
            await ctx.tick()

    bench.run(testbench)
    return result


@examples(60)
@given(runs=runs)
def test_debounce_against_model(runs):
    samples = levels(runs) + [runs[-1][0]] * 2
    assert debounce(samples) == filtered(samples)


def test_debounce_is_two_sided():
    """Held for exactly the hold time: taken over, in exactly that cycle. One cycle less: an excursion."""
    sealed, opened = [SEALED] * 10, [OPEN]
    taken = debounce(sealed + opened * HOLD + [SEALED] * 3)
    assert [state for state, _ in taken[: 10 + HOLD]] == [0] * HOLD + [SEALED] * 10
    assert [state for state, _ in taken[10 + HOLD :]] == [OPEN] * 3
    assert {count for _, count in taken} == {0}, "a change that was taken over is no excursion"
    refused = debounce(sealed + opened * (HOLD - 1) + [SEALED] * 3)
    assert [state for state, _ in refused[HOLD:]] == [SEALED] * (len(refused) - HOLD)
    assert refused[-1][1] == 1


@examples(10)
@given(number=st.integers(0, 20), length=st.integers(1, HOLD - 1))
def test_every_excursion_counts_once(number, length):
    samples = [SEALED] * 10 + ([OPEN] * length + [SEALED]) * number + [SEALED] * 2
    assert debounce(samples)[-1] == (SEALED, number)


def test_excursions_saturate():
    dut = Debounce(1000, HOLD / 1000)

    async def testbench(ctx):
        ctx.set(dut.i, SEALED)
        await ctx.tick().repeat(10)
        ctx.set(dut.excursions, 0xFFFD)  # instead of a quarter of a million cycles
        counts = []
        for _ in range(4):
            ctx.set(dut.i, OPEN)
            await ctx.tick()
            ctx.set(dut.i, SEALED)
            await ctx.tick().repeat(2)
            counts.append(ctx.get(dut.excursions))
        assert counts == [0xFFFE, 0xFFFF, 0xFFFF, 0xFFFF]

    simulate(dut, testbench)


# -- Loop monitor

MONITOR = Bench(LoopMonitor, 1000, HOLD / 1000)
MILLIVOLTS = 4321


def expected_events(samples):
    """Reference: (kind, state, excursions since the event before) of each change of the filtered state."""
    events, told, before = [], 0, StateClass.UNKNOWN
    model = filtered(samples)
    for (state, _), (_, excursions) in pairwise(model):
        if state != before:
            kind = Kind.CLOSED if state == SEALED else Kind.OPENED
            events.append((kind if events else Kind.BOOT, state, min(excursions - told, 255)))
            told, before = excursions, state
    return events


def monitor(samples, ready, drain=0, bench=MONITOR):
    """Events taken while `ready(cycle)`; then `drain` more cycles with the log ready."""
    dut, events = bench.dut, []

    async def testbench(ctx):
        ctx.set(dut.millivolts, MILLIVOLTS)
        pending, before = 0, StateClass.UNKNOWN
        for cycle in range(len(samples) + drain):
            ctx.set(dut.class_, samples[min(cycle, len(samples) - 1)])
            taking = cycle >= len(samples) or ready(cycle)
            ctx.set(dut.o.ready, taking)
            state = ctx.get(dut.state)
            # Beyond the queue's depth changes are merged into one event.
            pending, before = min(pending + (state != before), QUEUE_DEPTH + 1), state
            assert ctx.get(dut.unlogged) == (pending != 0), f"{pending} changes are not logged"
            if ctx.get(dut.o.valid) and taking:
                event = ctx.get(dut.o.payload)
                assert (event.loop_mv, event.baseline_mv) == (MILLIVOLTS, 0xFFFF)
                events.append((event.kind, event.state, event.excursions))
                pending -= 1
            await ctx.tick()
        assert not ctx.get(dut.o.valid) or not drain

    bench.run(testbench)
    return events


@examples(40)
@given(runs=runs, phase=st.integers(1, 40))
def test_loop_monitor(runs, phase):
    """Boot first, then each change, whether its state is sealed, and how many excursions there were."""
    samples = levels(runs) + [runs[-1][0]] * (HOLD + 3)
    assert monitor(samples, lambda cycle: cycle % phase == 0, drain=60) == expected_events(samples)


def bouncing(changes):
    """A loop that becomes sealed and then changes `changes` times, each long enough for an event."""
    return [(SEALED, OPEN)[n % 2] for n in range(changes + 1) for _ in range(HOLD)] + [
        (SEALED, OPEN)[changes % 2]
    ] * 4


def test_nothing_is_lost_while_the_log_is_stalled():
    samples = bouncing(QUEUE_DEPTH - 1)
    events = monitor(samples, lambda _: False, drain=50)
    assert len(events) == QUEUE_DEPTH
    assert events == expected_events(samples)


def test_a_full_queue_tells_the_state_as_it_is_then():
    """What finds no room is merged into one event; the last event always tells the present state."""
    for changes in (QUEUE_DEPTH, QUEUE_DEPTH + 7, QUEUE_DEPTH + 8):
        samples = bouncing(changes)
        events = monitor(samples, lambda _: False, drain=50)
        assert events[:QUEUE_DEPTH] == expected_events(samples)[:QUEUE_DEPTH]
        assert len(events) == QUEUE_DEPTH + 1
        assert events[-1][:2] == expected_events(samples)[-1][:2]


# -- Lamps


def test_lamps_truth_table():
    dut = Lamps()

    async def testbench(ctx):
        for ready, valid, state, exchanged, pending, failed in product(
            (0, 1), (0, 1), StateClass, (0, 1), (0, 1), (0, 1)
        ):
            if valid and not ready:
                continue  # never, says `IdentityLoader`
            ctx.set(dut.identity_ready, ready)
            ctx.set(dut.identity_valid, valid)
            ctx.set(dut.state, state)
            ctx.set(dut.exchanged, exchanged)
            ctx.set(dut.pending, pending)
            ctx.set(dut.failed, failed)
            unreadable = ready and not valid
            known_not_closed = state not in (StateClass.UNKNOWN, StateClass.SEALED)
            red = unreadable or known_not_closed or failed
            all_acknowledged = exchanged and not pending and not failed
            green = valid and state == StateClass.SEALED and all_acknowledged
            await ctx.delay(1e-6)
            assert (ctx.get(dut.green), ctx.get(dut.red)) == (bool(green), bool(red))
            assert not (green and red)

    simulate(dut, testbench)
