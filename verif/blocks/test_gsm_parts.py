"""Tests of the parts of the GSM dialogue: a module's answers, the script, and the events that wait."""

from __future__ import annotations

import random
import re
from collections import deque

import pytest
from amaranth.hdl import Cat, Mux, Signal
from amaranth.hdl import Module as Hdl
from amaranth.lib import wiring
from hypothesis import given
from hypothesis import strategies as st

from sealchip.gsm.answers import AnswerReader
from sealchip.gsm.queue import DEPTH, GsmQueue
from sealchip.gsm.script import ATTEMPTS, FAILED, SCRIPT, Order, Slot, Token
from sealchip.gsm.text import AGE_MAX, CHARACTERS_MAX, LOST_MAX, PHRASES, message
from sealchip.interface import Kind, StateClass
from verif.benches.block import Bench, examples

# -- Answers


ANSWERS = Bench(AnswerReader)
NUMBER = "[^OKERCMGS+:, >]"
LINES = {
    "OK": Token.OK,
    r"ERROR|\+CM[SE] ERROR:.*": Token.ERROR,
    r"\+CMGS:.*": Token.SENT,
    rf"\+CREG: *{NUMBER}, *[15](,.*)?": Token.REGISTERED,
}
TYPICAL = st.sampled_from(
    (
        *(
            "OK",
            "ERROR",
            "+CMS ERROR: 500",
            "+CME ERROR: SIM failure",
            "+CMGS: 17",
            "+CREG: 0,1",
            "+CREG:2, 5",
        ),
        *(
            '+CREG: 1,1,"00C3"',
            "+CREG: 1",
            "+CREG: 0,2",
            "+CREG: 0,10",
            '+CREG: 5,"00C3","7D42"',
            "RING",
            "> ",
        ),
        *("ATE0", "AT+CMGS=", "O", "+CM", "ERROR: 1", "+CMS ERROR", "+CMTI: 1,1", "OK "),
    )
)
NOISE = st.text(st.sampled_from("\r\nOKERCMGS+:, >150\x00\xff"), max_size=6)


def reference(characters):
    """Return the tokens of `characters`, found by regular expressions."""
    tokens, line = [], ""
    for character in characters:
        if character in "\r\n":
            tokens += [token for pattern, token in LINES.items() if re.fullmatch(pattern, line)]
            line = ""
        elif character == ">" and not line:
            tokens.append(Token.PROMPT)
        else:
            line += character
    return tokens


def read(characters, bad=None):
    """Return the tokens; the character in place `bad` is received with an error."""
    dut, tokens = ANSWERS.dut, []

    async def testbench(ctx):
        for place, character in enumerate(characters):
            ctx.set(dut.data, ord(character))
            ctx.set(dut.error, place == bad)
            ctx.set(dut.valid, 1)
            for _ in range(4):
                await ctx.tick()
                ctx.set(dut.valid, 0)
                if (token := Token(ctx.get(dut.token))) is not Token.NONE:
                    tokens.append(token)

    ANSWERS.run(testbench)
    return tokens


@examples(60)
@given(st.lists(st.one_of(TYPICAL, NOISE), max_size=6), st.sampled_from(["\r\n", "\r", "\n"]))
def test_answers_like_the_reference(lines, end):
    text = end + end.join(lines) + end
    assert read(text) == reference(text)


@examples(20)
@given(TYPICAL, st.integers(0, 30))
def test_a_character_received_badly_makes_a_foreign_line(line, place):
    """The line is not recognised, though the character was the right one; the next line is read well."""
    bad = place % len(line)
    prompts = [Token.PROMPT] if line.startswith(">") and bad > 0 else []
    assert read(f"{line}\rOK\r", bad) == [*prompts, Token.OK]


# -- Script


def test_every_message_fits_one_sms():
    longest = [message("000000000101", it.zh, time="2026-11-22 13:05", lost=LOST_MAX) for it in PHRASES]
    assert max(map(len, longest)) <= CHARACTERS_MAX
    assert all(ord(character) < 0xC000 for text in longest for character in text)


