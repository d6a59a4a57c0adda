"""Tests of when the seal may transmit."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from hypothesis import given
from hypothesis import strategies as st

from sealchip.bus.bus_access import BusAccess
from verif.benches.block import Bench, examples, simulate

#: In ms; DL/T 645-2007 has a slave answer within 500 ms, and here is a margin.
ANSWER, LEAST_GAP, AFTER_CRASH, SLOT, SLOTS = 520, 4, 20, 2, 32
LATEST = LEAST_GAP + (SLOTS - 1) * SLOT
STUCK = 64

REQUESTS = {"read": (0x11, 0), "write": (0x14, 0), "read address": (0x13, 0), "broadcast time": (0x08, 0)}
ENDINGS = {"answer": (0x91, 0), "acknowledgement": (0x94, 0), "refusal": (0xD1, 0), "broadcast": (0x08, 1)}

ACCESS = Bench(BusAccess)


async def receive(ctx, dut, control, broadcast):
    """Drive the levels and the strobe of another device's frame; the line is high at the end."""
    for level in (0, 1, 0):
        ctx.set(dut.ro, level)
        await ctx.tick()
    ctx.set(dut.ro, 1)
    ctx.set(dut.frame.head.control, control)
    ctx.set(dut.frame.head.broadcast, broadcast)
    ctx.set(dut.frame.valid, 1)
    await ctx.tick()
    ctx.set(dut.frame.valid, 0)


async def transmit(ctx, dut, expects):
    """Send an own frame, whole."""
    ctx.set(dut.de, 1)
    await ctx.tick().repeat(3)
    ctx.set(dut.sent.done, 1)
    ctx.set(dut.expects, expects)
    await ctx.tick()
    ctx.set(dut.sent.done, 0)
    ctx.set(dut.de, 0)


async def give_up(ctx, dut, *, low=3):
    """Send an own frame that ends in a collision, with the line still low for some cycles."""
    ctx.set(dut.de, 1)
    ctx.set(dut.ro, 0)
    await ctx.tick().repeat(3)
    ctx.set(dut.sent.broken, 1)
    await ctx.tick()
    ctx.set(dut.sent.broken, 0)
    ctx.set(dut.de, 0)
    await ctx.tick().repeat(low)
    ctx.set(dut.ro, 1)


async def draw(ctx, dut, cycles=1):
    """Draw a slot once, after some cycles."""
    await ctx.tick().repeat(cycles)
    ctx.set(dut.request.draw, 1)
    await ctx.tick()
    ctx.set(dut.request.draw, 0)


async def wait(ctx, dut):
    """Return the quiet time in ms until the bus is free; there is a tick in each cycle."""
    ctx.set(dut.ticks.ms, 1)
    for _ in range(ANSWER + LATEST + 100):
        assert ctx.get(dut.silence) == (ctx.get(dut.quiet_ms) >= ANSWER)
        if ctx.get(dut.request.free):
            ctx.set(dut.ticks.ms, 0)
            return ctx.get(dut.quiet_ms)
        await ctx.tick()
    raise AssertionError("never free")


@pytest.mark.parametrize("before", ["reset", "noise", "own report", *REQUESTS])
def test_silent_while_an_answer_is_due(before):
    """After a request, an own report or unintelligible bytes the seal waits for 520 ms and its slot.

    The slot counts down only while the bus is free, and is not needed again.
    """

    async def testbench(ctx):
        dut = ACCESS.dut
        await draw(ctx, dut, 7)
        if before in REQUESTS:
            await receive(ctx, dut, 0x91, 0)
            await receive(ctx, dut, *REQUESTS[before])
        elif before == "own report":
            await transmit(ctx, dut, expects=1)
        elif before == "noise":
            await receive(ctx, dut, 0x91, 0)
            ctx.set(dut.ro, 0)
            await ctx.tick()
            ctx.set(dut.ro, 1)
        silence = await wait(ctx, dut)
        assert ANSWER <= silence <= ANSWER + LATEST - LEAST_GAP
        await receive(ctx, dut, 0x91, 0)
        assert await wait(ctx, dut) == LEAST_GAP, "the slot has run down"

    ACCESS.run(testbench)


