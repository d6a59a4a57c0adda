"""The event log on a flash of its own, what it should leave in it, and what must always be true of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from chip.support import Bench, Flash, PowerFailureError

from meterseal.seal.image import crc16
from meterseal.seal.layout import pack, unpack
from sealchip.event_log import SECTOR_SLOTS, EventLog, LogCommand
from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SLOT_BYTES, Flags, Kind, StateClass

__all__ = ["SMALL", "Builder", "Entry", "Event", "Log", "Model", "Ring", "counters", "with_log"]

#: Slots of a sector in most tests, so that a short story fills the ring; the logic is the same.
SMALL = 4
#: Where the CRC stands in an entry: behind all that it covers.
CRC = ENTRY.offsets["crc"]


class Powered(wiring.Component):
    """The log with a switch for its power."""

    def __init__(self, sector_slots):
        super().__init__({})
        self.log, self.off = EventLog(sector_slots=sector_slots), Signal()
        self.uptime = Signal(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.log = ResetInserter(self.off)(self.log)
        m.d.sync += self.log.uptime.eq(self.uptime.word_select(self.log.uptime_index, 8))
        return m


RINGS = {slots: Bench(Powered, slots) for slots in (SMALL, SECTOR_SLOTS)}


@dataclass
class Event:
    """What the log is to keep."""

    kind: int = Kind.OPENED
    state: int = StateClass.OPEN
    loop_mv: int = 0xFFFF
    excursions: int = 0
    baseline_mv: int = 0xFFFF

    def payload(self):
        return asdict(self)


@dataclass
class Entry:
    """One entry as it stands in flash."""

    boot: int
    counter: int
    kind: int = Kind.OPENED
    state: int = StateClass.OPEN
    loop_mv: int = 0xFFFF
    flags: int = 0
    stamp: int = 0
    baseline_mv: int = 0xFFFF
    acked: bool = False

    def encode(self):
        values = {field.name: getattr(self, field.name, 0) for field in ENTRY.fields}
        raw = pack(ENTRY, values | {"acked": 0 if self.acked else 0xFF})
        return raw[:CRC] + crc16(raw[:CRC]).to_bytes(2, "big") + raw[ENTRY.offsets["acked"] :]

    @classmethod
    def decode(cls, raw):
        """The entry in one slot; None where there is none."""
        if crc16(raw[:CRC]).to_bytes(2, "big") != raw[ENTRY.slice("crc")] or any(raw[ENTRY.slice("zeros")]):
            return None
        fields = unpack(ENTRY, raw)
        numbers = {name: int.from_bytes(value, "little") for name, value in fields.items()}
        del numbers["zeros"], numbers["crc"]
        return cls(**numbers | {"acked": numbers["acked"] != 0xFF})


def slot_address(slot):
    return FLASH_LOG_BASE + slot * FLASH_SLOT_BYTES


class Ring(Flash):
    """The log's flash, with its entries as they are read by somebody who knows only the layout."""

    def __init__(self, sector_slots, entries=()):
        super().__init__(sector=sector_slots * FLASH_SLOT_BYTES)
        self.slots = 2 * sector_slots
        for slot, raw in dict(entries).items():
            self.write(slot, raw)

    def write(self, slot, raw):
        raw = raw.encode() if isinstance(raw, Entry) else raw
        self.content[slot_address(slot) : slot_address(slot) + len(raw)] = raw

    def slot(self, slot):
        return bytes(self.content[slot_address(slot) : slot_address(slot) + ENTRY.size])

    def entries(self):
        """Valid entries, oldest first."""
        found = [entry for slot in range(self.slots) if (entry := Entry.decode(self.slot(slot)))]
        return sorted(found, key=lambda entry: entry.counter)


