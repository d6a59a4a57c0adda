"""What is around the processor, each input and output of it, by a program that does what it is told."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from meterseal.seal.image import crc16
from sealchip.assembler import Assembler, at, imm, indexed, port
from sealchip.firmware.layout import Facts, Flash, In, Out, Public, Said, Wants
from sealchip.interface import LOOP_NOT_MEASURED
from sealchip.keeper import Keeper
from sealchip.processor import Port

#: What the program is told, by `In.VALUE`: read an input, write an output, publish; the number, or for the
#: last one the address, is the low nibble or the loop's low byte. The byte is the event's excursions.
READ, WRITE, PUBLISH = 0x00, 0x10, 0x20
BYTE, PLACE = In.EVENT + 5, In.EVENT + 2
INPUTS = [*range(6), *range(8, 16)]
OUTPUTS = [number for number in Out if number != Out.RETURN]
ANSWER = 0xFF


def obedient() -> list[int]:
    """The program: what was read is published at `ANSWER`; then the slave hears that it is done."""
    a = Assembler()
    a.label("wait")
    a.load(port(In.WANTS))
    a.and_(imm(Wants.SLAVE))
    a.if_zero("wait")
    told = [*(READ | n for n in INPUTS), *(WRITE | n for n in OUTPUTS), PUBLISH]
    for what in told:
        a.load(port(In.VALUE))
        a.xor(imm(what))
        a.if_zero(f"do {what}")
    a.jump("wait")
    for what in told:
        a.label(f"do {what}")
        if what < WRITE:
            a.load(port(what))
            a.publish(at(ANSWER))
        elif what < PUBLISH:
            a.load(port(BYTE))
            a.out(what - WRITE)
        else:
            a.index(port(PLACE))
            a.load(port(BYTE))
            a.publish(indexed(0))
        a.jump("done")
    a.label("done")
    a.out(Out.SLAVE)
    # The command falls in the cycle behind that.
    a.load(imm(0))
    a.jump("wait")
    return a.words()


BENCH = Bench(lambda: Keeper(2400, program=(obedient(), b"")))


class Desk:
    """Tells the program what to do."""

    def __init__(self, ctx: Any) -> None:
        self.ctx, self.dut = ctx, BENCH.dut

    def set(self, **values: int) -> None:
        for name, value in values.items():
            self.ctx.set(getattr(self.dut, name), value)

    def get(self, *names: str) -> list[int]:
        return [self.ctx.get(getattr(self.dut, name)) for name in names]

    def event(self, **fields: int) -> None:
        for name, value in fields.items():
            self.ctx.set(self.dut.i.payload[name], value)

    async def tell(self, what: int, byte: int = 0, strobe: str | None = None) -> int:
        """One command; how often `strobe` was high while it was done."""
        self.event(excursions=byte)
        self.set(value=what, slave=1)
        strobes = 0
        for _ in range(1000):
            strobes += strobe is not None and self.get(strobe)[0]
            if self.get("slave_done")[0]:
                break
            await self.ctx.tick()
        await self.ctx.tick()
        self.set(slave=0)
        return strobes

    async def read(self, number: int) -> int:
        """The byte at an input."""
        await self.tell(READ | number)
        return await self.public(ANSWER)

    async def write(self, number: int, byte: int, strobe: str | None = None) -> int:
        return await self.tell(WRITE | number, byte, strobe)

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
    """Each is what stands at the ports, its bits in the order of `firmware.layout`."""
    chance = Random(seed)

    async def testbench(desk: Desk) -> None:
        kind, state, excursions = chance.randrange(1, 8), chance.randrange(6), chance.randrange(256)
        loop_mv, baseline_mv = chance.randrange(1 << 16), chance.randrange(1 << 16)
        desk.event(kind=kind, state=state, loop_mv=loop_mv, baseline_mv=baseline_mv)
        bits = {name: chance.randrange(2) for name in ("oldest", "acknowledge", "spoiled", "hold")}
        content, command, waits = chance.randrange(256), chance.randrange(8), chance.randrange(2)
        desk.set(content=content, command=command, **bits)
        desk.ctx.set(desk.dut.i.valid, waits)
        wants = Wants.EVENT * waits | Wants.OLDEST * bits["oldest"] | Wants.ACKNOWLEDGE * bits["acknowledge"]
        # Nothing has been read from flash: no CRC is right, and no tick has come.
        says = Said.SPOILED * bits["spoiled"] | Said.HOLD * bits["hold"]
        told = [kind, state, *loop_mv.to_bytes(2, "little"), 0, 0, *baseline_mv.to_bytes(2, "little")]
        expected = {
            In.WANTS: wants | Wants.SLAVE,
            In.DATA: content,
            In.COMMAND: command,
            In.VALUE: In.VALUE,
            In.SAYS: says,
            **{In.EVENT + n: byte for n, byte in enumerate(told)},
        }
        for number, byte in expected.items():
            assert await desk.read(number) == byte, number
        desk.event(excursions=excursions)
        assert desk.get("slave_done") == [0]

    run(testbench)


HELD = (
    *("identity_ready", "identity_valid", "log_ready", "pending", "clock_set", "clock_free"),
    *("rate", "seed", "baseline_mv", "flash_cs_n", "position"),
)
QUIET = dict.fromkeys(HELD, 0) | {"clock_free": 1, "baseline_mv": LOOP_NOT_MEASURED, "flash_cs_n": 1}


@examples(20)
@given(
    story=st.lists(
        st.tuples(
            st.sampled_from([n for n in OUTPUTS if n not in (Out.EXCHANGE, Out.SLAVE)]), st.integers(0, 255)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_output(story: list[tuple[Out, int]]) -> None:
    """Each does what it says and nothing else, and what is held stays."""

    async def testbench(desk: Desk) -> None:
        held = dict(QUIET)
        for number, byte in story:
            strobes = dict.fromkeys(("reporter_done", "lock_tick", "ready", "right"), 0)
            desk.event(excursions=byte)
            desk.set(value=WRITE | number, slave=1)
            done = False
            while not done:
                done = bool(desk.get("slave_done")[0])
                for name in ("reporter_done", "lock_tick"):
                    strobes[name] += desk.get(name)[0]
                strobes["ready"] += desk.ctx.get(desk.dut.i.ready)
                if done or desk.get("reporter_done")[0]:
                    assert desk.get("right") == [byte & 1]
                await desk.ctx.tick()
            desk.set(slave=0)
            assert strobes["reporter_done"] == (number == Out.REPORTER)
            assert strobes["lock_tick"] == (number == Out.LOCK_TICK)
            assert strobes["ready"] == (number == Out.EVENT)
            match number:
                case Out.X:
                    held["position"] = byte & 0x3F
                case Out.FLASH:
                    held["flash_cs_n"] = 1 - (byte & 1)
                case Out.FACTS:
                    for name, fact in zip(HELD[:5], Facts, strict=False):
                        held[name] = int(bool(byte & fact))
                    held["clock_free"] = int(not byte & Facts.COUNTING)
                case Out.BAUD:
                    held["rate"] = byte & 7
                case Out.SEED | Out.BASELINE:
                    name = "seed" if number == Out.SEED else "baseline_mv"
                    held[name] = (held[name] << 8 | byte) & 0xFFFF
            assert dict(zip(HELD, desk.get(*HELD), strict=True)) == held

    run(testbench)


@examples(10)
@given(seconds=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_no_second_is_lost(seconds: list[int]) -> None:
    """Up to seven wait, and one that comes in the very cycle of another that is counted does as well."""

    async def testbench(desk: Desk) -> None:
        waiting = 0
        for arriving in seconds:
            for _ in range(min(arriving, 7 - waiting)):
                desk.set(tick_s=1)
                await desk.ctx.tick()
                desk.set(tick_s=0)
                waiting += 1
            assert bool(await desk.read(In.WANTS) & Wants.SECOND) == bool(waiting)
            if waiting:
                await desk.write(Out.SECOND, 0)
                waiting -= 1
        while waiting:
            assert await desk.read(In.WANTS) & Wants.SECOND
            await desk.write(Out.SECOND, 0)
            waiting -= 1
        assert not await desk.read(In.WANTS) & Wants.SECOND

    run(testbench)


def test_a_second_comes_while_another_is_counted() -> None:
    """In whichever cycle."""

    async def testbench(desk: Desk) -> None:
        async def tick() -> None:
            desk.set(tick_s=1)
            await desk.ctx.tick()
            desk.set(tick_s=0)

        await tick()
        offset = counted = 0
        while offset <= counted:
            desk.set(value=WRITE | Out.SECOND, slave=1)
            await desk.ctx.tick().repeat(offset)
            done = bool(desk.get("slave_done")[0])
            await tick()
            counted = offset + 1
            while not (done or desk.get("slave_done")[0]):
                await desk.ctx.tick()
                counted += 1
            desk.set(slave=0)
            await desk.ctx.tick()
            assert await desk.read(In.WANTS) & Wants.SECOND, offset
            offset += 1
        await desk.write(Out.SECOND, 0)
        assert not await desk.read(In.WANTS) & Wants.SECOND

    run(testbench)


def test_a_tick_is_remembered() -> None:
    async def testbench(desk: Desk) -> None:
        for _ in range(2):
            assert not await desk.read(In.SAYS) & Said.TICK
            desk.set(tick_ms=1)
            await desk.ctx.tick()
            desk.set(tick_ms=0)
            assert await desk.read(In.SAYS) & Said.TICK
            assert await desk.read(In.SAYS) & Said.TICK
            await desk.write(Out.TICK, 0)

    run(testbench)


class Partner:
    """The flash's side of the pins, sampled cycle by cycle: SPI mode 0, one byte `given` for each taken."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.given, self.taken = desk, b"", bytearray()

    async def attend(self, ctx: Any) -> None:
        """What has come after each eight rises of the clock; a bit is given with the fall before its rise."""
        bits, before = 0, 0
        count = 0
        async for _, reset, sck, copi in ctx.tick().sample(BENCH.dut.flash_sck, BENCH.dut.flash_copi):
            if sck and not before:
                bits = bits << 1 & 0xFF | copi
                count += 1
                if count % 8 == 0:
                    self.taken.append(bits)
            before = sck
