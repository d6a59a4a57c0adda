"""Tests of what the parts of a front end do together, between its pins and the monitor."""

from __future__ import annotations

from math import inf

from sealchip.interface import LOOP_NOT_MEASURED, StateClass
from sealchip.sense.front_end import FrontEnd, Sensor
from verif.benches.block import Bench
from verif.models.analogue import Capacitor, Loop

CLOCK_HZ = 307_200
MS = CLOCK_HZ // 1000
MEASURING = Bench(lambda: FrontEnd(CLOCK_HZ, Sensor.SIGMA_DELTA, pattern=True))
PLAIN = Bench(lambda: FrontEnd(CLOCK_HZ))
PLAIN_WITH_PATTERN = Bench(lambda: FrontEnd(CLOCK_HZ, pattern=True))


class Rig:
    """The rig has a measuring front end, its capacitor and a loop that may be changed."""

    def __init__(self, ctx, dut):
        self._ctx, self._dut = ctx, dut
        self._capacitor = Capacitor(CLOCK_HZ)
        # There is one trigger for all cycles: making a new one for each takes longer than simulating it.
        self._ticks = aiter(ctx.tick())
        self.loop = Loop()

    async def run(self, ms, until=lambda: False):
        """Let time pass; return the number of milliseconds until `until` held."""
        ctx, cmp, fb, drive, tick = (
            self._ctx,
            self._dut.cmp,
            self._dut.fb,
            self._dut.drive,
            self._dut.ticks.ms,
        )
        levels = [self.loop.mv(driven) for driven in range(2)]
        for passed in range(ms):
            for cycle in range(1, MS + 1):
                self._capacitor.follow(ctx.get(fb))
                ctx.set(cmp, self._capacitor.compare(levels[ctx.get(drive)]))
                if cycle in (1, MS):
                    ctx.set(tick, cycle == MS)
                await anext(self._ticks)
            if until():
                return passed + 1
        return ms


def test_attacks_are_distinguished():
    """A window is learned; a jumper, a corroded contact, a pulled head and a foreign voltage each get their
    class, in the time of a few measurements or at the end of the next off phase.
    """

    async def testbench(ctx):
        dut = MEASURING.dut
        bench = Rig(ctx, dut)

        def is_now(class_):
            return lambda: ctx.get(dut.measurement.class_) == class_ and not ctx.get(dut.measurement.blind)

        ctx.set(dut.baseline_mv, LOOP_NOT_MEASURED)
        assert ctx.get(dut.measurement.class_) == StateClass.UNKNOWN
        assert await bench.run(40, is_now(StateClass.SEALED)) < 25
        millivolts = ctx.get(dut.measurement.millivolts)
        assert abs(millivolts - Loop().mv(1)) <= 50
        assert ctx.get(dut.measurement.sealable)
        ctx.set(dut.baseline_mv, millivolts)

        for loop, class_ in [
            (Loop(head_ohm=0), StateClass.HIGH),
            (Loop(head_ohm=6500), StateClass.LOW),
            (Loop(head_ohm=inf), StateClass.OPEN),
            (Loop(), StateClass.SEALED),
        ]:
            bench.loop = loop
            assert await bench.run(50, is_now(class_)) < 40, class_
            await bench.run(4)  # the first measurement that shows it may be one of the step
            assert is_now(class_)()
            assert abs(ctx.get(dut.measurement.millivolts) - loop.mv(1)) <= 50
            assert ctx.get(dut.measurement.sealable) == (3000 <= ctx.get(dut.measurement.millivolts) <= 5250)

        # A source of just the learned voltage takes the place of the head.
        bench.loop = Loop(head_ohm=inf, foreign_mv=millivolts, foreign_ohm=100)
        assert await bench.run(350, is_now(StateClass.MISMATCH)) < 300
        assert not ctx.get(dut.measurement.sealable)

    MEASURING.run(testbench)


def test_a_break_of_a_millisecond_is_seen():
    """However a break of 1 ms lies to the measurements, one of them shows it."""

    async def testbench(ctx):
        dut = MEASURING.dut
        bench = Rig(ctx, dut)
        ctx.set(dut.baseline_mv, round(Loop().mv(1)))
        # All happens in the first on phase, of which 56 ms are not blind.
        await bench.run(60, lambda: not ctx.get(dut.measurement.blind))
        for number in range(4):
            await bench.run(5 + number)
            assert ctx.get(dut.measurement.class_) == StateClass.SEALED
            bench.loop = Loop(head_ohm=inf)
            await bench.run(1)
            bench.loop = Loop()
            assert await bench.run(4, lambda: ctx.get(dut.measurement.class_) != StateClass.SEALED) < 4

    MEASURING.run(testbench)


def test_a_comparator_knows_two_classes():
    """The class follows the pin two cycles later; the drive is always on, and there are no millivolts."""

    async def testbench(ctx):
        dut = PLAIN.dut
        for level in (1, 0, 1, 1, 0):
            ctx.set(dut.cmp, level)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.measurement.class_) == (StateClass.SEALED if level else StateClass.OPEN)
            assert ctx.get(dut.measurement.sealable) == level
            assert ctx.get(dut.measurement.millivolts) == LOOP_NOT_MEASURED
            assert (ctx.get(dut.drive), ctx.get(dut.measurement.blind), ctx.get(dut.fb)) == (1, 0, 0)

    PLAIN.run(testbench)


def test_a_comparator_with_the_pattern_finds_a_stuck_line():
    """The class is *unknown* until the drive has been on; sealed while the line follows, mismatch when it
    does not, and sealed again when it has followed for four off phases.
    """

    async def testbench(ctx):
        dut = PLAIN_WITH_PATTERN.dut
        ctx.set(dut.ticks.ms, 1)
        seen = []
        for cycle in range(3500):
            ctx.set(dut.cmp, ctx.get(dut.drive) or 1000 < cycle <= 2000)
            await ctx.tick()
            seen.append(ctx.get(dut.measurement.class_))
        unknown = seen.index(StateClass.SEALED)
        assert set(seen[:unknown]) == {StateClass.UNKNOWN}
        assert unknown == 12 + 8
        assert set(seen[unknown:1000]) == {StateClass.SEALED}
        assert StateClass.OPEN not in seen
        assert set(seen[1300:2000]) == {StateClass.MISMATCH}
        again = seen.index(StateClass.SEALED, 2000)
        assert 3 * (64 + 12) < again - 2000 < 4 * (256 + 12)
        assert set(seen[again:]) == {StateClass.SEALED}

    PLAIN_WITH_PATTERN.run(testbench)
