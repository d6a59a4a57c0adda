"""The record that the chip makes and signs, read by the host and verified by an independent SM4-CMAC."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.support import Bench, examples
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from meterseal import bcd
from meterseal.seal.image import NO_KEY, Identity
from meterseal.seal.layout import pack
from sealchip.interface import ENTRY, IDENTITY, RECORD, Algorithm, Flags
from sealchip.microcode import Block, Byte, Go, Mode, Sum, assemble
from sealchip.sign_program import PROGRAM
from sealchip.signer import Signer
from sealchip.sm4 import CK, FK, SBOX


class Desk(wiring.Component):
    """The signer beside the memories of identity and loaded entry, connected as in the chip."""

    def __init__(self):
        super().__init__({})
        self.signer = Signer()
        self.uptime = Signal(32)
        self.challenge = Signal(32)
        self.identity = Memory(shape=8, depth=IDENTITY.size, init=[])
        self.entry = Memory(shape=8, depth=ENTRY.size, init=[])
        #: Busy, making, done: one signal is looked at faster than three.
        self.told = Signal(3)

    def elaborate(self, platform):
        m = Module()
        for name in ("signer", "identity", "entry"):
            m.submodules[name] = getattr(self, name)
        identity, entry = self.identity.read_port(), self.entry.read_port()
        m.d.comb += [
            identity.addr.eq(self.signer.secret_address),
            self.signer.secret.eq(identity.data),
            entry.addr.eq(self.signer.entry_address),
            self.signer.entry_byte.eq(entry.data),
            self.told.eq(Cat(self.signer.busy, self.signer.making, self.signer.done)),
        ]
        m.d.sync += [
            self.signer.uptime.eq(self.uptime.word_select(self.signer.uptime_index, 8)),
            self.signer.challenge.eq(self.challenge.word_select(self.signer.challenge_index, 8)),
        ]
        return m


class Resettable(Desk):
    """The same with a reset."""

    def __init__(self):
        super().__init__()
        self.rst = Signal()

    def elaborate(self, platform):
        return ResetInserter(self.rst)(super().elaborate(platform))


BENCH = Bench(Desk)
BUSY, MAKING, DONE = 1, 2, 4
WITH_RESET = Bench(Resettable)

#: Numbers whose bytes borrow from one another.
numbers = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF])
keys = st.binary(min_size=16, max_size=16).filter(any)
situations = st.fixed_dictionaries(
    {
        "seal": st.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}"),
        "boot": numbers,
        "counter": numbers,
        "kind": st.integers(1, 3),
        "state": st.integers(0, 5),
        "loop_mv": st.integers(0, 0xFFFF),
        # The log writes none of the flags that the record adds.
        "flags": st.integers(0, 0xFFFF).map(lambda bits: bits & ~(Flags.AGE_UNKNOWN | Flags.CHALLENGED)),
        "stamp": numbers,
        "uptime": numbers,
        "this_boot": st.booleans(),
        "challenged": st.booleans(),
        "challenge": numbers,
    }
)
SITUATION = {
    **dict.fromkeys(["boot", "counter", "kind", "state", "loop_mv", "flags", "stamp"], 1),
    "seal": "810400000001",
    "uptime": 1000,
    "this_boot": True,
    "challenged": False,
    "challenge": 0x04030201,
}
KEY = bytes(range(16))


def expected(key, now):
    """Reference: the record that tells of the entry now, written out from the protocol's description."""
    age = now.uptime - now.stamp if now.this_boot else now.uptime
    flags = now.flags | (0 if now.this_boot else Flags.AGE_UNKNOWN)
    fields = {
        "version": 1,
        "algorithm": Algorithm.SM4_CMAC if any(key) else Algorithm.UNSIGNED,
        "seal": bcd.address_bytes(now.seal),
        "boot": now.boot,
        "counter": now.counter,
        "kind": now.kind,
        "state": now.state,
        "loop_mv": now.loop_mv,
        "flags": flags | (Flags.CHALLENGED if now.challenged else 0),
        "age": age % 2**32,
        "challenge": now.challenge if now.challenged else 0,
        "mac": 0,
    }
    record = pack(RECORD, fields)
    if not any(key):
        return record
    cmac = CMAC(algorithms.SM4(key))
    cmac.update(record[:30])
    return record[:30] + cmac.finalize()[:8]


