"""Each input and output around the processor works, as a program shows that does what it is commanded."""

from __future__ import annotations

from operator import attrgetter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import crc16
from sealchip.core.assembler import Assembler, at, imm, indexed, port
from sealchip.core.control_core import ControlCore
from sealchip.core.firmware.layout import Flash, In, Out, Public, Requests, Status, StatusOut
from sealchip.interface import LOOP_NOT_MEASURED
from verif.benches.block import Bench, examples

#: Commands to the program, at `In.VALUE`: read an input, write an output, publish; the number, or for the
#: last one the address, is the low nibble or the loop voltage's low byte. The byte is that of DATA.
READ, WRITE, PUBLISH = 0x00, 0x10, 0x20
#: This bit of `Out.ANSWER` is set where the answer is the slave's.
SLAVES = 2
#: The loop voltage is at this place in the event.
LOOP_MV = 2
OUTPUTS = [number for number in Out if number != Out.RETURN]
ANSWER = 0xFF


def obedient() -> list[int]:
    """The program publishes what it has read at `ANSWER`; then the slave's command is done."""
    a = Assembler()
    a.label("wait")
    a.load(port(In.REQUESTS))
    a.and_(imm(Requests.SLAVE))
    a.if_zero("wait")
    commands = [*(READ | n for n in In), *(WRITE | n for n in OUTPUTS), PUBLISH]
    for what in commands:
        a.load(port(In.VALUE))
        a.xor(imm(what))
        a.if_zero(f"do {what}")
    a.jump("wait")
    for what in commands:
        a.label(f"do {what}")
        if what < WRITE:
            a.load(port(what))
            a.publish(at(ANSWER))
        elif what < PUBLISH:
            a.load(port(In.DATA))
            a.out(what - WRITE)
        else:
            a.index(imm(LOOP_MV))
            a.index(port(In.EVENT))
            a.load(port(In.DATA))
            a.publish(indexed(0))
        a.jump("done")
    a.label("done")
    a.load(port(In.DATA))
    a.and_(imm(1))
    a.xor(imm(SLAVES))
    a.out(Out.ANSWER)
    # The command falls in the cycle after that.
    a.load(imm(0))
    a.jump("wait")
    return a.words()


BENCH = Bench(lambda: ControlCore(2400, program=(obedient(), b"")))


#: The tests call the ports by these names.
PORTS = {
    "tick_ms": "ticks.ms",
    "tick_s": "ticks.s",
    **{f"flash_{name}": f"flash.{name}" for name in ("sck", "cs_n", "copi", "cipo")},
    **{name: f"status.{name}" for name in ("identity_ready", "identity_valid", "log_ready", "pending")},
    "clock_set": "feed.clock_valid",
    "clock_free": "feed.clock_free",
    "baseline_mv": "restored.baseline_mv",
    "restored": "restored.valid",
    "oldest": "reporter.oldest",
    "acknowledge": "reporter.acknowledge",
    "reporter_done": "reporter.done",
    "found": "reporter.found",
    "slave": "slave.start",
    "slave_done": "slave.done",
    **{name: f"slave.{name}" for name in ("command", "value", "position", "content", "spoiled", "right")},
    "lock_tick": "slave.lock_tick",
    "gsm_address": "feed.identity_address",
    "gsm_byte": "feed.identity_byte",
    "clock_index": "feed.clock_index",
    "clock_byte": "feed.clock_byte",
}


