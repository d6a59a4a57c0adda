"""Tests of what the chip sends: every message, decoded by the host's codec."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import ANY_METER, Identity
from meterseal.octets import bcd
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write
from sealchip.core.firmware.layout import Public
from sealchip.dlt645.deframer import SCRAMBLE
from sealchip.dlt645.framer import Framer
from sealchip.dlt645.messages import MESSAGES, Body, Message
from sealchip.interface import DIAGNOSTICS, RECORD, Di
from sealchip.sense.diagnostics import MEASURED_BYTES
from verif.benches.block import Bench, examples


class Sender(wiring.Component):
    """The framer and all its sources of bytes are connected as in the chip."""

    def __init__(self):
        super().__init__({})
        self.framer = Framer()
        self.public = Memory(shape=8, depth=256, init=[])
        self.diagnostics = Memory(shape=8, depth=MEASURED_BYTES, init=[])
        self.request = Memory(shape=8, depth=16, init=[])

    def elaborate(self, platform):
        m = Module()
        framer = self.framer
        for name in ("framer", "public", "diagnostics", "request"):
            m.submodules[name] = getattr(self, name)
        public = self.public.read_port()
        diagnostics, request = self.diagnostics.read_port(), self.request.read_port()
        m.d.comb += [
            public.addr.eq(framer.public.address),
            public.en.eq(framer.public.reading),  # the core writes whenever it may
            framer.public.byte.eq(public.data),
            diagnostics.addr.eq(framer.diagnostics.index),
            framer.diagnostics.byte.eq(diagnostics.data),
            request.addr.eq(framer.position),
            framer.content.eq(request.data),
        ]
        return m


SENDER = Bench(Sender)

addresses = st.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}")
identities = st.builds(
    Identity,
    seal=addresses,
    asset=st.text("AZ09-", min_size=1, max_size=32),
    meter=addresses | st.just(ANY_METER),
    key=st.binary(min_size=16, max_size=16),
    phone=st.text("0123456789", max_size=16),
)
#: The bytes of these numbers borrow from one another.
numbers = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF])
situations = st.fixed_dictionaries(
    {
        "record": st.binary(min_size=RECORD.size, max_size=RECORD.size),
        "diagnostics": st.binary(min_size=DIAGNOSTICS.size, max_size=DIAGNOSTICS.size),
        "function": st.integers(0, 31),
        "di": numbers,
        "sequence": st.integers(0, 255),
        "password": st.binary(min_size=4, max_size=4),
    }
)
SITUATION = {
    "record": bytes(range(RECORD.size)),
    "diagnostics": bytes(range(100, 100 + DIAGNOSTICS.size)),
    "function": 0x11,
    "di": 0x04805302,
    "sequence": 7,
    "password": b"\x02\x12\x34\x56",
}
#: A byte takes three cycles, and no frame has more of them.
LONGEST_CYCLES = 3 * 80
IDENTITY_1 = Identity(seal="000000000101", asset="GD-101", meter="000000000001")


def expected_frame(message, identity, now):
    """Reference: return the frame of the message, written out from the protocol's description."""
    seal, asset = bcd.address_bytes(identity.seal), identity.asset.encode()[::-1].ljust(32, b"\0")

    def report(di, content):
        return Frame(identity.meter, 0x14, Write(di, b"\0" * 4, b"\0" * 4, content).encode())

    def answer(content, *, more=0):
        return Frame(identity.seal, 0x80 | more | now.function, now.di.to_bytes(4, "little") + content)

    def refusal(error):
        return Frame(identity.seal, 0xC0 | now.function, bytes([error]))

    following = now.record + bytes([now.sequence])
    return {
        Message.REPORT_RECORD: report(Di.REPORT, now.record),
        Message.REPORT_IDENTITY: report(Di.REPORT_IDENTITY, seal + asset),
        Message.ANSWER_RECORD: answer(now.record),
        Message.ANSWER_RECORD_MORE: answer(now.record, more=0x20),
        Message.ANSWER_NEXT: answer(following),
        Message.ANSWER_NEXT_MORE: answer(following, more=0x20),
        Message.ANSWER_DIAGNOSTICS: answer(now.diagnostics),
        Message.ANSWER_ADDRESS_ITEM: answer(seal),
        Message.ANSWER_ASSET: answer(asset),
        Message.ANSWER_ADDRESS: Frame(identity.seal, 0x80 | now.function, seal),
        Message.ANSWER_DONE: Frame(identity.seal, 0x80 | now.function),
        Message.ANSWER_RATE: Frame(identity.seal, 0x80 | now.function, now.di.to_bytes(4, "little")[:1]),
        Message.ANSWER_PASSWORD: Frame(identity.seal, 0x80 | now.function, now.password),
        Message.REFUSE_OTHER: refusal(0x01),
        Message.REFUSE_NO_DATA: refusal(0x02),
        Message.REFUSE_UNAUTHORISED: refusal(0x04),
        Message.REFUSE_RATE: refusal(0x08),
    }[message]


