"""The bytes of an identity by themselves: what each one becomes, and what they say when all have come."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from chip.identity_bench import DEFAULT_BAUD, rate_number, seed_of
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from meterseal.seal.layout import pack, unpack
from sealchip.identity_stream import IdentityStream
from sealchip.interface import BAUD_FEATURE, IDENTITY, PROVISIONING

BENCH = Bench(IdentityStream, DEFAULT_BAUD)
SEAL, BAUD = IDENTITY.slice("seal"), IDENTITY.offsets["baud"]
SECRETS = ("key", "password")
BLANK = pack(
    IDENTITY, dict.fromkeys((it.name for it in IDENTITY.fields), 0) | {"version": 1, "meter": 0xAAAAAAAAAAAA}
)


@dataclass
class Pass:
    """One pass over an identity."""

    raw: bytes
    kept: bytes
    content: bytes
    item: int
    blank: bool
    patch: bool

    @property
    def base(self):
        return BLANK if self.blank else self.raw

    def inside(self, place):
        """Whether the byte is of the item."""
        return place in range(*IDENTITY.slice(PROVISIONING[self.item]).indices(128))

    def bytes(self):
        """What is to be kept; the CRC is not right."""
        if not self.patch:
            return self.base
        fields = unpack(IDENTITY, self.base)
        sequence = int.from_bytes(fields["sequence"], "little") + 1 & 0xFFFF
        whole = b"".join((fields | {"sequence": sequence.to_bytes(2, "little")}).values())
        return bytes(self.content[n] if self.inside(n) else byte for n, byte in enumerate(whole))

    def facts(self):
        """What the whole says, by port; `newer` only where it is to be told."""
        fields, base, kept = (unpack(IDENTITY, it) for it in (self.bytes(), self.base, self.kept))
        numbers = (int.from_bytes(it["sequence"], "little") for it in (base, kept))
        ahead = next(numbers) - next(numbers) & 0xFFFF
        places = [n for n in range(IDENTITY.size) if self.inside(n)]
        return {
            "version_right": fields["version"] == b"\1",
            "fits": all(self.base[n] == self.content[n] for n in places),
            "baud": rate_number(fields["baud"][0]),
            "seed": seed_of(fields["seal"]),
            "has_key": any(fields["key"]),
            "has_address": any(fields["seal"]),
            **({"newer": 0 < ahead < 0x8000} if ahead != 0x8000 else {}),
        }


async def strobe(ctx, dut, index, byte, *, kept=0, content=0):
    """One byte; what is said of it before it is taken."""
    for port, value in (dut.index, index), (dut.i, byte), (dut.kept, kept), (dut.content, content):
        ctx.set(port, value)
    await ctx.tick()
    told = [ctx.get(port) for port in (dut.byte, dut.secret, dut.inside, dut.crc)]
    ctx.set(dut.strobe, 1)
    await ctx.tick()
    ctx.set(dut.strobe, 0)
    return told


async def clear(ctx, dut):
    ctx.set(dut.clear, 1)
    await ctx.tick()
    ctx.set(dut.clear, 0)


async def run(ctx, dut, it):
    """One pass, each byte and then the whole as the reference has them."""
    for port in ("item", "blank", "patch"):
        ctx.set(getattr(dut, port), getattr(it, port))
    await clear(ctx, dut)
    secret = [n for name in SECRETS for n in range(*IDENTITY.slice(name).indices(IDENTITY.size))]
    crc = range(IDENTITY.offsets["crc"], IDENTITY.size)
    for n, byte in enumerate(it.bytes()):
        told = await strobe(ctx, dut, n, it.raw[n], kept=it.kept[n], content=it.content[n])
        assert told == [byte, n in secret, it.inside(n), n in crc]
    # What is seen behind the last byte is none of it.
    for port, value in (dut.index, BAUD), (dut.i, 0xFF), (dut.content, 0xFF):
        ctx.set(port, value)
    await ctx.tick().repeat(2)
    facts = it.facts()
    assert {name: ctx.get(getattr(dut, name)) for name in facts} == facts


def replaced(raw, fields):
    return b"".join((unpack(IDENTITY, raw) | fields).values())


#: Bytes of chance; and what makes a fact of a field: none, only a bit of one byte, or anything.
anything = st.binary(min_size=IDENTITY.size, max_size=IDENTITY.size)
sequences = st.sampled_from([b"\0\0", b"\xff\0", b"\xff\xff", b"\0\1", b"\xff\x7f"]) | st.binary(
    min_size=2, max_size=2
)


def few(width):
    """A field of zeros, or with one bit."""
    return st.just(bytes(width)) | st.integers(0, 8 * width - 1).map(
        lambda n: (1 << n).to_bytes(width, "big")
    )


fields = st.fixed_dictionaries(
    {"version": st.sampled_from([b"\1", b"\0", b"\3", b"\x81"]), "sequence": sequences},
    optional={
        "seal": few(6),
        "key": few(16),
        "baud": st.sampled_from(list(BAUD_FEATURE)).map(lambda n: bytes([n])),
    },
)


@st.composite
def passes(draw):
    raw = replaced(draw(anything), draw(fields))
    kept = replaced(draw(anything), {"sequence": draw(sequences)})
    # One bit of DATA may differ from what is read, or all of them.
    wrong = draw(st.just(bytes(IDENTITY.size)) | few(IDENTITY.size) | anything)
    blank, patch, item = draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(list(PROVISIONING)))
    base = BLANK if blank else raw
    if draw(st.booleans()):
        wrong = replaced(wrong, {PROVISIONING[item]: draw(few(IDENTITY[PROVISIONING[item]].width))})
    content = bytes(byte ^ turned for byte, turned in zip(base, wrong, strict=True))
    return Pass(raw, kept, content, item, blank, patch)


@examples(10)
@given(story=st.lists(passes(), min_size=2, max_size=3))
def test_an_identity_like_the_reference(story):
    """One after the other, blank, changed and as they are."""

    async def testbench(ctx):
        for it in story:
            await run(ctx, BENCH.dut, it)

    BENCH.run(testbench)


def test_every_baud_word():
    """The words of the standard are rates, any other is the default."""

    async def testbench(ctx):
        for word in range(256):
            await strobe(ctx, BENCH.dut, BAUD, word)
            assert ctx.get(BENCH.dut.baud) == rate_number(word)

    BENCH.run(testbench)


def test_every_version():
    """There is one that is right."""

    async def testbench(ctx):
        for version in range(256):
            await strobe(ctx, BENCH.dut, IDENTITY.offsets["version"], version)
            assert ctx.get(BENCH.dut.version_right) == (version == 1)

    BENCH.run(testbench)


@pytest.mark.parametrize("kept", [0x0000, 0x5A3C, 0xFFFF])
def test_sequence_numbers_modulo_2_16(kept):
    """Beyond the kept one by any power of two, and behind it."""

    async def testbench(ctx):
        for step in (1 << n for n in range(15)):
            for ahead in step, -step, 0:
                await clear(ctx, BENCH.dut)
                numbers = (number.to_bytes(2, "little") for number in (kept + ahead & 0xFFFF, kept))
                for place, (byte, old) in enumerate(zip(*numbers, strict=True), IDENTITY.offsets["sequence"]):
                    await strobe(ctx, BENCH.dut, place, byte, kept=old)
                assert ctx.get(BENCH.dut.newer) == (ahead > 0)

    BENCH.run(testbench)


def test_seeds_differ():
    """Neighbouring addresses, as seals of one delivery have them, give different seeds."""

    async def testbench(ctx):
        seeds = set()
        for number in range(1, 40):
            await clear(ctx, BENCH.dut)
            for place, byte in enumerate(bytes.fromhex(f"{number:012d}")[::-1], SEAL.start):
                await strobe(ctx, BENCH.dut, place, byte)
            seeds.add(ctx.get(BENCH.dut.seed))
        assert len(seeds) == 39

    BENCH.run(testbench)


def test_every_bit_of_address_key_and_data_counts():
    """One bit alone makes an address or a key, and one wrong bit of DATA does not fit."""

    async def testbench(ctx):
        dut = BENCH.dut
        ctx.set(dut.item, next(item for item, name in PROVISIONING.items() if name == "key"))
        for name, fact in ("seal", dut.has_address), ("key", dut.has_key):
            for bit in range(8):
                await clear(ctx, dut)
                assert (ctx.get(fact), ctx.get(dut.fits)) == (0, 1)
                await strobe(ctx, dut, IDENTITY.offsets[name], 1 << bit)
                assert (ctx.get(fact), ctx.get(dut.fits)) == (1, name == "seal")

    BENCH.run(testbench)