class Desk:
    """The desk commands the program."""

    def __init__(self, ctx: Any) -> None:
        self.ctx, self.dut = ctx, BENCH.dut
        self.reads_as(0)

    def set(self, **values: int) -> None:
        for name, value in values.items():
            self.ctx.set(self.port(name), value)

    def get(self, *names: str) -> list[int]:
        return [self.ctx.get(self.port(name)) for name in names]

    def port(self, name: str) -> Any:
        """Return the port of that name; of the public memory, that of the present reader."""
        if name in ("address", "byte"):
            return getattr(self.dut.public[self.reader], name)
        return attrgetter(PORTS.get(name, name))(self.dut)

    def reads_as(self, reader: int) -> None:
        """Select a reader: the first has the port while it is active; then the other's address is ignored."""
        self.reader = reader
        self.ctx.set(self.dut.public[0].active, reader == 0)
        self.ctx.set(self.dut.public[1 - reader].address, 0x5A)

    def needs_its_byte(self, who: int, *, needs: bool) -> None:
        """Raise or lower `reading` of one of the readers."""
        first, second = self.dut.public
        self.ctx.set((first.reading, second.reading, self.dut.feed.identity_reading)[who], needs)

    def event(self, **fields: int) -> None:
        for name, value in fields.items():
            self.ctx.set(self.dut.i.payload[name], value)

    async def command(self, what: int, byte: int = 0, strobe: str | None = None) -> int:
        """Give one command; return how often `strobe` was high while it was done."""
        self.set(value=what, content=byte, slave=1)
        strobes = 0
        for _ in range(1000):
            strobes += strobe is not None and self.get(strobe)[0]
            if self.get("slave_done")[0]:
                break
            await self.ctx.tick()
        await self.ctx.tick()
        self.set(slave=0)
        return strobes

    async def read(self, number: int, byte: int = 0) -> int:
        """Return the byte at an input."""
        await self.command(READ | number, byte)
        return await self.public(ANSWER)

    async def write(self, number: int, byte: int, strobe: str | None = None) -> int:
        return await self.command(WRITE | number, byte, strobe)

    async def public(self, address: int) -> int:
        self.set(address=address)
        await self.ctx.tick()
        return self.get("byte")[0]


def run(testbench: Any) -> None:
    async def at_desk(ctx: Any) -> None:
        await testbench(Desk(ctx))

    BENCH.run(at_desk)


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_every_input(seed: int) -> None:
    """Each input is what stands at the ports, its bits in the order of `firmware.layout`."""
    chance = Random(seed)

    async def testbench(desk: Desk) -> None:
        kind, state, excursions = chance.randrange(1, 8), chance.randrange(6), chance.randrange(256)
        loop_mv, baseline_mv = chance.randrange(1 << 16), chance.randrange(1 << 16)
        desk.event(kind=kind, state=state, loop_mv=loop_mv, excursions=excursions, baseline_mv=baseline_mv)
        bits = {name: chance.randrange(2) for name in ("oldest", "acknowledge", "spoiled", "hold")}
        content, command, waits = chance.randrange(256), chance.randrange(8), chance.randrange(2)
        desk.set(command=command, **bits)
        desk.ctx.set(desk.dut.i.valid, waits)
        requests = Requests.EVENT * waits | Requests.OLDEST * bits["oldest"]
        requests |= Requests.ACKNOWLEDGE * bits["acknowledge"]
        # Nothing has been read from flash: no CRC is right, and no tick has come.
        status = Status.SPOILED * bits["spoiled"] | Status.HOLD * bits["hold"]
        expected = {
            In.REQUESTS: requests | Requests.SLAVE,
            In.DATA: content,
            In.COMMAND: command,
            In.VALUE: In.VALUE,
            In.STATUS: status,
        }
        for number, byte in expected.items():
            assert await desk.read(number, content) == byte, number
        event_bytes = [
            kind,
            state,
            *loop_mv.to_bytes(2, "little"),
            0,
            excursions,
            *baseline_mv.to_bytes(2, "little"),
        ]
        for n, byte in enumerate(event_bytes):
            await desk.write(Out.X, n | chance.randrange(256) & ~7)
            assert await desk.read(In.EVENT) == byte, n
        assert desk.get("slave_done") == [0]
        feed = desk.dut.feed
        assert (desk.ctx.get(feed.kind), desk.ctx.get(feed.state)) == (kind, state)
        for tick in (1, 0):
            desk.set(tick_s=tick)
            assert desk.ctx.get(feed.tick_s) == tick

    run(testbench)


