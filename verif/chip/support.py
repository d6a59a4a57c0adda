"""What the tests of single blocks share: running Amaranth's simulator, and models of the surroundings."""

from __future__ import annotations

from functools import cached_property

from amaranth.hdl import Cat
from amaranth.sim import Simulator
from hypothesis import Phase, settings

from meterseal.seal.image import crc16
from sealchip.interface import FLASH_SIZE
from sealchip.spi_flash import FlashOp

__all__ = ["Bench", "Flash", "PowerFailureError", "characters", "examples", "simulate", "wave"]

#: Period of the simulated clock in seconds; only a label, all times are counted in cycles.
PERIOD = 1e-6


def examples(number):
    """Settings of a property test: `number` examples, the same in every run."""
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
        try:
            self._sim.run()
        except BaseException:
            # A simulation that was left in the middle is not used again.
            self._testbench = None
            del self._sim, self.dut
            raise

    async def _run(self, ctx):
        await self._testbench(ctx)


def wave(data, divisor, *, parity=0, stop=1):
    """Levels of the line, cycle by cycle, while `data` is sent 8E1 without a gap.

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


class PowerFailureError(Exception):
    """The power failed; the flash keeps what had been written."""


class Flash:
    """The flash behind `FlashCommands`, one operation at a time, `pace` cycles a byte read, at least 2.

    `cut` counts down with every byte programmed and every sector erased; the one that finds it at 0, and the
    rest of that operation, is done in part: only bits of `torn` change. Then `PowerFailureError` is raised.
    """

    def __init__(self, content=b"", *, sector=0x1000, pace=2):
        self.content = bytearray(content).ljust(FLASH_SIZE, b"\xff")
        self.pace = pace
        self.sector = sector
        self.cut = None
        self.torn = 0
        self.operations = []

    def power_up(self, *, cut=None, torn=0):
        """Let the power fail in write number `cut`, counted from now."""
        self.cut, self.torn, self.operations = cut, torn, []

    async def serve(self, ctx, bus, watch=None):
        """One cycle, or the whole operation that `bus` asks for; the level of `watch` in its last cycle."""
        if ctx.get(bus.start):
            await self._operate(ctx, bus)
            ctx.set(bus.done, 1)
        seen = ctx.get(watch) if watch is not None else None
        await ctx.tick()
        ctx.set(bus.done, 0)
        return seen

    async def _operate(self, ctx, bus):
        operation, address, length = ctx.get(bus.op), ctx.get(bus.address), ctx.get(bus.length)
        self.operations.append((operation, address, length))
        if operation == FlashOp.READ:
            await self._read(ctx, bus, address, length)
        elif operation == FlashOp.PROGRAM:
            assert address % 256 + length <= 256, "a program stays within one page"
            await self._program(ctx, bus, address, length)
        else:
            self._erase(address)

    async def _read(self, ctx, bus, address, length):
        summed = bytearray()
        shown = Cat(bus.strobe, bus.index, bus.o)  # set together: a simulator works at each set
        for index, byte in enumerate(self.content[address : address + length]):
            ctx.set(shown, byte << 9 | index << 1)
            await ctx.tick().repeat(self.pace - 1)
            if not ctx.get(bus.skip):
                summed.append(byte)
            ctx.set(bus.strobe, 1)
            await ctx.tick()
        ctx.set(shown[:9], 0)
        ctx.set(bus.sum_ok, crc16(summed[:-2]).to_bytes(2, "big") == summed[-2:])

    async def _program(self, ctx, bus, address, length):
        torn, programmed = False, bytearray()
        shown = Cat(bus.strobe, bus.index)
        for index in range(length):
            ctx.set(shown, index << 1)
            await ctx.tick().repeat(2)
            torn = torn or self._is_cut()
            position = address + index
            programmed.append(self._given(ctx, bus, programmed))
            self._change(position, self.content[position] & programmed[-1], torn)
            ctx.set(bus.strobe, 1)
            await ctx.tick()
        ctx.set(shown, 0)
        if torn:
            raise PowerFailureError

    def _given(self, ctx, bus, before):
        """The next byte to program, behind those `before`."""
        if not ctx.get(bus.sum):
            self._sum = 0
            return ctx.get(bus.i)
        self._sum += 1
        whole = before[: len(before) + 1 - self._sum]
        return crc16(whole).to_bytes(2, "big")[self._sum - 1]

    def _erase(self, address):
        start, torn = address - address % self.sector, self._is_cut()
        for position in range(start, start + self.sector):
            self._change(position, 0xFF, torn)
        if torn:
            raise PowerFailureError

    def _is_cut(self):
        """Whether the power fails in this write."""
        if self.cut is None:
            return False
        self.cut -= 1
        return self.cut < 0

    def _change(self, position, byte, torn):
        if torn:
            # Which bits have arrived at their new value differs from byte to byte.
            mask = self.torn * (2 * position + 1) & 0xFF
            byte = self.content[position] ^ ((self.content[position] ^ byte) & mask)
        self.content[position] = byte
