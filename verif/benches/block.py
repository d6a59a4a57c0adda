"""Benches for single blocks: runs of Amaranth's simulator, and characters on a line."""

from __future__ import annotations

from functools import cached_property

from amaranth.sim import Simulator
from hypothesis import Phase, settings

from verif.benches.tracing import untraced

__all__ = ["Bench", "characters", "examples", "simulate", "wave"]

#: Period of the simulated clock in seconds; only a label, all times are counted in cycles.
PERIOD = 1e-6


def examples(number):
    """Return settings of a property test with `number` examples, the same in every run."""
    # Explaining a failure would run hundreds of simulations more.
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    return settings(max_examples=number, phases=phases, derandomize=True, deadline=None, database=None)


def simulate(dut, *testbenches, background=()):
    """Run `testbenches` on `dut` until all have ended; those in the `background` need not end."""
    sim = Simulator(dut)
    sim.add_clock(PERIOD, if_exists=True)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    for testbench in background:
        sim.add_testbench(testbench, background=True)
    with untraced():
        sim.run()


class Bench:
    """One design, `make(*arguments)`, compiled when first used and run as often as a property test needs.

    Every run begins with a reset.
    """

    def __init__(self, make, *arguments):
        self._make, self._arguments = make, arguments
        self._testbench = None

    @cached_property
    def dut(self):
        return self._make(*self._arguments)

    @cached_property
    def _sim(self):
        sim = Simulator(self.dut)
        sim.add_clock(PERIOD)
        sim.add_testbench(self._run)
        return sim

    def run(self, testbench):
        """Run `testbench` from reset until it has ended."""
        if self._testbench:
            self._sim.reset()
        self._testbench = testbench
        sim = self._sim
        try:
            with untraced():
                sim.run()
        except BaseException:
            # A simulation that was left in the middle is not used again.
            self._testbench = None
            del self._sim, self.dut
            raise

    async def _run(self, ctx):
        await self._testbench(ctx)


def wave(data, divisor, *, parity=0, stop=1):
    """Return the levels of the line, cycle by cycle, while `data` is sent 8E1 without a gap.

    `divisor` may be a fraction. `parity` 1 turns the parity bit over, None leaves it out (8N1). `stop` is the
    level of the stop bit.
    """
    bits = []
    for byte in data:
        eight = [byte >> n & 1 for n in range(8)]
        bits += [0, *eight, *([] if parity is None else [sum(eight) + parity & 1]), stop]
    return [bits[int(cycle / divisor)] for cycle in range(round(len(bits) * divisor))]


def characters(levels, divisor, *, parity=0):
    """Bytes on a line given cycle by cycle, and the cycle in which each begins; refuses anything not 8E1, or
    not 8N1 where `parity` is None.
    """
    found, cycle = [], 0
    length = divisor * (10 if parity is None else 11)
    while cycle < len(levels):
        if levels[cycle]:
            cycle += 1
            continue
        bits = levels[cycle : cycle + length]
        byte = sum(bits[divisor * (1 + n)] << n for n in range(8))
        assert bits == wave([byte], divisor, parity=parity), f"no character from cycle {cycle} on"
        found.append((cycle, byte))
        cycle += length
    return found
