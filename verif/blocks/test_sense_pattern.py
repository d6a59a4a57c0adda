"""Tests of the driven pattern."""

from __future__ import annotations

from itertools import groupby, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from sealchip.sense.pattern import CLEAN_PHASES, OFF_MS, ON_MAX_MS, ON_MIN_MS, SETTLE_MS, DrivenPattern
from verif.benches.block import Bench, examples

PATTERN = Bench(DrivenPattern)
#: A millisecond has so many cycles in these tests.
TICK = 2


def run(reads_open, milliseconds, noise=lambda ms: 0):
    """Return (drive, blind, mismatch) in each millisecond, given `reads_open(ms, drive, ms in the phase)`."""
    dut, result = PATTERN.dut, []

    async def testbench(ctx):
        phase, before = 0, 1
        for ms in range(milliseconds):
            drive = ctx.get(dut.drive)
            phase = phase + 1 if drive == before else 0
            before = drive
            ctx.set(dut.reads_open, reads_open(ms, drive, phase))
            ctx.set(dut.noise, noise(ms))
            ctx.set(dut.valid, 1)
            await ctx.tick().repeat(TICK - 1)
            ctx.set(dut.tick_ms, 1)
            await ctx.tick()
            ctx.set(dut.tick_ms, 0)
            result.append((drive, ctx.get(dut.blind), ctx.get(dut.mismatch)))

    PATTERN.run(testbench)
    return result


def true_loop(_ms, drive, _phase):
    return not drive


def phases(driven):
    """Return (drive, length in ms) of each phase."""
    return [(drive, len(list(group))) for drive, group in groupby(drive for drive, *_ in driven)]


def test_phases_are_bounded_and_differ():
    """Off comes first and lasts 12 ms, on lasts 64 to 256 ms, also with noise, which makes other phases."""
    quiet = phases(run(true_loop, 4000))
    noisy = phases(run(true_loop, 4000, noise=lambda ms: ms % 7 == 3))
    for found in (quiet, noisy):
        assert found[0] == (0, OFF_MS)
        assert {length for drive, length in found[:-1] if not drive} == {OFF_MS}
        lengths = [length for drive, length in found[:-1] if drive]
        assert all(ON_MIN_MS <= length <= ON_MAX_MS for length in lengths)
        assert len(set(lengths)) > len(lengths) / 2
    assert quiet != noisy


def shifted(register, noise):
    """Return the shift register one millisecond later, as a reference. Its polynomial is
    x^16 + x^15 + x^13 + x^4 + 1.
    """
    fed = (register >> 15 ^ register >> 14 ^ register >> 12 ^ register >> 3 ^ noise) & 1
    return (register << 1 | fed) & 0xFFFF


def test_the_shift_register_takes_its_time_to_repeat():
    """The register goes through all its states but 0; phases end as it determines, with noise and without."""
    register = 1
    for step in range(1, 0x10000):
        register = shifted(register, 0)
        assert (register == 1) == (step == 0xFFFF)
    for noise in (lambda ms: 0, lambda ms: ms % 7 == 3):
        expected, drive, length, register = [], 0, 0, 1
        for ms in range(3000):
            length += 1
            drawn = length >= ON_MIN_MS and not register & 0x1F
            if length == OFF_MS if not drive else drawn or length == ON_MAX_MS:
                expected.append((drive, length))
                drive, length = 1 - drive, 0
            register = shifted(register, noise(ms))
        assert phases(run(true_loop, 3000, noise=noise))[:-1] == expected


def test_blind_while_off_and_eight_milliseconds_longer():
    seen = run(true_loop, 1000)
    on_for = 0
    for drive, blind, mismatch in seen:
        on_for = on_for + 1 if drive else 0
        if on_for != ON_MIN_MS and drive and on_for < ON_MIN_MS:
            assert blind == (on_for < SETTLE_MS)
        assert drive or blind
        assert not mismatch


@examples(8)
@given(bad=st.integers(0, 4), at=st.integers(0, OFF_MS - 1), repeated=st.integers(1, 2))
# Both sides of the settling time are always tried, whatever is drawn.
@example(bad=1, at=OFF_MS - 1, repeated=2)
@example(bad=0, at=SETTLE_MS, repeated=1)
@example(bad=2, at=SETTLE_MS - 1, repeated=1)
def test_any_foreign_reading_is_a_mismatch(bad, at, repeated):
    """One settled millisecond that is not open, in off phase `bad` and perhaps the next one, is a mismatch
    from the end of that phase to the end of the fourth clean one. Before the loop has settled it does not
    count.
    """
    number = -1

    def reads_open(ms, drive, phase):
        nonlocal number
        number += not drive and phase == 0
        return not drive and not (phase == at and bad <= number < bad + repeated)

    seen = run(reads_open, 2200)
    # These are the states at the end of each off phase.
    mismatches = [now for (drive, _, now), (after, *_) in pairwise(seen) if after and not drive]
    last = bad + repeated - 1 if at >= SETTLE_MS else bad - CLEAN_PHASES
    assert len(mismatches) > 8
    assert all(
        now == before or (not drive and after)  # it changes at the end of an off phase only
        for (*_, before), (drive, _, now), (after, *_) in zip(seen, seen[1:], seen[2:], strict=False)
    )
    assert mismatches == [bad <= number < last + CLEAN_PHASES for number in range(len(mismatches))]


def test_a_foreign_reading_counts_in_the_last_cycle_of_its_phase():
    dut = PATTERN.dut

    async def testbench(ctx):
        ctx.set(dut.valid, 1)
        ctx.set(dut.tick_ms, 1)
        for cycle in range(OFF_MS):
            ctx.set(dut.reads_open, cycle != OFF_MS - 1)
            await ctx.tick()
        assert (ctx.get(dut.drive), ctx.get(dut.mismatch)) == (1, 1)

    PATTERN.run(testbench)


def test_a_loop_that_is_never_read_is_a_mismatch():
    """A converter that has died gives no reading: nothing proves that the loop is open."""
    dut = DrivenPattern()
    bench = Bench(lambda: dut)

    async def testbench(ctx):
        ctx.set(dut.tick_ms, 1)
        ctx.set(dut.reads_open, 1)
        await ctx.tick().repeat(OFF_MS + 2)
        assert ctx.get(dut.mismatch)

    bench.run(testbench)
