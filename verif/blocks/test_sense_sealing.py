"""Tests of sealing: what is learned, refused and reported."""

from __future__ import annotations

import pytest

from sealchip.interface import LOOP_NOT_MEASURED, Kind, StateClass
from sealchip.sense.loop_monitor import LoopMonitor
from verif.benches.block import Bench

OPEN, LOW, SEALED = StateClass.OPEN, StateClass.LOW, StateClass.SEALED
HOLD = 3
MONITOR = Bench(lambda: LoopMonitor(hold_ms=HOLD))
COMPARATOR = Bench(lambda: LoopMonitor(hold_ms=HOLD, measures=False))


class Rig:
    """The rig drives a monitor as a front end and a log do."""

    def __init__(self, ctx, dut):
        self._ctx, self.dut = ctx, dut
        self.events = []
        ctx.set(dut.ticks.ms, 1)
        ctx.set(dut.o.ready, 1)

    async def tick(self, cycles=1):
        for _ in range(cycles):
            if self._ctx.get(self.dut.o.valid):
                event = self._ctx.get(self.dut.o.payload)
                self.events.append((event.kind, event.state, event.loop_mv, event.baseline_mv))
            await self._ctx.tick()

    async def restore(self, baseline_mv=LOOP_NOT_MEASURED):
        self._ctx.set(self.dut.restored.baseline_mv, baseline_mv)
        self._ctx.set(self.dut.restored.valid, 1)
        await self.tick()

    async def loop(self, class_, millivolts, *, sealable=None, cycles=HOLD + 6):
        """Present a measurement for `cycles`."""
        ctx, dut = self._ctx, self.dut
        ctx.set(dut.measurement.class_, class_)
        ctx.set(dut.measurement.millivolts, millivolts)
        ctx.set(dut.measurement.sealable, 3000 <= millivolts <= 5250 if sealable is None else sealable)
        await self.tick(cycles)

    async def strobe(self, name):
        self._ctx.set(getattr(self.dut.command, name), 1)
        await self.tick()
        self._ctx.set(getattr(self.dut.command, name), 0)

    async def seal(self):
        """Give the command to seal; return whether it was done."""
        await self.strobe("seal")
        done, refused = (
            self._ctx.get(self.dut.command.seal_done),
            self._ctx.get(self.dut.command.seal_refused),
        )
        assert done != refused
        await self.tick(6)
        assert not self._ctx.get(self.dut.command.seal_done) | self._ctx.get(self.dut.command.seal_refused)
        return bool(done)


def story(testbench, bench=MONITOR):
    """Run `testbench(rig)`; return the events."""
    rigs = []

    async def whole(ctx):
        rigs.append(Rig(ctx, bench.dut))
        await testbench(rigs[0])

    bench.run(whole)
    return rigs[0].events


def test_the_first_closing_is_learned_and_no_other():
    async def testbench(rig):
        await rig.restore()
        await rig.loop(OPEN, 10)
        await rig.loop(SEALED, 4400)
        await rig.loop(OPEN, 20)
        await rig.loop(SEALED, 4300)

    none = LOOP_NOT_MEASURED
    assert story(testbench) == [
        (Kind.BOOT, OPEN, 10, none),
        (Kind.CLOSED, SEALED, 4400, 4400),
        (Kind.OPENED, OPEN, 20, 4400),
        (Kind.CLOSED, SEALED, 4300, 4400),
    ]


def test_nothing_is_measured_before_the_log_is_restored():
    async def testbench(rig):
        await rig.loop(SEALED, 4400, cycles=50)
        await rig.restore(4321)
        await rig.tick(12)

    assert story(testbench) == [(Kind.BOOT, SEALED, 4400, 4321)]


def test_a_seal_command_learns_the_present_voltage():
    """On a loop that has gone low *closed* follows with the new class; on a sealed one *provisioned* does."""

    async def testbench(rig):
        await rig.restore(4400)
        await rig.loop(LOW, 3500)
        assert await rig.seal()
        await rig.loop(SEALED, 3500)
        await rig.loop(SEALED, 3510)
        assert await rig.seal()

    assert story(testbench) == [
        (Kind.BOOT, LOW, 3500, 4400),
        (Kind.CLOSED, SEALED, 3500, 3500),
        (Kind.PROVISIONED, SEALED, 3510, 3510),
    ]


@pytest.mark.parametrize(
    ("class_", "millivolts"), [(OPEN, 20), (LOW, 2900), (StateClass.HIGH, 5300), (StateClass.MISMATCH, 4400)]
)
def test_sealing_an_unfit_loop_is_refused_with_an_event(class_, millivolts):
    async def testbench(rig):
        await rig.restore(4400)
        await rig.loop(class_, millivolts, sealable=False)
        assert not await rig.seal()

    assert story(testbench) == [
        (Kind.BOOT, class_, millivolts, 4400),
        (Kind.SEALING_REFUSED, class_, millivolts, 4400),
    ]


def test_sealing_an_unstable_loop_is_refused():
    """Sealing is refused while the loop is low, but not yet for the debounce time."""

    async def testbench(rig):
        await rig.restore(4400)
        await rig.loop(SEALED, 4400)
        await rig.loop(LOW, 3500, cycles=1)
        assert not await rig.seal()
        await rig.tick(HOLD + 6)

    events = [(kind, state, baseline) for kind, state, _, baseline in story(testbench)]
    assert events == [
        (Kind.BOOT, SEALED, 4400),
        (Kind.SEALING_REFUSED, SEALED, 4400),
        (Kind.OPENED, LOW, 4400),
    ]


def test_lock_out_and_provisioning_are_events():
    """Lock-out and provisioning are reported with the present state, one right after the other too; a
    comparator has no millivolts.
    """

    async def testbench(rig):
        await rig.restore()
        await rig.loop(SEALED, LOOP_NOT_MEASURED, sealable=True)
        await rig.strobe("locked_out")
        await rig.strobe("provisioned")
        await rig.tick(8)
        assert await rig.seal()
        await rig.loop(OPEN, LOOP_NOT_MEASURED, sealable=False)
        assert not await rig.seal()

    none = LOOP_NOT_MEASURED
    assert story(testbench, COMPARATOR) == [
        (Kind.BOOT, SEALED, none, none),
        (Kind.LOCKED_OUT, SEALED, none, none),
        (Kind.PROVISIONED, SEALED, none, none),
        (Kind.PROVISIONED, SEALED, none, none),
        (Kind.OPENED, OPEN, none, none),
        (Kind.SEALING_REFUSED, OPEN, none, none),
    ]
