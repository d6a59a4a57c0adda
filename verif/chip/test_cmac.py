"""SM4-CMAC in gateware against an independent implementation."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.support import Bench, examples
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from sealchip.cmac import MESSAGE_BYTES, TAG_BYTES, Cmac


class Keyed(wiring.Component):
    """The CMAC beside a memory with its key."""

    def __init__(self):
        super().__init__({})
        self.cmac = Cmac()
        self.key = Memory(shape=8, depth=16, init=[])

    def elaborate(self, platform):
        m = Module()
        m.submodules.cmac, m.submodules.key = self.cmac, self.key
        read = self.key.read_port()
        m.d.comb += [read.addr.eq(self.cmac.key_address), self.cmac.key.eq(read.data)]
        return m


BENCH = Bench(Keyed)
keys = st.binary(min_size=16, max_size=16)
messages = st.binary(min_size=MESSAGE_BYTES, max_size=MESSAGE_BYTES)


def reference(key, message):
    cmac = CMAC(algorithms.SM4(key))
    cmac.update(message)
    return cmac.finalize()[:TAG_BYTES]


async def load(ctx, dut, key):
    for n, byte in enumerate(key):
        ctx.set(dut.key.data[n], byte)


async def put(ctx, cmac, message):
    ctx.set(cmac.i.valid, 1)
    for byte in message:
        ctx.set(cmac.i.payload, byte)
        await ctx.tick().until(cmac.i.ready)
    ctx.set(cmac.i.valid, 0)


async def get(ctx, cmac):
    tag = bytearray()
    ctx.set(cmac.o.ready, 1)
    while len(tag) < TAG_BYTES:
        (byte,) = await ctx.tick().sample(cmac.o.payload).until(cmac.o.valid)
        tag.append(byte)
    ctx.set(cmac.o.ready, 0)
    return bytes(tag)


def tags(key, *messages):
    """The tags of messages, one after the other from reset on."""
    found = []

    async def testbench(ctx):
        dut = BENCH.dut
        await load(ctx, dut, key)
        ctx.set(dut.cmac.enable, 1)
        for message in messages:
            await put(ctx, dut.cmac, message)
            found.append(await get(ctx, dut.cmac))

    BENCH.run(testbench)
    return found


@examples(10)
@given(key=keys, messages=st.lists(messages, min_size=1, max_size=3))
def test_tags_are_those_of_the_reference(key, messages):
    assert tags(key, *messages) == [reference(key, message) for message in messages]


def leading_bits(key):
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(bytes(16))[0] >> 6


@pytest.mark.parametrize("carries", range(4))
def test_subkey_of_every_kind(carries):
    """Doubling twice may carry out each time: keys for all four cases, found by trying."""
    key = next(key for n in range(99) if leading_bits(key := n.to_bytes(16, "big")) == carries)
    message = bytes(range(MESSAGE_BYTES))
    assert tags(key, message) == [reference(key, message)]


def test_key_change():
    first, second, message = bytes(16), bytes(range(16)), bytes(range(MESSAGE_BYTES))

    async def testbench(ctx):
        dut = BENCH.dut
        for key in (first, second):
            ctx.set(dut.cmac.enable, 0)
            # A message that waits for the key to come back is signed with the new one.
            ctx.set(dut.cmac.i.valid, 1)
            await ctx.tick().repeat(50)
            await load(ctx, dut, key)
            ctx.set(dut.cmac.enable, 1)
            await put(ctx, dut.cmac, message)
            assert await get(ctx, dut.cmac) == reference(key, message)

    BENCH.run(testbench)


@examples(4)
@given(key=keys, message=messages)
def test_takes_the_same_time_always(key, message):
    """With both sides always ready; the first message waits for the subkey."""
    ends = []

    async def testbench(ctx):
        dut = BENCH.dut
        cmac = dut.cmac
        await load(ctx, dut, key)
        ctx.set(cmac.enable, 1)
        ctx.set(cmac.i.valid, 1)
        ctx.set(cmac.o.ready, 1)
        cycle = taken = given = 0
        while len(ends) < 2:
            ctx.set(cmac.i.payload, message[given % MESSAGE_BYTES])
            given += ctx.get(cmac.i.ready)
            taken += ctx.get(cmac.o.valid)
            await ctx.tick()
            cycle += 1
            if taken == TAG_BYTES:
                ends.append(cycle)
                taken = 0

    BENCH.run(testbench)
    assert ends == [2344, 3926]
    assert ends[0] <= 900 + 1700
    assert ends[1] - ends[0] <= 1700