@pytest.mark.parametrize("before", ["own answer", *ENDINGS])
def test_free_soon_when_no_answer_is_due(before):
    async def testbench(ctx):
        dut = ACCESS.dut
        await draw(ctx, dut, 3)
        if before in ENDINGS:
            await receive(ctx, dut, 0x11, 0)
            await receive(ctx, dut, *ENDINGS[before])
        else:
            await transmit(ctx, dut, expects=0)
        assert LEAST_GAP <= await wait(ctx, dut) <= LATEST

    ACCESS.run(testbench)


@examples(15)
@given(quiet=st.lists(st.integers(1, 200), max_size=4), own=st.booleans())
def test_any_level_restarts_the_silence(quiet, own):
    """The bus is not free while it is driven; a frame received before a new level no longer counts."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await receive(ctx, dut, 0x91, 0)
        for time in quiet:
            ctx.set(dut.ticks.ms, 1)
            await ctx.tick().repeat(time)
            assert ctx.get(dut.quiet_ms) == time
            ctx.set(dut.de if own else dut.ro, own)
            assert not ctx.get(dut.request.free)
            await ctx.tick()
            ctx.set(dut.de if own else dut.ro, not own)
            ctx.set(dut.ticks.ms, 0)
            await ctx.tick()
        first = await wait(ctx, dut)
        assert (first >= ANSWER) == bool(quiet)

    ACCESS.run(testbench)


@examples(10)
@given(drawn=st.integers(1, 300), gaps=st.lists(st.integers(0, 40), max_size=4))
def test_a_slot_is_counted_down_over_several_gaps(drawn, gaps):
    """A seal that was not first resumes its count: all gaps together are the slot."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await draw(ctx, dut, drawn)
        slot = 0
        for gap in gaps:
            await receive(ctx, dut, 0x91, 0)
            ctx.set(dut.ticks.ms, 1)
            for _ in range(LEAST_GAP + gap):
                if ctx.get(dut.request.free):
                    return
                await ctx.tick()
            ctx.set(dut.ticks.ms, 0)
            slot += gap
        await receive(ctx, dut, 0x91, 0)
        slot += await wait(ctx, dut) - LEAST_GAP
        assert slot <= (SLOTS - 1) * SLOT
        assert slot % SLOT == 0

    ACCESS.run(testbench)


@pytest.mark.parametrize("another", [False, True], ids=["alone", "not alone"])
def test_quick_after_a_collision(another):
    """After both senders stopped no frame can have arrived; if one goes on, an answer may be due."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await give_up(ctx, dut)
        ctx.set(dut.ticks.ms, 1)
        await ctx.tick().repeat(AFTER_CRASH - 5)
        assert not ctx.get(dut.request.free)
        if another:
            ctx.set(dut.ro, 0)
            await ctx.tick()
            ctx.set(dut.ro, 1)
        assert await wait(ctx, dut) == (ANSWER if another else AFTER_CRASH)

    ACCESS.run(testbench)


def test_not_free_in_the_cycle_of_a_frame():
    """The slave may take the frame for a request in that very cycle."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await wait(ctx, dut)
        ctx.set(dut.frame.valid, 1)
        assert not ctx.get(dut.request.free)

    ACCESS.run(testbench)


