"""Flash: SPI bytes, and the commands on the pins."""

from __future__ import annotations

from functools import cache
from math import ceil

import pytest
from chip.support import Bench, examples, simulate
from hypothesis import given
from hypothesis import strategies as st

from meterseal.seal.image import crc16
from sealchip.crc16 import SerialCrc
from sealchip.spi import SpiByte
from sealchip.spi_flash import DESELECTED, POWER_UP_MS, FlashOp, SpiFlash

# -- SPI

BYTE = Bench(SpiByte)


@examples(10)
@given(exchanges=st.lists(st.tuples(*3 * [st.integers(0, 255)], st.integers(0, 3)), min_size=2, max_size=4))
def test_spi_byte(exchanges):
    """Mode 0: high bit first, data stable around the rising edge; `done` in the 16th cycle after `start`.

    `start` and `i` count only between bytes, and there nothing happens without them.
    """
    dut = BYTE.dut

    async def testbench(ctx):
        for sent, answer, other, pause in exchanges:
            ctx.set(dut.i, other)
            for _ in range(pause):
                assert not ctx.get(dut.sck | dut.done | dut.shifts)
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
                assert (ctx.get(dut.sck), ctx.get(dut.shifts), ctx.get(dut.done)) == (
                    second,
                    second,
                    cycle == 16,
                )
                copi.append(ctx.get(dut.copi))
                if second:
                    assert ctx.get(dut.o) & 1 == bit
                    # Behind the rising edge it may change.
                    ctx.set(dut.cipo, not bit)
                if cycle == 16:
                    assert ctx.get(dut.o) == answer
                    ctx.set(dut.start, 0)
                await ctx.tick()
            assert copi[0::2] == copi[1::2] == [sent >> n & 1 for n in range(7, -1, -1)]

    BYTE.run(testbench)


# -- Commands on the pins

#: Cycles of a millisecond, few enough for a simulation; of a flash's power-up and release from power-down.
MILLISECOND = 10
POWER_UP, WAKE = POWER_UP_MS * MILLISECOND, 9
#: How often the status is polled here until the flash is ready.
POLLS = 3


#: What it holds, again and again.
CONTENT = bytes(n * 7 & 0xFF for n in range(0x10000))


class FlashChip:
    """A 25-series flash in SPI mode 0, seen from its pins; what it refuses is a fault of the controller."""

    def __init__(self, pins, pause):
        self.pins, self.pause = pins, pause
        self.content = bytearray(CONTENT)
        self.cycle = 0
        self.selected_at, self.deselected_at = 0, -pause
        self.awake_at = None
        self.enabled = False
        self.polls = self.status = 0
        self.commands = []
        self.selected = self.sck = False
        self.bits = []

    async def run(self, ctx):
        """One cycle."""
        pins = self.pins
        ctx.set(pins.tick_ms, self.cycle % MILLISECOND == MILLISECOND - 1)
        await ctx.tick()
        self.cycle += 1
        was_selected, self.selected = self.selected, not ctx.get(pins.cs_n)
        was_high, self.sck = self.sck, ctx.get(pins.sck)
        if self.selected and not was_selected:
            assert not self.sck, "mode 0 begins with the clock low"
            assert self.cycle - self.deselected_at >= self.pause, "selected again too soon"
            self.selected_at, self.bits = self.cycle, []
            ctx.set(pins.cipo, 1)
        elif was_selected and not self.selected:
            self.deselected_at = self.cycle
            self._execute(self.bits)
        elif self.selected and self.sck and not was_high:
            self.bits.append(ctx.get(pins.copi))
        elif self.selected and was_high and not self.sck:
            ctx.set(pins.cipo, self._answer(self.bits))

    def _bytes(self, bits):
        return bytes(int("".join(map(str, bits[n : n + 8])), 2) for n in range(0, len(bits) - 7, 8))

    def _answer(self, bits):
        """Next bit of the answer to the command so far."""
        raw = self._bytes(bits)
        if raw[:1] == b"\x05":
            if len(bits) % 8 == 0:  # a new byte, which shows the flash nearer to its end
                self.status = bool(self.polls) | self.enabled << 1
                self.polls -= self.polls > 0
            return self.status >> (7 - len(bits) % 8) & 1
        if raw[:1] == b"\x03" and len(raw) >= 4:
            address = int.from_bytes(raw[1:4], "big") + len(raw) - 4
            return self.content[address % len(CONTENT)] >> (7 - len(bits) % 8) & 1
        return 1

    def _execute(self, bits):
        assert len(bits) % 8 == 0, "deselected inside a byte"
        raw = self._bytes(bits)
        self.commands.append(raw)
        if self.awake_at is None:
            assert self.selected_at >= POWER_UP, "the flash has not powered up"
            assert raw == b"\xab", "in deep power-down a flash knows only its release"
            self.awake_at = self.deselected_at + WAKE
            return
        assert self.selected_at >= self.awake_at, "the flash has not woken up"
        address = int.from_bytes(raw[1:4], "big")
        if raw[0] == 0x05:
            return
        assert not self.polls, "a busy flash takes no command"
        if raw[0] == 0x06:
            self.enabled = True
        elif raw[0] == 0x02:
            assert self.enabled, "not write enabled"
            for n, byte in enumerate(raw[4:]):
                self.content[address & ~0xFF | (address + n & 0xFF)] &= byte
            self.enabled, self.polls = False, POLLS
        elif raw[0] == 0x20:
            assert self.enabled, "not write enabled"
            start = address & ~0xFFF
            self.content[start : start + 0x1000] = b"\xff" * 0x1000
            self.enabled, self.polls = False, POLLS
        else:
            assert raw[0] == 0x03, f"unknown command {raw.hex()}"


