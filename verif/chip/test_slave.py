"""The slave alone: what it asks of log, identity, loop and framer for any request, against a reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from sealchip.interface import BAUD_FEATURE, PROVISIONING, Di
from sealchip.messages import Message
from sealchip.slave import TD_MS, Slave

NO_RATE = None
RECORD, MORE = Message.ANSWER_RECORD, Message.ANSWER_RECORD_MORE
NEXT, NEXT_MORE = Message.ANSWER_NEXT, Message.ANSWER_NEXT_MORE
DONE, OTHER, NO_DATA = Message.ANSWER_DONE, Message.REFUSE_OTHER, Message.REFUSE_NO_DATA
UNAUTHORISED = Message.REFUSE_UNAUTHORISED
PASSWORD_ITEM = 6


class Desk(wiring.Component):
    """The slave and the frame's DATA."""

    def __init__(self):
        super().__init__({})
        self.slave = Slave()
        self.data = Memory(shape=8, depth=64, init=[])

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave, m.submodules.data = self.slave, self.data
        read = self.data.read_port()
        m.d.comb += [read.addr.eq(self.slave.position), self.slave.content.eq(read.data)]
        return m


BENCH = Bench(Desk)


@dataclass(frozen=True)
class Situation:
    """A request, and what it meets."""

    control: int
    data: bytes = b""
    to_seal: bool = True
    anybody: bool = False
    broadcast: bool = False
    valid: bool = True
    enable: bool = True
    records: int = 64
    #: The password is right; the flash takes an update; the loop can be sealed.
    right: bool = True
    takes: bool = True
    seals: bool = True
    #: Another frame begins before the answer.
    spoiled: bool = False


@dataclass
class Doing:
    """What the slave has done, in order."""

    fetched: list[int] = field(default_factory=list)
    #: (update, item, origin)
    identity: list[tuple[int, int, int]] = field(default_factory=list)
    sealed: int = 0
    clock: int = 0
    provisioned: int = 0
    sent: list[Message] = field(default_factory=list)
    rate: int | None = NO_RATE


def expected(now: Situation, *, locked: bool = False) -> Doing:
    """Reference, written out from the slave's description."""
    doing = Doing()
    to_us = now.to_seal and (now.valid or now.anybody)
    function, data, size = now.control & 0x1F, now.data, len(now.data)
    if not now.enable or now.control >> 5 or not (to_us or (now.broadcast and function == 0x08)):
        return doing

    def fetch(nth: int) -> bool:
        doing.fetched.append(nth)
        return nth < now.records

    def authorised() -> bool:
        if not locked:
            doing.identity.append((0, PASSWORD_ITEM, 5))
        return not locked and now.right

    def update(item: int, origin: int) -> Message:
        doing.identity.append((1, item, origin))
        doing.provisioned += now.takes
        return DONE if now.takes else OTHER

    def seal() -> Message:
        doing.sealed += 1
        return DONE if now.seals else OTHER

    def of_log(nth: int, last: Message, more: Message) -> Message:
        follows = nth < 63 and fetch(nth + 1)
        return (more if follows else last) if fetch(nth) else NO_DATA

    def answer() -> Message | None:
        di = int.from_bytes(data[:4], "little")
        match function, size:
            case 0x08, 6:
                doing.clock += 1
            case 0x11, _ if size >= 4:
                return read(di)
            case 0x12, 5:
                known = di == Di.EVENT_LOG and 1 <= data[4] <= 63
                return of_log(data[4], NEXT, NEXT_MORE) if known else NO_DATA
            case 0x13, 0:
                return Message.ANSWER_ADDRESS
            case 0x14, _ if size >= 12:
                return write(di)
            case 0x15, 6 if now.anybody and not now.valid:
                return DONE if update(0, 0) is DONE else None
            case 0x17, 1:
                if data[0] not in BAUD_FEATURE:
                    return Message.REFUSE_RATE
                doing.rate = list(BAUD_FEATURE).index(data[0])
                return DONE
            case 0x18, 12:
                return update(PASSWORD_ITEM, 9) if authorised() else UNAUTHORISED
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
            return DONE
        if di == Di.SEAL and size == 12:
            return seal() if authorised() else UNAUTHORISED
        if di - Di.PROVISIONING in PROVISIONING:
            return update(di - Di.PROVISIONING, 12) if authorised() else UNAUTHORISED
        return NO_DATA

    message = answer()
    if now.spoiled:
        message, doing.rate = None, NO_RATE
    doing.sent = [] if message is None else [message]
    return doing


