"""SM4 in gateware against the standard's vectors and an independent implementation."""

from __future__ import annotations

import random

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.support import Bench, examples
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from sealchip.sm4 import Sm4


class Keyed(wiring.Component):
    """The cipher beside a memory with its key, which is connected as the chip's identity is."""

    def __init__(self):
        super().__init__({})
        self.sm4 = Sm4()
        self.key = Memory(shape=8, depth=16, init=[])

    def elaborate(self, platform):
        m = Module()
        m.submodules.sm4, m.submodules.key = self.sm4, self.key
        read = self.key.read_port()
        m.d.comb += [read.addr.eq(self.sm4.key_address), self.sm4.key.eq(read.data)]
        return m


BENCH = Bench(Keyed)
#: GB/T 32907-2016, appendix A.
STANDARD = bytes.fromhex("0123456789abcdeffedcba9876543210")
ENCRYPTED = bytes.fromhex("681edf34d206965e86b3e94f536e4246")
CYCLES = 20 + 728 + 24

blocks = st.binary(min_size=16, max_size=16)


def reference(key, block):
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(block)


async def put(ctx, block, pause=lambda: 0):
    """Put a block in, each byte after a pause."""
    i = BENCH.dut.sm4.i
    for byte in block:
        for _ in range(pause()):
            await ctx.tick()
        ctx.set(i.payload, byte)
        ctx.set(i.valid, 1)
        await ctx.tick().until(i.ready)
        ctx.set(i.valid, 0)
        ctx.set(i.payload, 0xA5)


async def get(ctx, pause=lambda: 0):
    """Take an encrypted block, each byte after a pause; checks the stream's manners."""
    o, block = BENCH.dut.sm4.o, bytearray()
    while len(block) < 16:
        if not ctx.get(o.valid):
            await ctx.tick()
            continue
        byte = ctx.get(o.payload)
        for _ in range(pause()):
            await ctx.tick()
            assert (ctx.get(o.valid), ctx.get(o.payload)) == (1, byte)
        ctx.set(o.ready, 1)
        await ctx.tick()
        ctx.set(o.ready, 0)
        block.append(byte)
    return bytes(block)


def encrypt(key, *plain, pause=lambda: 0):
    """The blocks, one after the other from reset on."""
    found = []

    async def testbench(ctx):
        for n, byte in enumerate(key):
            ctx.set(BENCH.dut.key.data[n], byte)
        for block in plain:
            await put(ctx, block, pause)
            found.append(await get(ctx, pause))

    BENCH.run(testbench)
    return found


def test_vector_of_the_standard():
    assert encrypt(STANDARD, STANDARD) == [ENCRYPTED]


@examples(12)
@given(key=blocks, plain=st.lists(blocks, min_size=1, max_size=3))
def test_encrypts_like_the_reference(key, plain):
    assert encrypt(key, *plain) == [reference(key, block) for block in plain]


def test_every_entry_of_the_s_box():
    """So many blocks that each of the 256 bytes is substituted: a chain, as in the standard's long vector."""
    block, chain = STANDARD, []
    for _ in range(16):
        block = reference(STANDARD, block)
        chain.append(block)
    assert encrypt(STANDARD, STANDARD, *chain[:-1]) == chain


@examples(5)
@given(key=blocks, plain=blocks, seed=st.integers(0, 1000))
def test_streams_wait_for_both_sides(key, plain, seed):
    chance = random.Random(seed)
    assert encrypt(key, plain, plain, pause=lambda: chance.choice([0, 0, 1, 7])) == 2 * [
        reference(key, plain)
    ]


@examples(5)
@given(key=blocks | st.just(bytes(16)), plain=blocks | st.just(bytes(16)))
def test_takes_the_same_time_always(key, plain):
    """From the first byte in to the last byte out: neither key nor block can be told from the time."""
    cycles = []

    async def testbench(ctx):
        dut = BENCH.dut.sm4
        for n, byte in enumerate(key):
            ctx.set(BENCH.dut.key.data[n], byte)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        given = iter(plain)
        ctx.set(dut.i.payload, next(given))
        count = taken = 0
        while taken < 16:
            count += 1
            taken += ctx.get(dut.o.valid)
            accepted = ctx.get(dut.i.ready)
            await ctx.tick()
            if accepted:
                ctx.set(dut.i.payload, next(given, 0))
        cycles.append(count)

    BENCH.run(testbench)
    assert cycles == [CYCLES]
