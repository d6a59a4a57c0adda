"""The record that the chip makes and signs, read by the host and verified by an independent SM4-CMAC."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.support import Bench, examples
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from meterseal import bcd
from meterseal.seal.image import NO_KEY, Identity
from meterseal.seal.layout import pack
from sealchip.interface import ENTRY, IDENTITY, RECORD, Algorithm, Flags
from sealchip.signer import Signer


class Desk(wiring.Component):
    """The signer beside the memories of identity and loaded entry, connected as in the chip."""

    def __init__(self):
        super().__init__({})
        self.signer = Signer()
        self.uptime = Signal(32)
        self.challenge = Signal(32)
        self.identity = Memory(shape=8, depth=IDENTITY.size, init=[])
        self.entry = Memory(shape=8, depth=ENTRY.size, init=[])

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
        ]
        m.d.sync += [
            self.signer.uptime.eq(self.uptime.word_select(self.signer.uptime_index, 8)),
            self.signer.challenge.eq(self.challenge.word_select(self.signer.challenge_index, 8)),
        ]
        return m


BENCH = Bench(Desk)

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
        "flags": st.integers(0, 0xFFFF),
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


async def make(ctx, key, now):
    """One record from `start` on, and the cycles until `done`."""
    dut, signer = BENCH.dut, BENCH.dut.signer
    for n, byte in enumerate(Identity(seal=now.seal, asset="A", key=key).encode()):
        ctx.set(dut.identity.data[n], byte)
    entry = {field.name: getattr(now, field.name, 0) for field in ENTRY.fields}
    for n, byte in enumerate(pack(ENTRY, entry)):
        ctx.set(dut.entry.data[n], byte)
    ctx.set(dut.uptime, now.uptime)
    ctx.set(dut.challenge, now.challenge)
    for name in ("this_boot", "challenged"):
        ctx.set(getattr(signer, name), getattr(now, name))
    ctx.set(signer.signs, any(key))
    ctx.set(signer.start, 1)
    await ctx.tick()
    ctx.set(signer.start, 0)
    cycles = 1
    while not ctx.get(signer.done):
        assert ctx.get(signer.busy)
        await ctx.tick()
        cycles += 1
    await ctx.tick()
    assert not ctx.get(signer.busy)
    record = bytearray()
    for index in range(RECORD.size):
        ctx.set(signer.index, index)
        await ctx.tick()
        record.append(ctx.get(signer.byte))
    return bytes(record), cycles


def records(key, *nows):
    """Records and cycles, one after the other from reset on."""
    found = []

    async def testbench(ctx):
        found.extend([await make(ctx, key, now) for now in nows])

    BENCH.run(testbench)
    return found


@examples(12)
@given(key=keys, situations=st.lists(situations, min_size=1, max_size=2))
def test_records_like_the_reference(key, situations):
    nows = [SimpleNamespace(**situation) for situation in situations]
    assert [record for record, _ in records(key, *nows)] == [expected(key, now) for now in nows]


@examples(12)
@given(situation=situations)
def test_unsigned_without_a_key(situation):
    now = SimpleNamespace(**situation)
    ((record, _),) = records(NO_KEY, now)
    assert record == expected(NO_KEY, now)
    assert (record[1], record[30:]) == (Algorithm.UNSIGNED, bytes(8))


@examples(25)
@given(stamp=numbers, uptime=numbers, this_boot=st.booleans())
def test_age_of_a_record(stamp, uptime, this_boot):
    """Uptime less time stamp, borrowing from byte to byte; the whole uptime for an earlier power-up."""
    now = SimpleNamespace(**{**SITUATION, "stamp": stamp, "uptime": uptime, "this_boot": this_boot})
    ((record, _),) = records(NO_KEY, now)
    age = int.from_bytes(record[RECORD.slice("age")], "little")
    assert age == ((uptime - stamp) % 2**32 if this_boot else uptime)
    flags = int.from_bytes(record[RECORD.slice("flags")], "little")
    assert bool(flags & Flags.AGE_UNKNOWN) == (not this_boot)


def test_time():
    now = SimpleNamespace(**SITUATION)
    (_, first), (_, second) = records(KEY, now, now)
    assert second < first < 3000
    assert second < 2000
    ((_, unsigned),) = records(NO_KEY, now)
    assert unsigned < 200