def test_ages_stay_below_a_hundred_minutes():
    """At worst all that wait are given up one after another, and each attempt fails at its last step."""
    waits = [word for word in SCRIPT if word >> 12 == 0xC | Order.WAIT]
    seconds = [word & 0xFF for word in waits]
    pauses = [word & 0xFF for word in SCRIPT[FAILED:] if word >> 12 == 0xC | Order.WAIT]
    assert len(pauses) == ATTEMPTS - 1
    one = ATTEMPTS * (sum(seconds) - sum(pauses)) + sum(pauses)
    assert DEPTH * one <= AGE_MAX * 60


# -- Queue


class Watched(wiring.Component):
    """The queue reads a clock whose bytes are `time` and their place, and EE while it is not free."""

    def __init__(self):
        super().__init__({})
        self.queue = GsmQueue()
        self.time = Signal(5)

    def elaborate(self, platform):
        m = Hdl()
        m.submodules.queue = queue = self.queue
        m.d.sync += queue.clock_byte.eq(Mux(queue.clock_free, Cat(queue.clock_index, self.time), 0xEE))
        return m


QUEUE = Bench(Watched)
REPORTED = [Kind.OPENED, Kind.CLOSED, Kind.FLAPPING, Kind.SEALING_REFUSED]
ENDS = [None, None, "done", "gave_up", "start", "release"]


class Reference:
    """The reference does what the queue does, one step at a time."""

    def __init__(self):
        self.events, self.late, self.late_minute = deque(), None, False
        self.held, self.dropped, self.missing, self.lost = False, False, 0, 0

    def event(self, time, kind, state):
        number = state if kind == Kind.OPENED else 8 | kind
        if self.held:
            self._miss(self.late is not None)
            self.late = number
        else:
            self._append(number, time)

    def _append(self, number, time):
        if len(self.events) == DEPTH:
            self.events.popleft()
            self._miss(self.dropped)
            self.dropped = True
        self.events.append([number, time, 0])

    def _miss(self, count):
        self.missing = min(self.missing + count, LOST_MAX)

    def minute(self, time):
        if self.held:
            self.late_minute = True
        else:
            for entry in self.events:
                entry[2] += 1

    def start(self, time):
        self.lost = min(self.lost + self.missing + self.dropped, LOST_MAX)
        self.missing, self.dropped, self.held = 0, False, True

    def release(self, time):
        self.held = False
        if self.late is not None:
            self._append(self.late, time)
        if self.late_minute:
            self.minute(time)
        self.late, self.late_minute = None, False

    def done(self, time):
        self._end()
        self.lost = 0

    def gave_up(self, time):
        self._end()
        self._miss(1)

    def _end(self):
        if not self.dropped:
            self.events.popleft()
        self.dropped = False


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_queue_like_the_reference(share):
    """Events come out in order with their time and age; the newest stay; what is lost is counted.

    `share` of the steps have an event. Each step has its cycle, in which or before which the event comes.
    """
    dut, model, source = QUEUE.dut, Reference(), random.Random(share)
    queue, current, is_set = dut.queue, dut.queue.current, share != 0.5

    async def act(ctx, end, event, minute, phase):
        if minute:
            ctx.set(queue.tick_s, 1)
            await ctx.tick().repeat(59)
        strobes = [getattr(current, end)] if end in ("done", "gave_up", "start") else []
        if event:
            ctx.set(queue.kind, event[0])
            ctx.set(queue.state, event[1])
            ctx.set(queue.valid, 1)
            if phase % 2 and not minute:
                # The event already waits when the other strobe comes.
                await ctx.tick()
                ctx.set(queue.valid, 0)
        for strobe in strobes:
            ctx.set(strobe, 1)
        await ctx.tick()
        for strobe in (*strobes, queue.valid, queue.tick_s):
            ctx.set(strobe, 0)
        if end in ("start", "release"):
            ctx.set(current.hold, end == "start")
        # There is time for whatever is to be done; the clock is not free all the time.
        for cycle in range(phase, phase + 90):
            if cycle % 40 in (0, 15):
                ctx.set(queue.clock_free, cycle % 40 == 15)
            await ctx.tick()

    async def check(ctx):
        assert not ctx.get(current.busy)
        assert ctx.get(current.waiting) == bool(model.events)
        assert (ctx.get(current.renewed), ctx.get(current.lost)) == (model.dropped, model.lost)
        if model.events:
            number, time, age = model.events[0]
            clock = [time << 3 | place for place in range(Slot.MINUTE, Slot.AGE)]
            expected = [number | is_set << 7, *clock, int(str(min(age, AGE_MAX)), 16)]
            for slot, byte in zip(Slot, expected, strict=True):
                ctx.set(current.address, slot)
                await ctx.tick()
                assert ctx.get(current.byte) == byte, slot

    async def testbench(ctx):
        ctx.set(queue.clock_valid, is_set)
        for number in range(45):
            end, time, minute = source.choice(ENDS), number % 32, source.random() < 0.3
            event = (
                (source.choice(REPORTED), source.choice([1, 2, 4, 5])) if source.random() < share else None
            )
            # A message that ends has been there and is not held; one that starts is not held yet.
            if end in ("done", "gave_up") and (model.held or not (model.events or model.dropped)):
                end = None
            if end == "start" and model.held:
                end = None
            # Nothing else comes in the very cycle in which a waiting event may enter.
            if end == "release":
                event, minute = None, False
            ctx.set(dut.time, time)
            await act(ctx, end, event, minute, phase=source.randrange(40))
            if end:
                getattr(model, end)(time)
            if event:
                model.event(time, *event)
            if minute:
                model.minute(time)
            await check(ctx)

    QUEUE.run(testbench)