async def prepare(ctx, dut, message, identity, now):
    """Return contents for everything around the framer."""
    measured = now.diagnostics[:MEASURED_BYTES]
    public = {
        Public.IDENTITY: identity.encode(),
        Public.RECORD: now.record,
        Public.UPTIME: now.diagnostics[DIAGNOSTICS.slice("uptime")],
        Public.CLOCK: now.diagnostics[DIAGNOSTICS.slice("clock")],
    }
    for begin, content in public.items():
        for n, byte in enumerate(content):
            ctx.set(dut.public.data[begin + n], byte)
    for n, byte in enumerate(measured):
        ctx.set(dut.diagnostics.data[n], byte)
    framer = dut.framer
    ctx.set(framer.send.message, message)
    ctx.set(framer.function, now.function)
    request = now.di.to_bytes(4, "little") + bytes([now.sequence, 0, 0, 0]) + now.password
    for n, byte in enumerate(request):
        ctx.set(dut.request.data[n], byte)


async def start(ctx, dut):
    assert not ctx.get(dut.framer.public.reading)
    ctx.set(dut.framer.send.start, 1)
    await ctx.tick()
    ctx.set(dut.framer.send.start, 0)


async def take(ctx, framer, chance):
    """Yield the bytes of the frame, each accepted after a while; check the stream's rules."""
    sent, idle = bytearray(), 0
    while ctx.get(framer.busy):
        if not ctx.get(framer.o.valid):
            idle += 1
            assert idle <= 2, "a byte comes at most 2 cycles after the last was taken"
            await ctx.tick()
            continue
        assert not ctx.get(framer.public.reading), "reading stays low for a byte that is there"
        idle, payload = 0, ctx.get(framer.o.payload)
        for _ in range(chance.choice([0, 0, 1, 4, 20])):
            await ctx.tick()
            assert ctx.get(framer.o.valid), "valid never drops before a transfer"
            again = ctx.get(framer.o.payload)
            assert (again.data, again.last) == (payload.data, payload.last)
        ctx.set(framer.o.ready, 1)
        await ctx.tick()
        ctx.set(framer.o.ready, 0)
        sent.append(payload.data)
        assert payload.last == (not ctx.get(framer.busy))
    return bytes(sent)


def send(message, identity, now, *, seed=0, bench=SENDER):
    """Return the bytes of one frame."""
    result = []

    async def testbench(ctx):
        await prepare(ctx, bench.dut, message, identity, now)
        await start(ctx, bench.dut)
        result.append(await take(ctx, bench.dut.framer, random.Random(seed)))

    bench.run(testbench)
    return result[0]


@pytest.mark.parametrize("message", Message)
def test_every_message_decodes(message):
    @examples(6)
    @given(identity=identities, situation=situations, seed=st.integers(0, 1000))
    def check(identity, situation, seed):
        now = SimpleNamespace(**situation)
        sent = send(message, identity, now, seed=seed)
        assert sent.startswith(b"\xfe\xfe\xfe\xfe\x68")
        frame = Frame.decode(sent)
        assert frame == expected_frame(message, identity, now)
        assert len(frame.data) == MESSAGES[message].length
        assert len(frame.data) <= (50 if message.name.startswith("REPORT") else 200)

    check()


@pytest.mark.parametrize("message", Message)
def test_only_a_record_is_waited_for(message):
    """Only the record is waited for: the bytes before it are sent, and the rest once it is there."""
    now = SimpleNamespace(**SITUATION)
    whole = expected_frame(message, IDENTITY_1, now).encode()
    record = bytes(byte + SCRAMBLE & 0xFF for byte in now.record)
    before = whole.index(record) if MESSAGES[message].body is Body.RECORD else len(whole)

    async def testbench(ctx):
        framer, sent = SENDER.dut.framer, bytearray()
        await prepare(ctx, SENDER.dut, message, IDENTITY_1, now)
        ctx.set(framer.wait, 1)
        await start(ctx, SENDER.dut)
        ctx.set(framer.o.ready, 1)
        for cycle in range(2 * LONGEST_CYCLES):
            if cycle == LONGEST_CYCLES:
                assert bytes(sent) == whole[:before]
                ctx.set(framer.wait, 0)
            if ctx.get(framer.o.valid):
                sent.append(ctx.get(framer.o.payload.data))
            await ctx.tick()
        assert bytes(sent) == whole

    SENDER.run(testbench)


@examples(20)
@given(
    message=st.sampled_from(list(Message)),
    following=st.sampled_from(list(Message)),
    cycles=st.integers(0, 350),
    ready=st.integers(0, 1),
)
def test_abort_drops_the_rest(message, following, cycles, ready):
    """The framer is silent in the cycle after a collision at any byte; the next frame is whole and right."""

    async def testbench(ctx):
        dut, now = SENDER.dut, SimpleNamespace(**SITUATION)
        await prepare(ctx, dut, message, IDENTITY_1, now)
        await start(ctx, dut)
        ctx.set(dut.framer.o.ready, ready)
        for _ in range(cycles):
            await ctx.tick()
        ctx.set(dut.framer.abort, 1)
        await ctx.tick()
        ctx.set(dut.framer.abort, 0)
        ctx.set(dut.framer.o.ready, 0)
        assert (ctx.get(dut.framer.busy), ctx.get(dut.framer.o.valid)) == (0, 0)
        await ctx.tick()
        await prepare(ctx, dut, following, IDENTITY_1, now)
        await start(ctx, dut)
        sent = await take(ctx, dut.framer, random.Random(0))
        assert Frame.decode(sent) == expected_frame(following, IDENTITY_1, now)

    SENDER.run(testbench)