HELD = (
    *("identity_ready", "identity_valid", "log_ready", "pending", "clock_set", "clock_free"),
    *("rate", "seed", "baseline_mv", "flash_cs_n", "position", "restored"),
)
QUIET = dict.fromkeys(HELD, 0) | {"clock_free": 1, "baseline_mv": LOOP_NOT_MEASURED, "flash_cs_n": 1}


@pytest.mark.parametrize("seed", range(3))
def test_every_output(seed: int) -> None:
    """Each output has its effect and no other, and what is held stays."""
    chance = Random(seed)
    numbers = [number for number in OUTPUTS if number != Out.EXCHANGE] * 16
    story = [(number, chance.randrange(256)) for number in chance.sample(numbers, len(numbers))]

    async def testbench(desk: Desk) -> None:
        held = dict(QUIET)
        for number, byte in story:
            if number == Out.ANSWER:
                byte &= ~SLAVES  # that is how each command ends
            strobes = dict.fromkeys(("reporter_done", "lock_tick", "ready", "fed"), 0)
            waits = chance.randrange(2)
            desk.ctx.set(desk.dut.i.valid, waits)
            desk.set(value=WRITE | number, content=byte, slave=1)
            done = False
            while not done:
                done = bool(desk.get("slave_done")[0])
                for name in ("reporter_done", "lock_tick"):
                    strobes[name] += desk.get(name)[0]
                strobes["ready"] += desk.ctx.get(desk.dut.i.ready)
                strobes["fed"] += desk.ctx.get(desk.dut.feed.valid)
                if done or desk.get("reporter_done")[0]:
                    assert desk.get("right", "found") == [byte & 1] * 2
                await desk.ctx.tick()
            desk.set(slave=0)
            assert strobes["reporter_done"] == (number == Out.ANSWER)
            assert strobes["lock_tick"] == (number == Out.LOCK_TICK)
            assert strobes["ready"] == (number == Out.EVENT)
            assert strobes["fed"] == (number == Out.EVENT and waits and held["identity_valid"])
            match number:
                case Out.X:
                    held["position"] = byte & 0x3F
                case Out.FLASH:
                    held["flash_cs_n"] = 1 - (byte & 1)
                case Out.STATUS:
                    for name, fact in zip(HELD[:5], StatusOut, strict=False):
                        held[name] = int(bool(byte & fact))
                    held["restored"] = held["log_ready"]
                    held["clock_free"] = int(not byte & StatusOut.COUNTING)
                case Out.BAUD:
                    held |= {"rate": byte & 7, "seed": 0}
                case Out.SEED:
                    held["seed"] = held["seed"] * 32 % 0x10000 + held["seed"] // 0x800 ^ byte
                case Out.BASELINE:
                    held["baseline_mv"] = (held["baseline_mv"] << 8 | byte) & 0xFFFF
            assert dict(zip(HELD, desk.get(*HELD), strict=True)) == held

    run(testbench)