class Log:
    """The log as its users see it, running on `flash`."""

    def __init__(self, ctx, dut, flash):
        self.ctx, self.dut, self.log, self.flash = ctx, dut, dut.log, flash

    async def power_up(self, **cut):
        """Off, on, and until the log is restored."""
        ctx, bus = self.ctx, self.log.flash
        for signal in (bus.strobe, bus.done, bus.index, self.log.start, self.log.i.valid):
            ctx.set(signal, 0)
        ctx.set(self.dut.off, 1)
        await ctx.tick()
        ctx.set(self.dut.off, 0)
        ctx.set(self.log.enable, 1)
        self.flash.power_up(**cut)
        await self._until(self.log.ready)

    async def _until(self, signal, limit=2_000):
        for _ in range(limit):
            if await self.flash.serve(self.ctx, self.log.flash, signal):
                return
        raise AssertionError(f"waited in vain for {signal}")

    async def append(self, event, uptime=0):
        """Hand over `event` at `uptime`, which holds until the log has written it."""
        ctx, log = self.ctx, self.log
        ctx.set(self.dut.uptime, uptime)
        ctx.set(log.i.payload, event.payload())
        ctx.set(log.i.valid, 1)
        await self._until(log.i.ready)
        ctx.set(log.i.valid, 0)
        ctx.set(self.dut.uptime, 0xDEADBEEF)

    async def idle(self):
        """Let an erase behind an append begin and end."""
        for _ in range(6):
            await self.flash.serve(self.ctx, self.log.flash)

    async def command(self, command, nth=0):
        """The loaded entry, if one was found."""
        ctx, log = self.ctx, self.log
        ctx.set(log.command, command)
        ctx.set(log.nth, nth)
        ctx.set(log.start, 1)
        await self._until(log.done)
        ctx.set(log.start, 0)
        if command == LogCommand.ACKNOWLEDGE or not ctx.get(log.found):
            return None
        raw = []
        for address in range(ENTRY.size):
            ctx.set(log.address, address)
            await ctx.tick()
            raw.append(ctx.get(log.byte))
        return Entry.decode(bytes(raw))

    async def oldest(self):
        return await self.command(LogCommand.FETCH_OLDEST)

    async def acknowledge(self):
        await self.command(LogCommand.ACKNOWLEDGE)

    async def nth(self, n):
        return await self.command(LogCommand.FETCH_NTH, n)

    async def unacknowledged(self):
        """Counters of all unacknowledged entries; acknowledges them."""
        counters = []
        while entry := await self.oldest():
            counters.append(entry.counter)
            await self.acknowledge()
        assert not self.ctx.get(self.log.pending)
        return counters


def with_log(flash, story, *, sector_slots=SMALL):
    """Run the coroutine `story(log)` on a log that has `flash`."""
    bench = RINGS[sector_slots]

    async def testbench(ctx):
        await story(Log(ctx, bench.dut, flash))

    bench.run(testbench)


def counters(entries):
    return [entry.counter for entry in entries]


class Builder:
    """A flash as the log leaves it, written by rule: slot after slot, each sector erased before its first."""

    def __init__(self, sector_slots=SMALL):
        self.ring = Ring(sector_slots)
        self.sector_slots, self.slot, self.boot = sector_slots, 0, 1
        self.history = []

    @property
    def counter(self):
        return len(self.history)

    def at_sector(self):
        return self.slot % self.sector_slots == 0

    def erase(self, torn=None):
        for position in range(self.ring.sector):
            address = slot_address(self.slot) + position
            self.ring.torn = torn or 0
            self.ring._change(address, 0xFF, torn is not None)

    def entry(self):
        if self.at_sector():
            self.erase()
        entry = Entry(self.boot, self.counter + 1, stamp=self.counter, baseline_mv=4000 + self.counter)
        self.history.append(entry)
        self.ring.write(self.slot, entry)
        self.slot = (self.slot + 1) % self.ring.slots

    def torn(self, length):
        """Power fails `length` bytes into an entry; in a sector's first slot the next boot erases it."""
        if self.at_sector():
            self.erase()
        self.ring.write(self.slot, Entry(self.boot, self.counter + 1).encode()[:length])
        self.boot += 1
        if not self.at_sector():
            self.slot = (self.slot + 1) % self.ring.slots

    def acknowledge(self, number):
        """Mark the `number` oldest."""
        for slot in range(self.ring.slots):
            entry = Entry.decode(self.ring.slot(slot))
            if entry and entry.counter <= number:
                entry.acked = True
                self.ring.write(slot, entry)

    def readable(self):
        """Entries that a restore leaves: at the end of a sector the next one is erased."""
        lost = range(self.slot, self.slot + self.sector_slots) if self.at_sector() else ()
        slots = [self.ring.slot(slot) for slot in range(self.ring.slots) if slot not in lost]
        found = [entry for raw in slots if (entry := Entry.decode(raw))]
        return sorted(found, key=lambda entry: entry.counter)


