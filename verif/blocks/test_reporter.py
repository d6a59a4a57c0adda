"""The reporter alone puts out in each cycle what a reference does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise
from operator import attrgetter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring

from sealchip.dlt645.messages import Message
from sealchip.dlt645.reporter import Reporter
from sealchip.signatures import FrameHead
from verif.benches.block import Bench

ANSWER_MS, SHORTEST_MS, LONGEST_MS = 1024, 512, 32768
STROBES = (
    *("identity_valid", "log_ready", "event_pending", "logged", "pending", "frame", "tick_ms", "free"),
    *("answering", "done", "found", "sent", "broken"),
)
ENABLING = ("identity_valid", "log_ready")
PORTS = {
    **{name: f"status.{name}" for name in ("identity_valid", "log_ready", "pending")},
    "event_pending": "event.pending",
    "logged": "event.logged",
    "frame": "frame.valid",
    "tick_ms": "ticks.ms",
    "draw": "request.draw",
    "free": "request.free",
    "answering": "turn.answering",
    "reporting": "turn.reporting",
    **{name: f"log.{name}" for name in ("oldest", "acknowledge", "done", "found")},
    "send": "send.start",
    "message": "send.message",
    "sent": "sent.done",
    "broken": "sent.broken",
    **{name: f"meter.{name}" for name in ("exchanged", "failed")},
}
OUTPUTS = data.StructLayout(
    {
        **dict.fromkeys(("draw", "reporting", "oldest", "acknowledge"), 1),
        "send": 1,
        "message": Message,
        **dict.fromkeys(("unready", "exchanged", "failed", "baud_fallback"), 1),
    }
)
QUIET = dict.fromkeys(OUTPUTS.members, 0)
Cycle = Generator[dict[str, Any], SimpleNamespace, SimpleNamespace]
State = Generator[dict[str, Any], SimpleNamespace, "Callable[[], State]"]


class Desk(wiring.Component):
    """The desk has the reporter with its strobes in one signal and its outputs in another one."""

    def __init__(self):
        super().__init__({})
        self.reporter = Reporter()
        self.strobes, self.outputs = Signal(len(STROBES)), Signal(OUTPUTS)
        self.head = Signal(FrameHead)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reporter = reporter = self.reporter
        m.d.comb += [
            Cat(attrgetter(PORTS[name])(reporter) for name in STROBES).eq(self.strobes),
            reporter.frame.head.eq(self.head),
            *(self.outputs[name].eq(attrgetter(PORTS.get(name, name))(reporter)) for name in OUTPUTS.members),
        ]
        return m


BENCH = Bench(Desk)


class Reference:
    """The reference makes the reporter's outputs, and is written out from its description. A state is a
    generator: it is given the inputs of each cycle, gives the outputs, and ends with the state that follows.
    """

    def __init__(self) -> None:
        self.exchanged = self.failed = self.introduced = self.held = self.tried = False
        self.message = Message.REPORT_RECORD
        self.failures = self.ms = 0

    @property
    def unready(self) -> bool:
        return self.message is Message.REPORT_RECORD and not self.held

    def play(self) -> Generator[dict[str, Any], SimpleNamespace]:
        self.now = yield {}
        while not is_enabled(self.now):
            yield from self.cycle()
        yield from self.cycle(draw=True)
        state = self.idle
        while True:
            state = yield from state()

    def cycle(self, **outputs: object) -> Cycle:
        """Pass one cycle and return what came in it. What is changed after it is seen in the next one."""
        met = self.now
        kept = {name: getattr(self, name) for name in ("message", "unready", "exchanged", "failed")}
        self.now = yield {**QUIET, **kept, **outputs}
        self.ms += met.tick_ms
        self.tried = self.tried and not met.logged
        return met

    def idle(self) -> State:
        tried = self.tried
        met = yield from self.cycle()
        self.ms, self.held = 0, False
        if not is_enabled(met) or met.answering:
            return self.idle
        if met.pending:
            self.message = Message.REPORT_RECORD
            return self.fetch
        if met.event_pending and not tried:
            if not met.free:
                return self.idle
            # The report is sent ahead of the event.
            self.message, self.tried = Message.REPORT_RECORD, True
            return self.send
        if self.exchanged and not self.introduced:
            self.message = Message.REPORT_IDENTITY
            return self.contend
        return self.idle

    def ask_for_oldest(self, **outputs: object) -> Cycle:
        met = yield from self.cycle(oldest=True, **outputs)
        if met.done:
            self.held = bool(met.found)
        return met

    def fetch(self) -> State:
        while True:
            met = yield from self.ask_for_oldest()
            if met.done:
                return self.contend if met.found else self.idle

    def contend(self) -> State:
        while True:
            old = self.ms >= ANSWER_MS
            met = yield from self.cycle()
            if met.answering or old:
                return self.idle
            if met.free:
                return self.send

    def send(self) -> State:
        yield from self.cycle(send=True, reporting=True)
        return self.sending

    def sending(self) -> State:
        while True:
            unready = self.unready
            met = yield from self.cycle(reporting=True, draw=self.now.broken)
            if met.broken:
                return self.idle if unready else self.contend
            if met.sent:
                self.ms = 0
                return self.wait
            if unready and met.pending:
                return self.fetch_for_it

    def fetch_for_it(self) -> State:
        while True:
            met = yield from self.ask_for_oldest(reporting=True, draw=self.now.broken)
            if met.broken:
                return self.fetch
            if met.done:
                return self.sending

    def wait(self) -> State:
        while True:
            late = self.ms >= ANSWER_MS
            head, frame = self.now.head, self.now.frame
            right = frame and (head["meter"], head["control"], head["length"]) == (1, 0x94, 0)
            wrong = not right and (frame or late)
            longest = SHORTEST_MS << self.failures == LONGEST_MS
            yield from self.cycle(draw=right or wrong, baud_fallback=wrong and longest)
            if right:
                self.exchanged, self.failed, self.failures = True, False, 0
                if self.message is Message.REPORT_RECORD:
                    return self.acknowledge
                self.introduced = True
                return self.idle
            if wrong:
                self.failed, self.ms = True, 0
                return self.back_off

    def acknowledge(self) -> State:
        while True:
            met = yield from self.cycle(acknowledge=True)
            if met.done:
                return self.idle

    def back_off(self) -> State:
        while True:
            pause = SHORTEST_MS << self.failures
            pause_over = self.ms >= pause
            met = yield from self.cycle()
            if met.logged or pause_over:
                self.failures += pause < LONGEST_MS
                return self.idle


def is_enabled(met: SimpleNamespace) -> bool:
    return met.identity_valid and met.log_ready


RIGHT = {"control": 0x94, "length": 0, "meter": 1}
#: These frames differ from the right answer in one bit.
WRONG = [
    RIGHT | {name: RIGHT[name] ^ 1 << bit}
    for name, bits in (("control", 8), ("length", 8), ("meter", 1))
    for bit in range(bits)
]
#: High all the time, these bring one report after the other, each with a frame after it.
REPORTING = (*ENABLING, "pending", "free", "done", "found", "sent", "frame", "logged")


#: Each strobe is high as often as one of these states, for some cycles. Log and framer always end.
CHANCES = {
    "identity_valid": (1, 1, 1, 0.9),
    "log_ready": (1, 1, 1, 0.9),
    "event_pending": (0, 0.5, 1),
    "logged": (0, 0.02, 0.2),
    "pending": (0, 0.2, 0.9),
    "frame": (0.05, 0.5),
    "tick_ms": (0.5, 0.9),
    "free": (0.1, 0.5, 0.9),
    "answering": (0, 0, 0.02, 0.5),
    "done": (0.3, 0.9),
    "found": (0.9, 1),
    "sent": (0.1, 0.3),
    "broken": (0, 0.1, 0.3),
}


def stretch(random: Random) -> tuple[int, dict[str, float]]:
    """Return a number of cycles, and how often each strobe is high in them."""
    chances: dict[str, float] = {name: random.choice(some) for name, some in CHANCES.items()}
    if random.random() < 0.97:
        return random.randint(10, 60), chances
    # Time passes, and nothing else happens on the bus.
    return random.randint(600, 1600), chances | dict.fromkeys(["frame", "logged", "free"], 0)


def story(random: Random, cycles: int) -> list[SimpleNamespace]:
    """Return what comes in, cycle by cycle."""
    # It is not enabled before the identity is read; then each wrong answer comes, and the right one.
    half = dict.fromkeys(STROBES, 0.5)
    met = [_inputs(random, {**half, name: 0}, [RIGHT]) for name in ENABLING for _ in range(6)]
    chances = {name: float(name in REPORTING) for name in STROBES}
    met += [_inputs(random, chances, [head]) for head in [*WRONG, RIGHT] for _ in range(7)]
    while len(met) < cycles:
        length, chances = stretch(random)
        met += [_inputs(random, chances, [*[RIGHT] * len(WRONG), *WRONG]) for _ in range(length)]
    return met


def _inputs(random: Random, chances: dict[str, float], heads: list[dict[str, int]]) -> SimpleNamespace:
    strobes = {name: random.random() < chances[name] for name in STROBES}
    others = {name: random.getrandbits(1) for name in ("to_seal", "broadcast", "wildcard")}
    return SimpleNamespace(**strobes, head=random.choice(heads) | others)


def check(met: list[SimpleNamespace]) -> None:
    """The reporter puts out in each cycle what the reference does."""

    async def testbench(ctx: Any) -> None:
        reference = Reference().play()
        next(reference)
        for cycle, now in enumerate(met):
            ctx.set(desk.strobes, sum(getattr(now, name) << n for n, name in enumerate(STROBES)))
            ctx.set(desk.head, now.head)
            outputs, expected = ctx.get(desk.outputs), reference.send(now)
            assert {name: outputs[name] for name in OUTPUTS.members} == expected, cycle
            await ctx.tick()

    desk = BENCH.dut
    BENCH.run(testbench)


@pytest.mark.parametrize("seed", range(2))
def test_each_cycle_like_the_reference(seed: int) -> None:
    check(story(Random(seed), 4500))


@pytest.mark.parametrize("ms", [1000, 1030, 2040, 2060, 3100])
def test_a_record_that_was_sent_for_long_in_vain_is_made_anew(ms: int) -> None:
    """When a collision ends a frame late, its record is too old to be sent again."""

    def cycles(number: int, *strobes: str) -> list[SimpleNamespace]:
        given = {name: name in (*ENABLING, "pending", "found", *strobes) for name in STROBES}
        return [SimpleNamespace(**given, head=RIGHT) for _ in range(number)]

    check(
        cycles(8, "done", "free") + cycles(ms, "tick_ms") + cycles(1, "broken") + cycles(20, "done", "free")
    )


def test_pauses_double_up_to_32_seconds() -> None:
    """Without an answer a pause begins 1024 ms after each report, then the next one is sent; at the longest
    pause the rate is given up.
    """
    sent: list[int] = []
    given_up: list[int] = []

    async def testbench(ctx: Any) -> None:
        always = (*ENABLING, "pending", "tick_ms", "free", "done", "found", "sent")
        ctx.set(desk.strobes, sum((name in always) << n for n, name in enumerate(STROBES)))
        ms = 0
        async for _, _, send, fallback in ctx.tick().sample(desk.outputs.send, desk.outputs.baud_fallback):
            ms += 1
            if send:
                sent.append(ms)
            if fallback:
                given_up.append(ms)
            if len(sent) == 9:
                return

    desk = BENCH.dut
    BENCH.run(testbench)
    # Beside answer and pause 7 cycles pass, between them and from fetching to the end of the frame.
    pauses = [later - earlier - ANSWER_MS - 7 for earlier, later in pairwise(sent)]
    assert pauses == [512, 1024, 2048, 4096, 8192, 16384, 32768, 32768]
    assert given_up == [at + ANSWER_MS + 2 for at in sent[6:8]]