@examples(10)
@given(seconds=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_no_second_is_lost(seconds: list[int]) -> None:
    """Up to seven seconds wait to be counted, also one that comes in the very cycle in which another is
    counted.
    """

    async def testbench(desk: Desk) -> None:
        waiting = 0
        for arriving in seconds:
            for _ in range(min(arriving, 7 - waiting)):
                desk.set(tick_s=1)
                await desk.ctx.tick()
                desk.set(tick_s=0)
                waiting += 1
            assert bool(await desk.read(In.REQUESTS) & Requests.SECOND) == bool(waiting)
            desk.set(hold=1)
            assert not await desk.read(In.REQUESTS) & Requests.SECOND
            desk.set(hold=0)
            if waiting:
                await desk.write(Out.SECOND, 0)
                waiting -= 1
        while waiting:
            assert await desk.read(In.REQUESTS) & Requests.SECOND
            await desk.write(Out.SECOND, 0)
            waiting -= 1
        assert not await desk.read(In.REQUESTS) & Requests.SECOND

    run(testbench)


def test_a_second_comes_while_another_is_counted() -> None:
    """A second that comes in any cycle of the command that counts another one is kept."""

    async def testbench(desk: Desk) -> None:
        desk.set(tick_s=1)
        await desk.ctx.tick()
        desk.set(tick_s=0)
        offset, cycles = 0, 1
        while offset < cycles:
            cycles, done = 0, 0
            desk.set(value=WRITE | Out.SECOND, slave=1)
            while not done:
                desk.set(tick_s=int(cycles == offset))
                done = desk.get("slave_done")[0]
                await desk.ctx.tick()
                cycles += 1
            desk.set(slave=0, tick_s=0)
            assert await desk.read(In.REQUESTS) & Requests.SECOND, offset
            offset += 1
        await desk.write(Out.SECOND, 0)
        assert not await desk.read(In.REQUESTS) & Requests.SECOND

    run(testbench)


def test_a_tick_is_remembered() -> None:
    async def testbench(desk: Desk) -> None:
        for _ in range(2):
            assert not await desk.read(In.STATUS) & Status.TICK
            desk.set(tick_ms=1)
            await desk.ctx.tick()
            desk.set(tick_ms=0)
            assert await desk.read(In.STATUS) & Status.TICK
            assert await desk.read(In.STATUS) & Status.TICK
            await desk.write(Out.TICK, 0)

    run(testbench)


async def exchange(desk: Desk, byte: int, back: int) -> int:
    """Send a byte over the pins while the flash returns `back`; return the byte that arrived. One level
    changes at a time.
    """
    desk.set(value=WRITE | Out.EXCHANGE, content=byte, slave=1, flash_cipo=back >> 7)
    came: list[int] = []
    before = done = 0
    # The program reads DATA only when the byte has come, for that has the number of `Out.EXCHANGE`.
    while not done:
        sck, copi, done = desk.get("flash_sck", "flash_copi", "slave_done")
        if sck and not before:
            came.append(copi)
        if before and not sck:
            desk.set(flash_cipo=back >> max(7 - len(came), 0) & 1)
        before = sck
        await desk.ctx.tick()
    desk.set(slave=0)
    assert len(came) == 8
    return int("".join(map(str, came)), 2)


@examples(10)
@given(pairs=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=5))
def test_bytes_over_the_pins(pairs: list[tuple[int, int]]) -> None:
    async def testbench(desk: Desk) -> None:
        await desk.write(Out.FLASH, Flash.SELECT)
        assert desk.get("flash_cs_n") == [0]
        for byte, back in pairs:
            assert await exchange(desk, byte, back) == byte
            assert await desk.read(In.FLASH) == back

    run(testbench)


@examples(10)
@given(
    read=st.binary(min_size=1, max_size=4),
    written=st.binary(min_size=1, max_size=4),
    damage=st.sampled_from([0, 1, 0x80, 0x100, 0x8000]),
)
def test_sums_of_what_is_read_and_of_what_is_written(read: bytes, written: bytes, damage: int) -> None:
    """Each sum begins anew when nothing is summed; bytes that go the other way do not count."""

    async def testbench(desk: Desk) -> None:
        async def right() -> bool:
            return bool(await desk.read(In.STATUS) & Status.SUM_RIGHT)

        for flaw in (0, damage, 0):
            await desk.write(Out.FLASH, Flash.SELECT)
            await exchange(desk, 0x55, 0xAA)
            await desk.write(Out.FLASH, Flash.SELECT | Flash.SUMS)
            for byte in read + (crc16(read) ^ flaw).to_bytes(2, "big"):
                await exchange(desk, byte ^ 0x5A, byte)
            assert await right() == (flaw == 0)
            await desk.write(Out.FLASH, Flash.SUMS)
            assert desk.get("flash_cs_n") == [1]
            assert await right() == (flaw == 0)
            await desk.write(Out.FLASH, 0)
            assert not await right()
        await desk.write(Out.FLASH, Flash.SELECT | Flash.SUMS | Flash.WRITES)
        for byte in written:
            assert await exchange(desk, byte, byte ^ 0x5A) == byte
        await desk.write(Out.FLASH, Flash.SELECT | Flash.SUMS | Flash.WRITES | Flash.APPENDS)
        assert [await exchange(desk, 0x33, 0x77) for _ in range(2)] == [*crc16(written).to_bytes(2, "big")]
        assert await right()

    run(testbench)


