"""The bus works at each of its baud rates, with steps longer than a cycle."""

from __future__ import annotations

import random

import pytest

from sealchip.bus.rs485_phy import Rs485Phy
from sealchip.interface import BAUD_FEATURE
from verif.benches.block import simulate, wave

#: A step has two cycles and a bit eight parts; at the fastest rate a part is a step.
CLOCK_HZ, STEP, PARTS = 307_200, 2, 8
RATES = list(BAUD_FEATURE.values())
#: A character has so many bits.
CHARACTER = 11
STROBES = "ready", "valid", "done", "broken"


class Talk:
    """A talk notes what others send and what is offered to be sent, and what the port must do in each cycle.

    Whatever begins is seen in the next step, and goes on in parts of a bit from there.
    """

    def __init__(self, rate):
        self.rate, self.part = rate, STEP << len(RATES) - 1 - rate
        self.bit, self.half = PARTS * self.part, PARTS // 2 * self.part
        self.cycles = 0
        #: In these cycles others pull the line low, the port does, and `de` and the strobes are high.
        self.low, self.di, self.de = set(), set(), set()
        self.strobes = {name: set() for name in STROBES}
        #: By cycle, this is what comes with `valid`, and these are the frames offered.
        self.received, self.offered = {}, {}

    def _begins(self, pause):
        """Return the next thing's first cycle, and that of the step in which it is seen."""
        self.cycles += pause
        return self.cycles, self.cycles + (STEP - 1 - self.cycles) % STEP

    def receive(self, pause, byte, **fault):
        """Have others send a character; it comes in the middle of its stop bit."""
        begin, seen = self._begins(pause)
        levels = wave([byte], self.bit, **fault)
        self.low |= {cycle for cycle, level in enumerate(levels, begin) if not level}
        end = seen + self.half + (CHARACTER - 1) * self.bit
        self.strobes["valid"].add(end)
        self.received[end] = byte, bool(fault)
        self.cycles += len(levels)

    def send(self, pause, frame, *, clash=None):
        """Send an own frame, whole or up to the middle of the bit `clash`, which others pull low."""
        begin, seen = self._begins(pause)
        self.offered[begin] = frame
        # After each of these a byte's start bit begins, after the last one nothing.
        taken = [seen + self.half + n * CHARACTER * self.bit for n in range(len(frame) + 1)]
        strobe, ends = "done", taken[-1]
        if clash is not None:
            strobe, ends = "broken", taken[0] + clash * self.bit + self.half + self.part
            self.low |= set(range(ends - STEP, ends + STEP))
        self.strobes[strobe].add(ends)
        self.strobes["ready"] |= {cycle for cycle in taken[:-1] if cycle < ends}
        self.de |= set(range(seen + 1, ends + 1))
        levels = enumerate(wave(frame, self.bit), taken[0] + 1)
        self.di |= {cycle for cycle, level in levels if not level and cycle <= ends}
        # What was spoilt is timed to its end, and muted.
        self.cycles = ends + 1 + (CHARACTER * self.bit if strobe == "broken" else 0)

    def check(self):
        """Check that the port does so, in every cycle."""
        dut, offered = Rs485Phy(CLOCK_HZ), []
        strobes = dut.i.ready, dut.received.valid, dut.sent.done, dut.sent.broken
        ports = dict(zip(STROBES, strobes, strict=True))

        async def testbench(ctx):
            ctx.set(dut.baud, self.rate)
            for cycle in range(self.cycles + self.bit):
                offered.extend(self.offered.get(cycle, []))
                ctx.set(dut.i.valid, bool(offered))
                if offered:
                    ctx.set(dut.i.payload, {"data": offered[0], "last": len(offered) == 1})
                di, de = ctx.get(dut.di), ctx.get(dut.de)
                assert (di, de) == (cycle not in self.di, cycle in self.de)
                ctx.set(dut.ro, cycle not in self.low and (di or not de))
                strobed = {name for name, port in ports.items() if ctx.get(port)}
                assert strobed == {name for name, cycles in self.strobes.items() if cycle in cycles}
                if "valid" in strobed:
                    assert (ctx.get(dut.received.data), ctx.get(dut.received.error)) == self.received[cycle]
                if "broken" in strobed:
                    offered.clear()
                elif "ready" in strobed:
                    offered.pop(0)
                await ctx.tick()

        simulate(dut, testbench)


@pytest.mark.parametrize("rate", range(len(RATES)), ids=map(str, RATES))
def test_frames_at_every_rate(rate):
    """Characters are received once, in their own time, and sent without a gap, the driver on around them."""
    chance, talk = random.Random(rate), Talk(rate)
    # The slower the rate, the fewer characters: bits have the same parts at any rate.
    for fault in [{}, {"parity": 1}, {}, {"stop": 0}, *[{}] * 8][: 1 << max(0, rate - 1)]:
        talk.receive(chance.randrange(10, 20), chance.randrange(256), **fault)
    if rate:
        talk.send(chance.randrange(30, 40), [chance.randrange(256) for _ in range(rate)])
    talk.check()


@pytest.mark.parametrize("rate", [4, 5], ids=map(str, RATES[4:]))
def test_a_collision_is_reported_once(rate):
    """The driver goes off after the middle of the bit that differs; then the bus is received again."""
    talk = Talk(rate)
    talk.send(7, [0xA5, 0x16], clash=13)
    talk.send(8, [0x16])
    talk.receive(1, 0x68)
    talk.check()


@pytest.mark.parametrize("rate", [4, 5], ids=map(str, RATES[4:]))
def test_characters_are_received_once(rate):
    """Characters are received once even back to back and 2 % too fast."""
    bit, frame = CLOCK_HZ / RATES[rate] / 1.02, [0xFE, 0x68, 0x16]
    dut, received = Rs485Phy(CLOCK_HZ), []

    async def testbench(ctx):
        ctx.set(dut.baud, rate)
        for level in [*wave(frame, bit), *[1] * round(bit)]:
            ctx.set(dut.ro, level)
            if ctx.get(dut.received.valid):
                received.append((ctx.get(dut.received.data), ctx.get(dut.received.error)))
            await ctx.tick()

    simulate(dut, testbench)
    assert received == [(byte, 0) for byte in frame]