@cache
def controller(clock_hz):
    """A bench for each clock."""
    return Bench(SpiFlash, clock_hz)


def operate(*operations, clock_hz=1_000_000, pause=2, sum_from=256, skip_from=256):
    """Run (op, address, length, bytes to program) on a flash chip, from power-up.

    What was read with `sum_ok`, the cycles, and the chip. The bytes from `sum_from` on are programmed as CRC,
    those from `skip_from` on left out of it.
    """
    bench, results, spent = controller(clock_hz), [], []
    dut = bench.dut
    chip = FlashChip(dut, pause)

    async def testbench(ctx):
        bus = dut.bus
        for op, address, length, program in operations:
            ctx.set(bus.op, op)
            ctx.set(bus.address, address)
            ctx.set(bus.length, length)
            ctx.set(bus.start, 1)
            received, indices, before, begun = [], [], 0, chip.cycle
            while not ctx.get(bus.done):
                # As from a memory: one cycle behind `index`.
                ctx.set(bus.i, program[before] if before < len(program) else 0)
                before = ctx.get(bus.index)
                ctx.set(bus.sum, before >= sum_from)
                ctx.set(bus.skip, before >= skip_from)
                if ctx.get(bus.strobe):
                    indices.append(before)
                    received.append(ctx.get(bus.o))
                await chip.run(ctx)
            assert indices == ([] if op == FlashOp.ERASE else list(range(length)))
            spent.append(chip.cycle - begun)
            await chip.run(ctx)
            ctx.set(bus.start, 0)
            results.append((bytes(received), ctx.get(bus.sum_ok)))

    bench.run(testbench)
    return results, spent, chip


@examples(10)
@given(address=st.integers(0, 0xFFFF00), length=st.integers(1, 24))
def test_spi_flash(address, length):
    """Reads what the flash holds; the flash is first given its time to power up and to wake up."""
    [(received, _)], _, chip = operate((FlashOp.READ, address, length, b""))
    assert list(received) == [CONTENT[place % len(CONTENT)] for place in range(address, address + length)]
    assert chip.commands == [b"\xab", b"\x03" + address.to_bytes(3, "big") + b"\0" * length]


@examples(10)
@given(page=st.integers(0, 0xFF), data=st.data())
def test_spi_flash_programs(page, data):
    """Write enable, program, status until ready; then only the bytes asked for have changed."""
    program = data.draw(st.binary(min_size=1, max_size=24))
    address = page * 256 + data.draw(st.integers(0, 256 - len(program)))
    before = bytearray(CONTENT)
    results, _, chip = operate(
        (FlashOp.PROGRAM, address, len(program), program), (FlashOp.READ, address, len(program), b"")
    )
    where = slice(address, address + len(program))
    expected = bytes(old & new for old, new in zip(before[where], program, strict=True))
    assert results[1][0] == expected
    before[where] = expected
    assert chip.content == before
    status = b"\x05" + b"\0" * (POLLS + 1)
    assert chip.commands[1:-1] == [b"\x06", b"\x02" + address.to_bytes(3, "big") + program, status]


def test_spi_flash_erases():
    """Write enable, erase, status until ready; exactly the sector of the address is blank."""
    before = bytearray(CONTENT)
    _, _, chip = operate((FlashOp.ERASE, 0x2000, 1, b""))
    before[0x2000:0x3000] = b"\xff" * 0x1000
    assert chip.content == before
    assert chip.commands[1:] == [b"\x06", b"\x20\x00\x20\x00", b"\x05" + b"\0" * (POLLS + 1)]


@examples(8)
@given(content=st.binary(min_size=1, max_size=12), damage=st.integers(1, 0xFFFF), behind=st.integers(0, 2))
def test_spi_flash_sums(content, damage, behind):
    """Programs the CRC behind what was given; reads tell whether it is right, bytes left out or not."""
    address, whole = 0xFF00, content + crc16(content).to_bytes(2, "big")
    length = len(whole)
    erase = (FlashOp.ERASE, address, 1, b"")
    _, _, chip = operate(erase, (FlashOp.PROGRAM, address, length, content), sum_from=len(content))
    assert chip.content[address : address + length] == whole
    wrong = (int.from_bytes(whole[-2:], "big") ^ damage).to_bytes(2, "big")
    for raw, right in (whole, 1), (content + wrong, 0):
        programs = (FlashOp.PROGRAM, address, length, raw), (FlashOp.READ, address, length + behind, b"")
        results, _, _ = operate(erase, *programs, skip_from=length)
        assert results[-1] == (raw + b"\xff" * behind, right)


@pytest.mark.parametrize("clock_hz", [307_200, 12_000_000, 48_000_000])
def test_every_clock_deselects_for_100_ns(clock_hz):
    """A flash that refuses to be selected sooner takes every command."""
    pause = ceil(DESELECTED * clock_hz)
    operations = (FlashOp.ERASE, 0, 1, b""), (FlashOp.PROGRAM, 0, 1, b"\0"), *[(FlashOp.READ, 0, 1, b"")] * 2
    results, _, _ = operate(*operations, clock_hz=clock_hz, pause=pause)
    assert [received for received, _ in results[2:]] == [b"\0"] * 2


@examples(20)
@given(content=st.binary(max_size=12), damage=st.integers(0, 0xFFFF))
def test_serial_crc(content, damage):
    """Bits out are those of the reference; `ok` exactly when the right two bytes have come."""
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


def test_spi_flash_takes_18_cycles_a_byte():
    reads = [(FlashOp.READ, 0, length, b"") for length in (1, 1, 2, 21, 255)]
    _, spent, _ = operate(*reads)
    assert [cycles - spent[1] for cycles in spent[2:]] == [18, 18 * 20, 18 * 254]