def hasty() -> list[int]:
    """The program sends two bytes to the flash, publishes what came back with the second, sends a third byte
    and ends.
    """
    a = Assembler()
    a.load(imm(Flash.SELECT))
    a.out(Out.FLASH)
    for byte in HASTE[:2]:
        a.load(imm(byte))
        a.out(Out.EXCHANGE)
    a.load(port(In.FLASH))
    a.publish(at(ANSWER))
    a.load(imm(HASTE[2]))
    a.out(Out.EXCHANGE)
    a.load(imm(0))
    a.out(Out.FLASH)
    a.jump(a.label())
    return a.words()


HASTE = b"\xa5\x3c\x81"
HASTY = Bench(lambda: ControlCore(2400, program=(hasty(), b"")))


def test_what_is_for_the_flash_waits_for_the_byte_under_way() -> None:
    """Reading the answer, the next byte and deselecting wait for the byte under way, however soon the program
    comes to them.
    """

    async def testbench(ctx: Any) -> None:
        dut, bits, before = HASTY.dut, [], 0
        flash, public = dut.flash, dut.public[1]
        ctx.set(public.address, ANSWER)
        while ctx.get(flash.cs_n):
            await ctx.tick()
        while not ctx.get(flash.cs_n):
            copi, sck = ctx.get(flash.copi), ctx.get(flash.sck)
            ctx.set(flash.cipo, 1 - copi)  # another byte comes back
            if sck and not before:
                bits.append(copi)
            before = sck
            await ctx.tick()
        assert int("".join(map(str, bits)), 2).to_bytes(len(bits) // 8, "big") == HASTE
        assert ctx.get(public.byte) == HASTE[1] ^ 0xFF

    HASTY.run(testbench)


@examples(20)
@given(
    story=st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 255), st.lists(st.booleans(), max_size=300)), max_size=6
    ),
    reader=st.integers(0, 1),
    who=st.integers(0, 2),
)
def test_what_is_published_can_be_read(
    story: list[tuple[int, int, list[bool]]], reader: int, who: int
) -> None:
    """Each reader reads what is published; nothing is published in a cycle in which one needs its byte."""

    async def testbench(desk: Desk) -> None:
        memory = bytearray(256)
        desk.reads_as(reader)
        for address, byte, reading in story:
            desk.event(loop_mv=address)
            desk.set(value=PUBLISH, content=byte, slave=1)
            done = 0
            for reads in (*reading, *[False] * 400):
                place = (address + 1) & 0xFF
                desk.needs_its_byte(who, needs=reads)
                desk.set(address=place)
                if done:
                    break
                done = desk.get("slave_done")[0]
                await desk.ctx.tick()
                if reads:
                    assert desk.get("byte") == [memory[place]]
            desk.set(slave=0)
            assert done
            memory[address] = byte
            for there in (address, address ^ 0x80, Public.CLOCK + 5, Public.IDENTITY + 0x7F):
                index = (there - Public.CLOCK) & 7
                desk.set(address=there, gsm_address=there & 0x7F, clock_index=index)
                await desk.ctx.tick()
                shown = memory[there], memory[Public.IDENTITY + (there & 0x7F)], memory[Public.CLOCK + index]
                assert tuple(desk.get("byte", "gsm_byte", "clock_byte")) == shown

    run(testbench)


def test_the_time_is_not_free_while_it_is_held_or_anything_is_published() -> None:
    async def testbench(desk: Desk) -> None:
        desk.set(hold=1)
        assert desk.get("clock_free") == [0]
        desk.set(hold=0)
        assert desk.get("clock_free") == [1]
        desk.event(loop_mv=9)
        desk.set(value=PUBLISH, content=1, slave=1, address=9)
        found = []
        while not desk.get("slave_done")[0]:
            found.append(desk.get("clock_free")[0])
            await desk.ctx.tick()
        assert found.count(0) == 1

    run(testbench)