async def ask(ctx: Any, now: Situation) -> Doing:
    """One request, until the slave is idle again; log, identity and loop take their time."""
    slave, doing = BENCH.dut.slave, Doing()
    for place, byte in enumerate(now.data.ljust(16, b"\xa5")):
        ctx.set(BENCH.dut.data.data[place], byte)
    flags = {name: getattr(now, name) for name in ("to_seal", "anybody", "broadcast")}
    ctx.set(slave.head, {"control": now.control, "length": len(now.data), "meter": 0, **flags})
    for name in ("valid", "enable"):
        ctx.set(getattr(slave, name), getattr(now, name))
    await ctx.tick().repeat(2)  # a program takes its time to begin
    ctx.set(slave.frame, 1)
    await ctx.tick()
    ctx.set(slave.frame, 0)
    cycles = 0
    while ctx.get(slave.busy):
        cycles += 1
        assert cycles < 200, "comes to an end"
        ctx.set(slave.begun, now.spoiled and cycles == 60)
        ctx.set(slave.quiet_ms, TD_MS if cycles > 70 else TD_MS - 1)
        await _serve(ctx, slave, now, doing)
    # What sets the clock is idle before the program has come back.
    await ctx.tick().repeat(4)
    return doing


async def _serve(ctx: Any, slave: Slave, now: Situation, doing: Doing) -> None:
    """One cycle, or a whole command."""
    if ctx.get(slave.log_start):
        nth = ctx.get(slave.log_nth)
        doing.fetched.append(nth)
        await ctx.tick().repeat(3)
        assert (ctx.get(slave.log_start), ctx.get(slave.log_nth)) == (1, nth)
        await _done(ctx, slave.log_done, slave.log_found, nth < now.records)
    elif ctx.get(slave.identity_start):
        ports = slave.identity_update, slave.identity_item, slave.identity_origin
        command = tuple(ctx.get(port) for port in ports)
        doing.identity.append(command)
        await ctx.tick().repeat(3)
        assert tuple(ctx.get(port) for port in ports) == command
        assert ctx.get(slave.identity_start)
        assert ctx.get(slave.position) == 0, "DATA is the identity's"
        accepted = now.takes if command[0] else now.right
        doing.provisioned += await _done(ctx, slave.identity_done, slave.identity_accepted, accepted)
    elif ctx.get(slave.seal):
        doing.sealed += 1
        await ctx.tick()
        assert not ctx.get(slave.seal)
        await _done(ctx, slave.seal_done if now.seals else slave.seal_refused)
    elif ctx.get(slave.send):
        message = ctx.get(slave.message)
        doing.sent.append(message)
        for _ in range(4):
            await ctx.tick()
            assert ctx.get(slave.message) == message
            assert not ctx.get(slave.send)
            assert ctx.get(slave.position) == 0, "DATA is the framer's"
        if ctx.get(slave.changes_rate):
            doing.rate = ctx.get(slave.new_rate)
        await _done(ctx, slave.sent)
    else:
        doing.clock += ctx.get(slave.clock_set)
        await ctx.tick()


async def _done(ctx: Any, strobe: Any, result: Any = None, value: bool = False) -> int:
    """Strobe `strobe`, with `result`; whether the seal says then that it was provisioned."""
    ctx.set(strobe, 1)
    if result is not None:
        ctx.set(result, value)
    provisioned = ctx.get(BENCH.dut.slave.provisioned)
    await ctx.tick()
    ctx.set(strobe, 0)
    if result is not None:
        ctx.set(result, 0)
    return provisioned


