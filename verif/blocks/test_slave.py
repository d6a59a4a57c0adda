"""Tests of the slave alone: what it asks of core, loop and framer for any request, against a reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from hypothesis import given
from hypothesis import strategies as st

from sealchip.bus.bus_access import SILENCE_MS
from sealchip.core.firmware.layout import Command
from sealchip.dlt645.messages import Message
from sealchip.dlt645.password import LOCK_TICKS
from sealchip.dlt645.slave import TD_MS, TOO_LATE_MS, Slave
from sealchip.interface import BAUD_FEATURE, IDENTITY, PROVISIONING, Di
from verif.benches.block import Bench, examples

NO_RATE = None
RECORD, MORE = Message.ANSWER_RECORD, Message.ANSWER_RECORD_MORE
NEXT, NEXT_MORE = Message.ANSWER_NEXT, Message.ANSWER_NEXT_MORE
DONE, OTHER, NO_DATA = Message.ANSWER_DONE, Message.REFUSE_OTHER, Message.REFUSE_NO_DATA
UNAUTHORISED = Message.REFUSE_UNAUTHORISED
PASSWORD_ITEM = 6
#: Beside a number this asks FETCH only whether there is an older entry.
HAS_OLDER = 64


#: The outputs of one bit are what the slave asks of others, what it reports to them, and its state.
ASKS = ("start", "seal", "send")
REPORTS = ("locked_out", "provisioned", "takes_rate")
STANDS = ("spoiled", "busy")
BITS = {name: 1 << n for n, name in enumerate((*ASKS, *REPORTS, *STANDS))}
PORTS = {
    "start": "core.start",
    "seal": "loop.seal",
    "send": "send.start",
    "locked_out": "loop.locked_out",
    "provisioned": "loop.provisioned",
    "takes_rate": "rate.take",
    "spoiled": "core.spoiled",
    "busy": "turn.answering",
}


class Desk(wiring.Component):
    """The desk has the slave and the frame's DATA; all outputs of one bit stand in one signal."""

    def __init__(self):
        super().__init__({})
        self.slave = Slave()
        self.data = Memory(shape=8, depth=64, init=[])
        self.outputs = Signal(len(BITS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave, m.submodules.data = self.slave, self.data
        read = self.data.read_port()
        m.d.comb += [
            read.addr.eq(self.slave.position),
            self.slave.content.eq(read.data),
            self.outputs.eq(Cat(attrgetter(PORTS.get(name, name))(self.slave) for name in BITS)),
        ]
        return m


BENCH = Bench(Desk)


@dataclass(frozen=True)
class Situation:
    """A situation is a request, and what the request meets."""

    control: int
    data: bytes = b""
    to_seal: bool = True
    wildcard: bool = False
    broadcast: bool = False
    valid: bool = True
    enable: bool = True
    records: int = 64
    #: The password is right; the flash takes an update; the loop can be sealed.
    right: bool = True
    takes: bool = True
    seals: bool = True
    #: Another frame begins before the answer, in the very cycle after the request's end.
    spoiled: bool = False
    #: It has been quiet for so many ms when all is done.
    quiet_ms: int = TD_MS
    #: The answer's frame is given up.
    broken: bool = False


@dataclass
class Doing:
    """This is what the slave has done, in order."""

    #: The core got these commands, with these values.
    asked: list[tuple[Command, int]] = field(default_factory=list)
    sealed: int = 0
    provisioned: int = 0
    locked_out: int = 0
    sent: list[Message] = field(default_factory=list)
    rate: int | None = NO_RATE


class Guard:
    """As a reference, three wrong passwords lock; one that another frame may have spoiled does not count."""

    def __init__(self) -> None:
        self.wrong = 0

    @property
    def locked(self) -> bool:
        return self.wrong == 3

    def check(self, now: Situation) -> bool:
        """Return whether this password locks."""
        self.wrong = 0 if now.right else self.wrong + (not now.spoiled)
        return self.locked


def expected(now: Situation, guard: Guard) -> Doing:
    """Return what the slave must do, as a reference written out from its description."""
    doing, locked = Doing(), guard.locked
    to_us = now.to_seal and (now.valid or now.wildcard)
    function, data, size = now.control & 0x1F, now.data, len(now.data)
    if not now.enable or now.control >> 5 or not (to_us or (now.broadcast and function == 0x08)):
        return doing

    def fetch(nth: int) -> bool:
        doing.asked.append((Command.FETCH, nth))
        return nth < now.records

    def follows(nth: int) -> bool:
        doing.asked.append((Command.FETCH, HAS_OLDER | nth))
        return nth + 1 < now.records

    def authorised() -> bool:
        if not locked:
            doing.asked.append((Command.CHECK, PASSWORD_ITEM << 4 | 5))
            doing.locked_out += guard.check(now)
        return not locked and now.right

    def update(item: int, origin: int) -> Message:
        if size != origin + IDENTITY[PROVISIONING[item]].width:
            return OTHER
        doing.asked.append((Command.UPDATE, item << 4 | origin))
        doing.provisioned += now.takes
        return DONE if now.takes else OTHER

    def seal() -> Message:
        doing.sealed += 1
        return DONE if now.seals else OTHER

    def of_log(nth: int, last: Message, more: Message) -> Message:
        answer = more if nth < 63 and follows(nth) else last
        return answer if fetch(nth) else NO_DATA

    def answer() -> Message | None:
        di = int.from_bytes(data[:4], "little")
        match function, size:
            case 0x08, 6:
                doing.asked.append((Command.CLOCK, 0))
            case 0x11, _ if size >= 4:
                return read(di)
            case 0x12, 5:
                known = di == Di.EVENT_LOG and 1 <= data[4] <= 63
                return of_log(data[4], NEXT, NEXT_MORE) if known else NO_DATA
            case 0x13, 0:
                return Message.ANSWER_ADDRESS
            case 0x14, _ if size >= 12:
                return write(di)
            case 0x15, 6 if now.wildcard and not now.valid:
                return DONE if update(0, 0) is DONE else None
            case 0x17, 1:
                if data[0] not in BAUD_FEATURE:
                    return Message.REFUSE_RATE
                doing.rate = list(BAUD_FEATURE).index(data[0])
                return Message.ANSWER_RATE
            case 0x18, 12:
                done = update(PASSWORD_ITEM, 9) if authorised() else UNAUTHORISED
                return Message.ANSWER_PASSWORD if done is DONE else done
        return None

    def read(di: int) -> Message:
        match di:
            case Di.RECORD_NEWEST:
                return RECORD if fetch(0) else NO_DATA
            case Di.EVENT_LOG:
                return of_log(0, RECORD, MORE)
            case Di.DIAGNOSTICS:
                return Message.ANSWER_DIAGNOSTICS
            case Di.ADDRESS:
                return Message.ANSWER_ADDRESS_ITEM
            case Di.ASSET_NUMBER:
                return Message.ANSWER_ASSET
        if di >> 4 == Di.RECORD_HISTORY >> 4:
            return RECORD if fetch(di & 15) else NO_DATA
        return NO_DATA

    def write(di: int) -> Message:
        if di == Di.CHALLENGE and size == 16:
            doing.asked.append((Command.CHALLENGE, 0))
            return DONE if now.takes else None
        if di == Di.SEAL and size == 12:
            return seal() if authorised() else UNAUTHORISED
        if di - Di.PROVISIONING in PROVISIONING:
            return update(di - Di.PROVISIONING, 12) if authorised() else UNAUTHORISED
        return NO_DATA

    message = answer()
    if now.spoiled or now.quiet_ms >= TOO_LATE_MS:
        message, doing.rate = None, NO_RATE
    if now.broken:
        doing.rate = NO_RATE
    doing.sent = [] if message is None else [message]
    return doing


async def ask(ctx: Any, now: Situation) -> Doing:
    """Make one request, until the slave is idle again; log, identity and loop take their time."""
    desk, slave, doing = BENCH.dut, BENCH.dut.slave, Doing()
    for place, byte in enumerate(now.data.ljust(16, b"\xa5")):
        ctx.set(desk.data.data[place], byte)
    flags = {name: getattr(now, name) for name in ("to_seal", "wildcard", "broadcast")}
    ctx.set(slave.frame.head, {"control": now.control, "length": len(now.data), "meter": 0, **flags})
    ctx.set(slave.status.identity_valid, now.valid)
    ctx.set(slave.status.log_ready, now.enable)
    await ctx.tick().repeat(2)  # a program takes its time to begin
    assert not ctx.get(desk.outputs), "it is idle before the request"
    ctx.set(slave.frame.valid, 1)
    await ctx.tick()
    ctx.set(slave.frame.valid, 0)
    ctx.set(slave.quiet_ms, TD_MS - 1)
    ctx.set(slave.frame.begun, now.spoiled)
    seen = ctx.get(desk.outputs)
    await ctx.tick()
    ctx.set(slave.frame.begun, 0)
    ctx.set(slave.quiet_ms, now.quiet_ms)
    # What is not for the seal is over before it has begun, and nothing else happens.
    for _ in range(200):
        if not seen & BITS["busy"]:
            break
        await _serve(ctx, desk, now, doing)
        seen = ctx.get(desk.outputs)
    await ctx.tick()
    assert not ctx.get(desk.outputs), "it is idle again after the request"
    return doing


async def passes_data_on(ctx: Any, desk: Desk) -> None:
    """The core reads DATA through the slave."""
    for position in (16, 42, 63):
        ctx.set(desk.slave.core.position, position)
        ctx.set(desk.data.data[position], 0xC0 ^ position)
        assert ctx.get(desk.slave.position) == position
        await ctx.tick()
        assert ctx.get(desk.slave.core.content) == 0xC0 ^ position
    ctx.set(desk.slave.core.position, 0)


async def _serve(ctx: Any, desk: Desk, now: Situation, doing: Doing) -> None:
    """Serve the slave for one cycle, or for a whole command."""
    slave, stands = desk.slave, BITS["busy"] | BITS["spoiled"] * now.spoiled

    async def holds(outputs: int, cycles: int = 3) -> None:
        """Check that nothing else is put out, for some cycles."""
        for _ in range(cycles):
            assert ctx.get(desk.outputs) == stands | outputs
            await ctx.tick()

    async def done(strobe: Any, result: Any = None, value: bool = False) -> int:
        """Strobe `strobe`, with `result`; return what the slave puts out in this cycle."""
        ctx.set(strobe, 1)
        if result is not None:
            ctx.set(result, value)
        outputs = ctx.get(desk.outputs)
        await ctx.tick()
        ctx.set(strobe, 0)
        if result is not None:
            ctx.set(result, 0)
        return outputs & ~stands

    outputs = ctx.get(desk.outputs)
    assert outputs & (stands | BITS["spoiled"]) == stands
    match [name for name in BITS if outputs & ~stands & BITS[name]]:
        case []:
            await ctx.tick()
        case ["start"]:
            command, of = Command(ctx.get(slave.core.command)), ctx.get(slave.core.value)
            doing.asked.append((command, of))
            await holds(BITS["start"])
            assert (ctx.get(slave.core.command), ctx.get(slave.core.value)) == (command, of)
            if command == Command.FETCH:
                ctx.set(slave.core.position, 63)
                await holds(BITS["start"])
                assert ctx.get(slave.core.value) == of, "DATA is the slave's"
                ctx.set(slave.core.position, 0)
                right = of % HAS_OLDER + of // HAS_OLDER < now.records
            else:
                assert ctx.get(slave.position) == 0, "DATA is the core's"
                await passes_data_on(ctx, desk)
                right = now.right if command == Command.CHECK else now.takes
            outputs = await done(slave.core.done, slave.core.right, right)
            doing.provisioned += outputs == BITS["start"] | BITS["provisioned"]
            doing.locked_out += outputs == BITS["start"] | BITS["locked_out"]
        case ["seal"]:
            doing.sealed += 1
            await ctx.tick()
            await holds(0)
            await done(slave.loop.seal_done if now.seals else slave.loop.seal_refused)
        case ["send"]:
            message = ctx.get(slave.send.message)
            doing.sent.append(message)
            await ctx.tick()
            await holds(0)
            assert ctx.get(slave.position) == 0, "DATA is the framer's"
            assert ctx.get(slave.send.message) == message
            number = ctx.get(slave.rate.number)
            outputs = await done(slave.sent.broken if now.broken else slave.sent.done)
            assert outputs in (0, BITS["takes_rate"])
            doing.rate = number if outputs else NO_RATE
        case others:
            raise AssertionError(f"{others} come at a time")


def check(*situations: Situation) -> None:
    """The slave does what the reference does, one request after the other."""

    async def testbench(ctx: Any) -> None:
        guard = Guard()
        for now in situations:
            assert await ask(ctx, now) == expected(now, guard), now

    BENCH.run(testbench)


def di(number: int) -> bytes:
    return number.to_bytes(4, "little")


def write(item: int, more: int = 0, **others: bool) -> Situation:
    """Return a write of what the item takes, and `more` bytes."""
    field = PROVISIONING.get(item - Di.PROVISIONING)
    size = 12 + (IDENTITY[field].width if field else 4 * (item == Di.CHALLENGE)) + more
    return Situation(0x14, di(item).ljust(size, b"\x77"), **others)


OURS = [*range(0x04805300, 0x04805320), *range(0x048053F0, 0x04805400), 0x04000401, 0x04000403]
STRANGE = [0x05805301, 0x04815301, 0x04805201, 0x05000401, 0x04010401, 0x04000501, 0x04000402, 0]


def test_every_item_is_read() -> None:
    for records in (0, 1, 2, 64):
        check(*(Situation(0x11, di(item), records=records) for item in OURS + STRANGE))
    check(*(Situation(0x11, bytes.fromhex("01538004AAAAAAAAAAAA")[:size]) for size in range(10)))


def test_every_follow_up() -> None:
    log = di(Di.EVENT_LOG)
    check(*(Situation(0x12, log + bytes([seq])) for seq in (*range(66), 80, 127, 128, 255)))
    check(*(Situation(0x12, log + bytes([seq]), records=5) for seq in range(2, 7)))
    check(*(Situation(0x12, (log + b"\1\1")[:size]) for size in range(7)))
    check(*(Situation(0x12, di(item) + b"\1") for item in (*STRANGE, Di.RECORD_NEWEST)))


@pytest.mark.parametrize("others", [{}, {"takes": False, "seals": False}], ids=["taken", "not taken"])
def test_every_item_is_written(others: dict[str, bool]) -> None:
    check(*(write(item, more, **others) for item in OURS + STRANGE for more in (0, 1, -1, 16)))
    check(*(write(Di.CHALLENGE, more, **others) for more in range(-16, 3)))


def test_every_rate() -> None:
    check(*(Situation(0x17, bytes([word])) for word in range(256)))


def test_every_function() -> None:
    """Every function gets six bytes, without an address by wildcard too; some get each length up to 13."""
    for control in range(256):
        situation = Situation(control, bytes(6))
        broadcast = replace(situation, to_seal=False, broadcast=True)
        unaddressed = replace(situation, valid=False, wildcard=True)
        check(situation, broadcast, unaddressed, replace(situation, valid=False))
    for control in (0x08, 0x13, 0x15, 0x17, 0x18):
        check(*(Situation(control, bytes(size), valid=False, wildcard=True) for size in range(14)))
    check(
        Situation(0x15, bytes(6), valid=False, wildcard=True, takes=False),
        Situation(0x15, bytes(6), wildcard=True),
    )
    check(Situation(0x13, enable=False), Situation(0x13, to_seal=False), Situation(0x13))


def test_an_answer_that_is_given_up_is_over() -> None:
    """After an answer was given up, the next request is answered again."""
    given_up = Situation(0x13, broken=True), Situation(0x17, b"\x08", broken=True)
    check(*(situation for each in given_up for situation in (each, replace(each, broken=False))))


def test_no_request_is_taken_while_the_reporter_sends() -> None:
    async def testbench(ctx: Any) -> None:
        slave = BENCH.dut.slave
        ctx.set(slave.frame.head, {"control": 0x13, "to_seal": 1})
        for port in (slave.status.identity_valid, slave.status.log_ready, slave.frame.valid):
            ctx.set(port, 1)
        ctx.set(slave.turn.reporting, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(BENCH.dut.outputs)
        ctx.set(slave.turn.reporting, 0)
        await ctx.tick()
        assert ctx.get(BENCH.dut.outputs) == BITS["busy"]

    BENCH.run(testbench)


WITHOUT_ANSWER = {
    "another frame begins": {"spoiled": True},
    "too late": {"quiet_ms": TOO_LATE_MS},
    "much too late": {"quiet_ms": SILENCE_MS},
}


@pytest.mark.parametrize("why", WITHOUT_ANSWER)
@examples(8)
@given(data=st.lists(st.sampled_from([0x11, 0x12, 0x13, 0x14, 0x17, 0x18]), min_size=1, max_size=4))
def test_what_is_asked_for_is_done_without_an_answer(why: str, data: list[int]) -> None:
    """What was asked for is done without an answer; the next request is answered again."""
    asked = {
        0x11: Situation(0x11, di(Di.RECORD_NEWEST)),
        0x12: Situation(0x12, di(Di.EVENT_LOG) + b"\3"),
        0x13: Situation(0x13),
        0x14: write(Di.PROVISIONING),
        0x17: Situation(0x17, b"\x08"),
        0x18: Situation(0x18, bytes(12)),
    }
    for control in data:
        unanswered = replace(asked[control], **WITHOUT_ANSWER[why])
        check(unanswered, asked[control], unanswered)


def test_locked_out() -> None:
    """The third wrong password locks, spoiled ones do not count; then no password is even looked at, until
    its time is over.
    """

    async def testbench(ctx: Any) -> None:
        slave, guard, wrong = BENCH.dut.slave, Guard(), write(Di.PROVISIONING, right=False)

        async def refused(now: Situation) -> None:
            assert await ask(ctx, now) == expected(now, guard)
            assert ctx.get(slave.locked) == guard.locked

        ctx.set(slave.core.lock_tick, 1)
        spoiled = replace(wrong, spoiled=True)
        forgiven = write(Di.PROVISIONING, takes=False), write(Di.SEAL, seals=False)
        for now in forgiven:
            for story in (wrong, wrong, spoiled, spoiled, now):
                await refused(story)
        for now in (wrong, wrong, Situation(0x15, bytes(6), valid=False, wildcard=True), spoiled):
            await refused(now)
        ctx.set(slave.core.lock_tick, 0)
        await refused(wrong)
        assert guard.locked
        for now in (write(Di.PROVISIONING), write(Di.SEAL), Situation(0x18, bytes(12)), write(0x048053F7)):
            await refused(now)
        await refused(Situation(0x13))
        ctx.set(slave.core.lock_tick, 1)
        await ctx.tick().repeat(LOCK_TICKS)
        guard.wrong = 0
        await refused(wrong)

    BENCH.run(testbench)


def test_each_effect_is_reported_once() -> None:
    """Each effect is reported once, however long the core holds `done`."""
    found = []

    async def testbench(ctx: Any) -> None:
        desk, slave = BENCH.dut, BENCH.dut.slave
        written = write(Di.PROVISIONING)
        for place, byte in enumerate(written.data):
            ctx.set(desk.data.data[place], byte)
        ctx.set(slave.frame.head, {"control": 0x14, "length": len(written.data), "to_seal": 1})
        for port in (slave.status.identity_valid, slave.status.log_ready, slave.core.done, slave.core.right):
            ctx.set(port, 1)
        for cycle in range(100):
            ctx.set(slave.frame.valid, cycle == 2)
            found.append(ctx.get(desk.outputs) & ~BITS["busy"])
            await ctx.tick()

    BENCH.run(testbench)
    asked, done = BITS["start"], BITS["start"] | BITS["provisioned"]
    assert [outputs for outputs in found if outputs] == [asked, done]


def test_answers_when_it_is_quiet() -> None:
    """An answer is not sent before it has been quiet for `TD_MS`, whatever the time before, nor from
    `TOO_LATE_MS` on.
    """

    async def testbench(ctx: Any) -> None:
        slave = BENCH.dut.slave
        ctx.set(slave.frame.head, {"control": 0x13, "to_seal": 1})
        for port in (slave.status.identity_valid, slave.status.log_ready, slave.frame.valid):
            ctx.set(port, 1)
        await ctx.tick().repeat(20)
        for quiet_ms in range(SILENCE_MS + 1):
            ctx.set(slave.quiet_ms, quiet_ms)
            assert ctx.get(slave.send.start) == (TD_MS <= quiet_ms < TOO_LATE_MS)
        for quiet_ms in (*range(TD_MS), TD_MS):
            ctx.set(slave.quiet_ms, quiet_ms)
            assert ctx.get(slave.send.start) == (quiet_ms == TD_MS)
            await ctx.tick()
        assert not ctx.get(slave.send.start)

    BENCH.run(testbench)