async def ask(ctx, dut, key, now):
    """Let the signer begin with the record of `now`."""
    signer = dut.signer
    for n, byte in enumerate(Identity(seal=now.seal, asset="A", key=key).encode()):
        ctx.set(dut.identity.data[n], byte)
    entry = {field.name: getattr(now, field.name, 0) for field in ENTRY.fields}
    for n, byte in enumerate(pack(ENTRY, entry)):
        ctx.set(dut.entry.data[n], byte)
    for name in ("uptime", "challenge"):
        ctx.set(getattr(dut, name), getattr(now, name))
    for name in ("this_boot", "challenged"):
        ctx.set(getattr(signer, name), getattr(now, name))
    ctx.set(signer.signs, any(key))
    ctx.set(signer.start, 1)
    await ctx.tick()
    ctx.set(signer.start, 0)


async def made(ctx, dut):
    """Cycles until the record is made."""
    cycles = 1
    while (told := ctx.get(dut.told)) != BUSY | MAKING | DONE:
        assert told == BUSY | MAKING
        await ctx.tick()
        cycles += 1
    await ctx.tick()
    return cycles


async def signed(ctx, dut):
    """Cycles until the record is signed."""
    cycles = 0
    while told := ctx.get(dut.told):
        assert told == BUSY
        await ctx.tick()
        cycles += 1
    return cycles


async def look(ctx, signer, size=RECORD.size):
    """The first bytes of the record."""
    record = bytearray()
    for index in range(size):
        ctx.set(signer.index, index)
        await ctx.tick()
        assert ctx.get(signer.ready)
        record.append(ctx.get(signer.byte))
    return bytes(record)


async def make(ctx, dut, key, now):
    """One record, and the cycles until it is made and signed."""
    await ask(ctx, dut, key, now)
    cycles = await made(ctx, dut), await signed(ctx, dut)
    return await look(ctx, dut.signer), cycles


def records(key, *nows):
    """Records, one after the other from reset on: each in a time that tells nothing but what anybody sees
    in the record.
    """
    found = []

    async def testbench(ctx):
        base, preparing, its_mac = (57, 3134, 3112) if any(key) else (52, 0, 0)
        for now in nows:
            record, (making, signing) = await make(ctx, BENCH.dut, key, now)
            assert making == base - 2 * now.this_boot + 9 * now.challenged + preparing
            assert signing == its_mac
            found.append(record)
            preparing = 0

    BENCH.run(testbench)
    return found


@examples(2)
@given(key=keys, situations=st.lists(situations, min_size=1, max_size=2))
def test_records_like_the_reference(key, situations):
    nows = [SimpleNamespace(**situation) for situation in situations]
    assert records(key, *nows) == [expected(key, now) for now in nows]


@examples(12)
@given(situation=situations)
def test_unsigned_without_a_key(situation):
    now = SimpleNamespace(**situation)
    (record,) = records(NO_KEY, now)
    assert record == expected(NO_KEY, now)
    assert (record[1], record[30:]) == (Algorithm.UNSIGNED, bytes(8))


@examples(25)
@given(stamp=numbers, uptime=numbers, this_boot=st.booleans())
def test_age_of_a_record(stamp, uptime, this_boot):
    """Uptime less time stamp, borrowing from byte to byte; the whole uptime for an earlier power-up."""
    now = SimpleNamespace(**{**SITUATION, "stamp": stamp, "uptime": uptime, "this_boot": this_boot})
    (record,) = records(NO_KEY, now)
    age = int.from_bytes(record[RECORD.slice("age")], "little")
    assert age == ((uptime - stamp) % 2**32 if this_boot else uptime)
    flags = int.from_bytes(record[RECORD.slice("flags")], "little")
    assert bool(flags & Flags.AGE_UNKNOWN) == (not this_boot)


@examples(1)
@given(key=keys, situation=situations)
def test_takes_the_same_time_always(key, situation):
    """So does every record that these tests make; and one behind another with the same key."""
    now = SimpleNamespace(**situation)
    assert len(records(key, now, now)) == 2


def test_key_change():
    """Each record is signed with the key that is there, or not at all."""
    now, keys_ = SimpleNamespace(**SITUATION), (KEY, NO_KEY, KEY[::-1])

    async def testbench(ctx):
        for key in keys_:
            ctx.set(BENCH.dut.signer.signs, 0)
            await ctx.tick().repeat(8)
            record, _ = await make(ctx, BENCH.dut, key, now)
            assert record == expected(key, now)

    BENCH.run(testbench)


def test_bytes_are_ready_when_they_are_made():
    """What is before the MAC is read while that is made."""
    now = SimpleNamespace(**SITUATION)
    whole = expected(KEY, now)

    async def testbench(ctx):
        signer = BENCH.dut.signer
        await ask(ctx, BENCH.dut, KEY, now)
        await made(ctx, BENCH.dut)
        assert await look(ctx, signer, 30) == whole[:30]
        for index in range(30, RECORD.size):
            ctx.set(signer.index, index)
            await ctx.tick()
            assert not ctx.get(signer.ready)
        while not ctx.get(signer.ready):
            assert ctx.get(signer.busy)
            await ctx.tick()
        assert await look(ctx, signer) == whole

    BENCH.run(testbench)