class Model:
    """What must be true of the log, whatever happens to it."""

    def __init__(self, log, builder):
        self.log, self.ring = log, log.flash
        self.history = list(builder.history)  # every entry that ever stood in flash whole
        self.acknowledged = {entry.counter for entry in self.ring.entries() if entry.acked}
        self.loaded = None
        self.boot = 0
        self.uptime = 1000
        self.cuts = iter(())  # where the power fails after each power-up, as `Log.power_up` takes it

    async def power_up(self, **cut):
        try:
            await self.log.power_up(**cut or next(self.cuts, {}))
        except PowerFailureError:  # in an erase
            await self.power_up()
            return
        self.loaded = None
        boot = max((entry.boot for entry in self.ring.entries()), default=0) + 1
        assert boot >= self.boot, "the boot count never goes back"
        newest = self.ring.entries()[-1:]
        baseline_mv = self.log.ctx.get(self.log.log.baseline_mv)
        assert baseline_mv == (newest[0].baseline_mv if newest else 0xFFFF)
        self.boot = boot
        self.check()

    def check(self):
        """Flash holds the end of the history, without a hole, and at least one sector of it."""
        held = self.ring.entries()
        assert counters(held) == counters(self.history)[-len(held) :] if held else not self.history
        for entry in held:
            assert entry.acked == (entry.counter in self.acknowledged)
            known = self.history[entry.counter - 1]
            assert entry.baseline_mv == known.baseline_mv
            assert (entry.boot, entry.kind, entry.stamp) == (known.boot, known.kind, known.stamp)
        blank = b"\xff" * ENTRY.size
        slots = [self.ring.slot(slot) for slot in range(self.ring.slots)]
        torn = sum(raw != blank and Entry.decode(raw) is None for raw in slots)
        assert len(held) + torn >= min(len(self.history), SMALL), "only the oldest sector is given up"
        if self.loaded is not None and self.loaded not in counters(held):
            self.loaded = None  # given up

    def waiting(self):
        return [entry for entry in self.ring.entries() if entry.counter not in self.acknowledged]

    def learn(self, event=None):
        """What a power failure has left: the event and the acknowledgement are there whole, or not at all."""
        held = self.ring.entries()
        if held and held[-1].counter == len(self.history) + 1:
            self.remember(held[-1], event)
        for entry in held:
            if entry.acked and entry.counter == self.loaded:
                self.acknowledged.add(entry.counter)

    def remember(self, entry, event):
        unobserved = event.kind == Kind.BOOT and self.boot != 1
        excursions = Flags.EXCURSIONS * bool(event.excursions) | event.excursions << 8
        assert entry == Entry(
            self.boot,
            len(self.history) + 1,
            event.kind,
            event.state,
            event.loop_mv,
            Flags.UNOBSERVED * unobserved | excursions,
            self.uptime,
            event.baseline_mv,
        )
        self.history.append(entry)

    async def append(self, event):
        self.uptime += 7
        before = len(self.history)
        try:
            await self.log.append(event, self.uptime)
            self.learn(event)
            assert len(self.history) == before + 1, "taken, so it stands in flash"
            assert self.log.ctx.get(self.log.log.pending), "even where the erase behind it gives others up"
            await self.log.idle()
        except PowerFailureError:
            if len(self.history) == before:
                self.learn(event)
            await self.power_up()

    async def oldest(self):
        entry, waiting = await self.log.oldest(), self.waiting()
        assert counters([entry] if entry else []) == counters(waiting[:1])
        self.fetched(entry)
        self.loaded = entry.counter if entry else None

    async def nth(self, n):
        entry, held = await self.log.nth(n), self.ring.entries()
        assert counters([entry] if entry else []) == counters(held[-1 - n :][:1] if n < len(held) else [])
        self.fetched(entry)

    def fetched(self, entry):
        if entry:
            assert self.log.ctx.get(self.log.log.this_boot) == (entry.boot == self.boot)

    async def acknowledge(self):
        expected = self.loaded
        try:
            await self.log.acknowledge()
        except PowerFailureError:
            self.learn()
            await self.power_up()
            return
        if expected is not None:
            self.acknowledged.add(expected)
        self.loaded = None

    async def burst(self, number):
        for _ in range(number):
            spread = 0x9E37 * (len(self.history) + 1)
            loop_mv, excursions, baseline_mv = spread & 0xFFFF, spread >> 4 & 0xFF, spread >> 1 & 0xFFFF
            await self.append(Event(loop_mv=loop_mv, excursions=excursions, baseline_mv=baseline_mv))

    async def deliver(self, number):
        for _ in range(number):
            await self.oldest()
            await self.acknowledge()

    async def survive(self, cuts):
        """The power fails at each of `cuts`, one after each power-up, while events come and go."""
        self.cuts = iter(cuts)
        await self.power_up()
        while self.ring.cut is not None:
            await self.burst(1)
            await self.deliver(1)
            self.check()

    async def end(self):
        """What is left comes after one more power-up, each once and in order."""
        await self.power_up()
        assert await self.log.unacknowledged() == counters(self.waiting())