def check(*situations: Situation) -> None:
    """The slave does what the reference says, one request after the other."""

    async def testbench(ctx: Any) -> None:
        for now in situations:
            assert await ask(ctx, now) == expected(now), now

    BENCH.run(testbench)


def di(number: int) -> bytes:
    return number.to_bytes(4, "little")


def write(item: int, size: int = 12, **others: bool) -> Situation:
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
    check(*(write(item, 12 + item % 3, **others) for item in OURS + STRANGE))
    check(*(write(Di.CHALLENGE, size) for size in range(18)))
    check(*(write(Di.SEAL, size, **others) for size in (11, 12, 13, 28)))


def test_every_rate() -> None:
    check(*(Situation(0x17, bytes([word])) for word in range(256)))


def test_every_function() -> None:
    """With six bytes to anybody, too, while there is no address; and of every other length up to 13."""
    for control in range(256):
        situation = Situation(control, bytes(6))
        broadcast = replace(situation, to_seal=False, broadcast=True)
        nameless = replace(situation, valid=False, anybody=True)
        check(situation, broadcast, nameless, replace(situation, valid=False))
    for control in (0x08, 0x13, 0x15, 0x17, 0x18):
        check(*(Situation(control, bytes(size), valid=False, anybody=True) for size in range(14)))
    check(
        Situation(0x15, bytes(6), valid=False, anybody=True, takes=False),
        Situation(0x15, bytes(6), anybody=True),
    )
    check(Situation(0x13, enable=False), Situation(0x13, to_seal=False), Situation(0x13))


@examples(8)
@given(data=st.lists(st.sampled_from([0x11, 0x12, 0x13, 0x14, 0x17, 0x18]), min_size=1, max_size=4))
def test_another_frame_cancels_the_answer(data: list[int]) -> None:
    """What was asked for is done, and nobody told; the next request is answered again."""
    asked = {
        0x11: Situation(0x11, di(Di.RECORD_NEWEST)),
        0x12: Situation(0x12, di(Di.EVENT_LOG) + b"\3"),
        0x13: Situation(0x13),
        0x14: write(Di.PROVISIONING),
        0x17: Situation(0x17, b"\x08"),
        0x18: Situation(0x18, bytes(12)),
    }
    for control in data:
        check(replace(asked[control], spoiled=True), asked[control], replace(asked[control], spoiled=True))


def test_a_challenge_is_kept() -> None:
    """Byte by byte, and told of from the first one on; no other write replaces it."""
    found = []

    async def testbench(ctx: Any) -> None:
        slave = BENCH.dut.slave
        assert not ctx.get(slave.challenged)
        for data in (bytes(range(16)), bytes(range(100, 116))):
            head = di(Di.CHALLENGE)
            await ask(ctx, Situation(0x14, head + data[4:]))
            await ask(ctx, Situation(0x14, head + bytes(11)))
            await ask(ctx, write(Di.PROVISIONING, 16))
            kept = bytearray()
            for index in range(4):
                ctx.set(slave.challenge_index, index)
                await ctx.tick()
                kept.append(ctx.get(slave.challenge))
            found.append((ctx.get(slave.challenged), bytes(kept)))

    BENCH.run(testbench)
    assert found == [(1, bytes(range(12, 16))), (1, bytes(range(112, 116)))]


def test_locked_out() -> None:
    """The third wrong password locks, spoiled ones do not count; then no password is even looked at."""

    async def testbench(ctx: Any) -> None:
        slave, wrong = BENCH.dut.slave, write(Di.PROVISIONING, right=False)

        async def refused(now: Situation, *, locked: bool = False) -> None:
            assert await ask(ctx, now) == expected(now, locked=locked)

        for now in (wrong, wrong, write(Di.PROVISIONING), wrong, wrong):
            await refused(now)
            assert not ctx.get(slave.locked)
        await refused(wrong)
        assert ctx.get(slave.locked)
        for now in (write(Di.PROVISIONING), write(Di.SEAL), Situation(0x18, bytes(12)), write(0x048053F7)):
            await refused(now, locked=True)
        await refused(Situation(0x13))

    BENCH.run(testbench)
