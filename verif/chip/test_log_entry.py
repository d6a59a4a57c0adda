"""Entries of the log by themselves: what is said of one that is read, and which one is written next."""

from __future__ import annotations

from chip.log_bench import Entry, Event
from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from sealchip.interface import ENTRY, Flags, Kind, StateClass
from sealchip.log_entry import EntryStore

BENCH = Bench(EntryStore)
NOTHING = bytes(ENTRY.size)
#: What an entry is written from: the CRC comes from elsewhere.
OURS = ENTRY.offsets["crc"]

numbers = st.sampled_from([0, 1, 0xFF, 0x100, 0xFFFF, 0xFF_FFFF, 0xFFFF_FFFE]) | st.integers(0, 0xFFFF_FFFE)
entries = st.builds(
    Entry,
    boot=numbers,
    counter=numbers,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.integers(0, 0xFFFF),
    stamp=st.integers(0, 0xFFFF_FFFF),
    baseline_mv=st.integers(0, 0xFFFF),
    acked=st.booleans(),
)
bits = st.tuples(st.integers(0, ENTRY.size - 1), st.sampled_from([0, *(1 << n for n in range(8))]))
events = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.integers(0, 0xFFFF),
    excursions=st.sampled_from([0, 1, 0x80]) | st.integers(0, 0xFF),
    baseline_mv=st.integers(0, 0xFFFF),
)


class Store:
    """The store with a reference beside it."""

    def __init__(self, ctx):
        self.ctx, self.dut, self.newest = ctx, BENCH.dut, NOTHING

    def _now(self, *, first, before):
        self.ctx.set(self.dut.first, first)
        self.ctx.set(self.dut.before, before)
        return NOTHING if first and not before else self.newest

    async def read(self, raw, keep, **now):
        """Read a slot with the bytes `raw`."""
        ctx, dut, newest = self.ctx, self.dut, self._now(**now)
        ctx.set(dut.of_loaded, 0)
        for index, byte in enumerate(raw):
            ctx.set(dut.index, index)
            ctx.set(dut.i, ~byte)
            await ctx.tick()
            ctx.set(dut.i, byte)
            ctx.set(dut.read, 1)
            await ctx.tick()
            ctx.set(dut.read, 0)
        boot, counter, zeros = (ENTRY.slice(name) for name in ("boot", "counter", "zeros"))
        greater = raw[counter][::-1] > newest[counter][::-1]
        assert (ctx.get(dut.newer), ctx.get(dut.same_boot)) == (greater, raw[boot] == newest[boot])
        assert (ctx.get(dut.whole), ctx.get(dut.blank)) == (not any(raw[zeros]), set(raw) == {0xFF})
        assert ctx.get(dut.acked) == (raw[-1] != 0xFF)
        ctx.set(dut.of_loaded, 1)
        for index, byte in enumerate(raw):
            ctx.set(dut.index, index)
            await ctx.tick()
            assert ctx.get(dut.byte) == byte
        # Zeros are what valid entries alone have, and only those are kept.
        if keep and ctx.get(dut.whole):
            self.newest = raw
            ctx.set(dut.keep, 1)
        await ctx.tick()
        ctx.set(dut.keep, 0)

    async def write(self, event, uptime, **now):
        """Write the entry of `event`."""
        ctx, dut, newest = self.ctx, self.dut, self._now(**now)
        ctx.set(dut.event, event.payload())
        ctx.set(dut.of_loaded, 0)
        told = bytearray()
        for index in range(OURS):
            ctx.set(dut.index, index)
            await ctx.tick()
            ctx.set(dut.uptime, uptime >> 8 * ctx.get(dut.uptime_index) & 0xFF)
            told.append(ctx.get(dut.written))
            ctx.set(dut.write, 1)
            await ctx.tick()
            ctx.set(dut.write, 0)
        boot, counter = (int.from_bytes(newest[ENTRY.slice(name)], "little") for name in ("boot", "counter"))
        unobserved = event.kind == Kind.BOOT and now["before"]
        expected = Entry(
            boot + now["first"],
            counter + 1,
            event.kind,
            event.state,
            event.loop_mv,
            Flags.UNOBSERVED * unobserved | Flags.EXCURSIONS * bool(event.excursions) | event.excursions << 8,
            uptime,
            event.baseline_mv,
        )
        assert bytes(told) == expected.encode()[:OURS]
        self.newest = bytes(told) + self.newest[OURS:]


nows = st.fixed_dictionaries({"first": st.booleans(), "before": st.booleans()})
steps = st.one_of(
    st.tuples(st.just("read"), st.just(None) | st.tuples(entries, bits), st.booleans(), nows),
    st.tuples(st.just("write"), events, st.integers(0, 0xFFFF_FFFF), nows),
)


@examples(25)
@given(story=st.lists(steps, min_size=2, max_size=6))
def test_entries_like_the_reference(story):
    """Entries that are read, damaged and blank ones among them, and entries that follow from the newest."""

    async def testbench(ctx):
        store = Store(ctx)
        for name, what, how, now in story:
            if name == "write":
                await store.write(what, how, **now)
                continue
            raw = bytearray(what[0].encode() if what else b"\xff" * ENTRY.size)
            if what:
                place, bit = what[1]
                raw[place] ^= bit
            await store.read(bytes(raw), how, **now)

    BENCH.run(testbench)