def test_a_stuck_line_is_reported():
    """A line low for longer than any character is stuck, until it is high again."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await wait(ctx, dut)
        ctx.set(dut.ro, 0)
        assert not ctx.get(dut.stuck), "a line that has only just gone low is not stuck"
        await ctx.tick()
        ctx.set(dut.ticks.ms, 1)
        for low in range(STUCK + 50):
            assert ctx.get(dut.stuck) == (low >= STUCK)
            assert not ctx.get(dut.request.free)
            await ctx.tick()
        ctx.set(dut.ro, 1)
        assert not ctx.get(dut.stuck)

    ACCESS.run(testbench)


def test_stays_free_in_a_long_silence():
    """The count of quiet milliseconds saturates."""

    async def testbench(ctx):
        dut = ACCESS.dut
        await draw(ctx, dut)
        await wait(ctx, dut)
        ctx.set(dut.ticks.ms, 1)
        before = 0
        for _ in range(1200):
            await ctx.tick()
            assert ctx.get(dut.request.free)
            assert ctx.get(dut.quiet_ms) >= before
            before = ctx.get(dut.quiet_ms)

    ACCESS.run(testbench)


class Seals(wiring.Component):
    """Seals with different seeds on the same bus draw different slots."""

    def __init__(self, seeds):
        super().__init__({})
        self.seals = [BusAccess() for _ in seeds]
        self.seeds = seeds
        self.draw, self.ro, self.answer = Signal(), Signal(init=1), Signal()
        self.free = Signal(len(seeds))

    def elaborate(self, platform):
        m = Module()
        for n, (seal, seed) in enumerate(zip(self.seals, self.seeds, strict=True)):
            m.submodules[f"seal{n}"] = seal
            m.d.comb += [
                seal.seed.eq(seed),
                seal.request.draw.eq(self.draw),
                seal.ro.eq(self.ro),
                seal.ticks.ms.eq(1),
                seal.frame.valid.eq(self.answer),
                seal.frame.head.control.eq(0x91),
                self.free[n].eq(seal.request.free),
            ]
        return m


def test_slots_differ_with_the_seed():
    """Seals that power up in the same cycle and draw in the same cycles seldom draw the same slot.

    Each draws whenever it has sent or given up a frame, so draws come at any time.
    """
    dut, chance = Seals([0x0101, 0x0102, 0x0103, 0x0F00, 0x1234, 0xFFFF]), random.Random(1)
    slots = [[] for _ in dut.seals]

    async def testbench(ctx):
        for _ in range(60):
            await ctx.tick().repeat(chance.choice([1, 1, 2, 5, chance.randrange(1, 200)]))
            ctx.set(dut.draw, 1)
            await ctx.tick()
            ctx.set(dut.draw, 0)
            ctx.set(dut.ro, 0)
            await ctx.tick()
            ctx.set(dut.ro, 1)
            ctx.set(dut.answer, 1)
            await ctx.tick()
            ctx.set(dut.answer, 0)
            seen = [None] * len(slots)
            for quiet in range(LATEST + 1):
                free = ctx.get(dut.free)
                for n, slot in enumerate(seen):
                    if slot is None and free >> n & 1:
                        seen[n], rest = divmod(quiet - LEAST_GAP, SLOT)
                        assert rest == 0
                await ctx.tick()
            for n, slot in enumerate(seen):
                slots[n].append(slot)

    simulate(dut, testbench)
    for drawn in slots:
        assert None not in drawn
        assert len(set(drawn)) > 20, "a seal uses most of the slots"
    for one, other in combinations(slots, 2):
        same = sum(a == b for a, b in zip(one, other, strict=True))
        assert same <= 0.15 * len(one), "seals seldom draw the same slot"


class Contract:
    """The reference of `BusAccess` has, cycle by cycle, the quiet time that is enough, slot and generator."""

    def __init__(self):
        self.enough, self.line, self.ms = ANSWER, 1, 0
        self.slot, self.drawn, self.lfsr = 0, False, 1

    def outputs(self, i):
        """Return free, quiet_ms, silence and stuck for the inputs `i`, and go on to the next cycle."""
        changes = i["ro"] != self.line
        quiet = i["ro"] and not changes and not i["de"]
        may = quiet and not i["frame"] and self.ms >= self.enough
        ms = min(self.ms, ANSWER)
        result = (
            may and self.slot == 0 and not self.drawn,
            ms if quiet else 0,
            quiet and ms == ANSWER,
            not i["ro"] and not changes and ms >= STUCK,
        )
        self._receive(i, changes)
        self._draw(i, may)
        return result

    def _receive(self, i, changes):
        if i["de"] or (changes and not i["ro"]):
            self.enough = ANSWER
        if i["frame"]:
            self.enough = LEAST_GAP if i["control"] & 0x80 or i["broadcast"] else ANSWER
        if i["sent"]:
            self.enough = ANSWER if i["expects"] else LEAST_GAP
        if i["broken"]:
            self.enough = AFTER_CRASH
        self.ms = 0 if changes or (i["de"] and i["ro"]) else self.ms + i["tick_ms"]
        self.line = i["ro"]

    def _draw(self, i, may):
        if self.drawn:
            self.slot = self.lfsr % SLOTS * SLOT
        elif may and self.slot and i["tick_ms"]:
            self.slot -= 1
        self.drawn = i["draw"]
        if i["draw"] or i["tick_ms"]:
            # The polynomial is x^16 + x^14 + x^13 + x^11 + 1.
            self.lfsr = self.lfsr >> 1 ^ (0xB400 if self.lfsr & 1 else 0)
        if i["draw"]:
            self.lfsr ^= i["seed"]


def talk(chance):
    """Describe one event on the bus and the time after it: what differs from a quiet line, by cycle."""
    low, high = {"ro": 0}, {}
    own = [{"de": 1, "ro": chance.randrange(2)} for _ in range(chance.randrange(1, 4))]
    end = {"de": 1, "expects": chance.randrange(2)}
    frame = {"frame": 1, "control": chance.randrange(256), "broadcast": chance.random() < 0.2}
    happens = {
        "others": [low, low, high, *[high] * chance.randrange(2), frame],
        "sent": [*own, end | {"sent": 1}],
        "broken": [*own, end | {"broken": 1, "ro": 0}, *[low] * chance.randrange(4)],
        "noise": [low] * chance.choice([1, 2, 10, STUCK - 1, STUCK + 10]),
        "nothing": [],
    }
    (kind,) = chance.choices(list(happens), [8, 4, 4, 1, 2])
    quiet = [{} for _ in range(chance.choice([1, LEAST_GAP + 2, 24, 40, LATEST + 5, LATEST + 5]))]
    if chance.random() < 0.1:
        quiet += [{}] * (ANSWER + 10)
    if chance.random() < 0.5:
        for _ in range(chance.choice([1, 1, 2])):
            chance.choice(quiet[:3])["draw"] = 1
    return [*happens[kind], *quiet]


def test_every_cycle_is_as_promised():
    """Foreign frames, own frames sent and given up, noise and draws come at any time."""
    chance, contract = random.Random(1), Contract()

    async def testbench(ctx):
        dut = ACCESS.dut
        ports = {name: getattr(dut, name) for name in ("ro", "de", "expects", "seed")}
        ports |= {"frame": dut.frame.valid, "sent": dut.sent.done, "broken": dut.sent.broken}
        ports |= {"control": dut.frame.head.control, "broadcast": dut.frame.head.broadcast}
        ports |= {"tick_ms": dut.ticks.ms, "draw": dut.request.draw}
        outputs = dut.request.free, dut.quiet_ms, dut.silence, dut.stuck
        given = still = dict.fromkeys(ports, 0) | {"ro": 1}
        for _ in range(250):
            ticks, seed = chance.choice([1, 1, 1, 0.7]), chance.randrange(1 << 16)
            for differs in talk(chance):
                inputs = still | {"tick_ms": chance.random() < ticks, "seed": seed} | differs
                for name in [name for name, value in inputs.items() if value != given[name]]:
                    ctx.set(ports[name], inputs[name])
                given = inputs
                assert tuple(map(ctx.get, outputs)) == contract.outputs(inputs)
                await ctx.tick()

    ACCESS.run(testbench)
