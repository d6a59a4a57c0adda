"""Tests of what goes over the flash's pins: bytes, and the CRC of their bits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import crc16
from sealchip.core.crc16 import SerialCrc
from sealchip.core.spi import SpiByte
from verif.benches.block import Bench, examples, simulate

BYTE = Bench(SpiByte)


@examples(10)
@given(exchanges=st.lists(st.tuples(*3 * [st.integers(0, 255)], st.integers(0, 3)), min_size=2, max_size=4))
def test_spi_byte(exchanges):
    """Mode 0 is high bit first, with data stable around the rising edge; `busy` lasts 16 cycles.

    `start` and `i` count only between bytes, and there nothing happens without them.
    """
    dut = BYTE.dut

    async def testbench(ctx):
        received = 0
        for sent, answer, other, pause in exchanges:
            ctx.set(dut.i, other)
            for _ in range(pause):
                assert not ctx.get(dut.sck | dut.busy | dut.shifts)
                assert ctx.get(dut.o) == received
                await ctx.tick()
            ctx.set(dut.i, sent)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, other & 1)
            ctx.set(dut.i, other)
            copi = []
            for cycle in range(1, 17):
                # The flash changes its output at the falling edge; here at the start of each bit.
                bit = answer >> (7 - (cycle - 1) // 2) & 1
                ctx.set(dut.cipo, bit)
                second = cycle % 2 == 0
                assert (ctx.get(dut.sck), ctx.get(dut.shifts), ctx.get(dut.busy)) == (second, second, 1)
                copi.append(ctx.get(dut.copi))
                if second:
                    assert ctx.get(dut.received) == bit
                    # After the rising edge it may change.
                    ctx.set(dut.cipo, not bit)
                if cycle == 16:
                    ctx.set(dut.start, 0)
                await ctx.tick()
            received = answer
            assert (ctx.get(dut.busy), ctx.get(dut.o)) == (0, answer)
            assert copi[0::2] == copi[1::2] == [sent >> n & 1 for n in range(7, -1, -1)]

    BYTE.run(testbench)


@examples(20)
@given(content=st.binary(max_size=12), damage=st.integers(0, 0xFFFF))
def test_serial_crc(content, damage):
    """Bits out are those of the reference; `ok` is high exactly when the right two bytes have come."""
    dut, expected = SerialCrc(), crc16(content)

    async def shift(ctx, bits):
        ctx.set(dut.valid, 1)
        for bit in bits:
            ctx.set(dut.i, int(bit))
            await ctx.tick()
        ctx.set(dut.valid, 0)

    async def testbench(ctx):
        bits = "".join(f"{byte:08b}" for byte in content)
        await shift(ctx, bits)
        given_out = ""
        for _ in range(16):
            given_out += str(ctx.get(dut.o))
            await shift(ctx, given_out[-1])
        assert int(given_out, 2) == expected
        assert ctx.get(dut.ok)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await shift(ctx, f"{bits}{expected ^ damage:016b}")
        assert ctx.get(dut.ok) == (damage == 0)

    simulate(dut, testbench)