@pytest.mark.long
@examples(20)
@given(cycles=st.integers(1, 6400), key=keys)
def test_a_reset_ends_everything(cycles, key):
    """Power-up begins with a reset; whatever it meets, the next records are right."""
    now = SimpleNamespace(**SITUATION)

    async def testbench(ctx):
        dut = WITH_RESET.dut
        await ask(ctx, dut, key, now)
        await ctx.tick().repeat(cycles)
        ctx.set(dut.rst, 1)
        ctx.set(dut.signer.signs, 0)
        await ctx.tick()
        ctx.set(dut.rst, 0)
        # The identity is read from flash meanwhile.
        for _ in range(7000):
            assert not ctx.get(dut.signer.done)
            await ctx.tick()
        for other in (NO_KEY, key[::-1]):
            record, _ = await make(ctx, dut, other, now)
            assert record == expected(other, now)

    WITH_RESET.run(testbench)


def words(data):
    return [int.from_bytes(data[n : n + 4], "big") for n in range(0, len(data), 4)]


def substituted(key, *blocks):
    """Reference: the standard, written out; the blocks encrypted, and every byte that met the S-box."""
    met = set()

    def spread(word, *by):
        data = word.to_bytes(4, "big")
        met.update(data)
        word = int.from_bytes(bytes(SBOX[byte] for byte in data), "big")
        for bits in by:
            word ^= int.from_bytes(bytes(SBOX[byte] for byte in data), "big") << bits
        return (word ^ word >> 32) & 0xFFFFFFFF

    def run(four, others, *by):
        for other in others:
            a, b, c, d = four[-4:]
            four.append(a ^ spread(b ^ c ^ d ^ other, *by))
        return four[4:]

    round_keys = run([a ^ b for a, b in zip(words(key), words(FK), strict=True)], words(CK), 13, 23)
    ends = [run(words(block), round_keys, 2, 10, 18, 24)[:-5:-1] for block in blocks]
    return [b"".join(word.to_bytes(4, "big") for word in four) for four in ends], met


def sm4(key, block):
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(block)


def test_every_carry_of_the_subkey_and_every_entry_of_the_s_box():
    """Doubling twice may carry out each time: keys for all four cases, found by trying. The records that they
    sign meet the whole S-box.
    """
    standard = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert substituted(standard, standard)[0] == [bytes.fromhex("681edf34d206965e86b3e94f536e4246")]
    now, all_met = SimpleNamespace(**SITUATION), set()
    for carries in range(4):
        key = next(
            key for n in range(1, 99) if sm4(key := n.to_bytes(16, "big"), bytes(16))[0] >> 6 == carries
        )
        (record,) = records(key, now)
        assert record == expected(key, now)
        all_met |= substituted(key, bytes(16), record[:16])[1]
    assert all_met == set(range(256))


def test_the_program_never_reads_what_it_writes():
    """Block RAM does not define that. Every row, in every turn and both directions."""

    def moved(address, mode, turn, reversed_):
        word = {Mode.NOTHING: 0, Mode.WORD: turn ^ 3 * reversed_, Mode.TURN: turn}[mode]
        upper = turn >> 2 << 4 if mode == Mode.TURN else 0
        return address & ~0b1100 | (address + 4 * word) & 0b1100 | upper

    both = [row for row in PROGRAM if row.get("keeps") and "address" in row]
    assert both
    for row in both:
        for turn in range(32):
            for reversed_ in range(2):
                place = 0x100 | moved(row["place"], row["place_mode"], turn, reversed_)
                assert moved(row["address"], row.get("mode", Mode.NOTHING), turn, reversed_) != place


def test_what_is_no_program_is_refused():
    one, two = Byte(1), Byte(2)
    late = Sum.of(0, one, ages=2)
    with pytest.raises(ValueError, match="another byte of the uptime"):
        Block("a", [late, Sum.of(1, two), Sum.of(2, Byte(7), one)], ["a"]).rows()
    with pytest.raises(ValueError, match="cannot do both"):
        Block("a", [], ["a"], phase=1, flags={"rotation": 2}).rows()
    with pytest.raises(ValueError, match="more than one branch"):
        assemble([Block("a", [], ["a", "b"], Go.IF_SIGNS), Block("b", [], ["c", "b"], Go.IF_SIGNS)])
    with pytest.raises(ValueError, match="behind another branch"):
        assemble([Block("a", [], ["a", "b"], Go.IF_SIGNS), Block("b", [], ["b", "a"], Go.IF_SIGNS)])