def test_ages():
    """An age has its minutes in two decimal digits, 99 at most."""
    dut = QUEUE.dut
    queue, seen = dut.queue, []

    async def testbench(ctx):
        ctx.set(queue.clock_free, 1)
        ctx.set(queue.kind, Kind.CLOSED)
        ctx.set(queue.valid, 1)
        await ctx.tick()
        ctx.set(queue.valid, 0)
        ctx.set(queue.current.address, Slot.AGE)
        for _ in range(102):
            await ctx.tick().repeat(20)
            seen.append(f"{ctx.get(queue.current.byte):02x}")
            ctx.set(queue.tick_s, 1)
            await ctx.tick().repeat(60)
            ctx.set(queue.tick_s, 0)

    QUEUE.run(testbench)
    assert seen == [f"{min(minute, AGE_MAX):02}" for minute in range(102)]


def test_which_events_are_reported():
    """Of all combinations of kind and state, exactly these make an event wait."""
    dut = QUEUE.dut
    queue, reported = dut.queue, set()

    async def testbench(ctx):
        ctx.set(queue.clock_free, 1)
        for kind in Kind:
            for state in StateClass:
                ctx.set(queue.kind, kind)
                ctx.set(queue.state, state)
                ctx.set(queue.valid, 1)
                await ctx.tick()
                ctx.set(queue.valid, 0)
                await ctx.tick().repeat(20)
                if ctx.get(queue.current.waiting):
                    reported.add((kind, state))
                    ctx.set(queue.current.done, 1)
                    await ctx.tick()
                    ctx.set(queue.current.done, 0)

    QUEUE.run(testbench)
    kinds = {Kind.OPENED, Kind.CLOSED, Kind.FLAPPING, Kind.SEALING_REFUSED}
    assert reported == {(kind, state) for kind in kinds for state in StateClass} | {
        (Kind.BOOT, state) for state in StateClass if state != StateClass.SEALED
    }
