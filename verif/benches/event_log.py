"""The firmware's event log with a reference of its flash and the invariants that always hold for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from meterseal.domain.image import crc16
from meterseal.domain.layout import pack, unpack
from sealchip.core import firmware
from sealchip.core.assembler import Assembler, at, imm
from sealchip.core.firmware import calendar, flash, log, main
from sealchip.core.firmware.layout import Command, Memory, Out, Public, StatusOut
from sealchip.core.firmware.log import SECTOR_SLOTS
from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SLOT_BYTES, Flags, Kind, StateClass
from verif.benches.firmware import Nor, PowerFailureError, Rig

__all__ = ["SMALL", "Builder", "Entry", "Event", "Log", "Model", "Ring", "counters", "slot_address"]

#: Slots of a sector in most tests, so that a few events fill the ring; the program is the same.
SMALL = 4
#: Address at which the seal's part of the flash begins in these tests; its bytes all differ.
FLASH_BASE = 0x3BC000
BAUD = 2400
#: Offset of the CRC in an entry, after all that it covers.
CRC = ENTRY.offsets["crc"]
BLANK = b"\xff" * ENTRY.size
#: Address of the number of records made.
_RECORDS = Memory.RECORD
#: Opcodes of the flash.
PROGRAM, ERASE = 0x02, 0x20


@cache
def log_program(sector_slots):
    """Return the firmware's log with a ring of sectors of `sector_slots` slots, without other parts.

    A record counts as made when its entry is found.
    """
    a = Assembler()
    main.boot(a)
    calendar.boot(a)
    a.copy(imm(0), at(_RECORDS))
    flash.wake(a)
    a.jump("log.restore")
    main.emit(a)
    flash.emit(a, FLASH_BASE)
    log.emit(a, sector_slots)
    a.label("record")
    a.load(at(_RECORDS))
    a.add(imm(1))
    a.store(at(_RECORDS))
    a.load(imm(1))
    for name in ("identity.check", "identity.update", "challenge", "calendar.set"):
        a.label(name)
    a.jump("answer")
    a.label("calendar.second")
    a.out(Out.SECOND)
    a.jump("main")
    return a.words()


@dataclass
class Event:
    """Describes an event for the log."""

    kind: int = Kind.OPENED
    state: int = StateClass.OPEN
    loop_mv: int = 0xFFFF
    excursions: int = 0
    baseline_mv: int = 0xFFFF

    def encode(self):
        """Return the bytes at `In.EVENT`."""
        values = {name: getattr(self, name) for name in ("kind", "state", "loop_mv", "baseline_mv")}
        raw = pack(ENTRY, dict.fromkeys(ENTRY.offsets, 0) | values | {"flags": self.excursions << 8})
        return raw[ENTRY.offsets["kind"] : ENTRY.offsets["stamp"]]


@dataclass
class Entry:
    """One entry as stored in flash."""

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
        """Return the valid entry in one slot, or None."""
        if crc16(raw[:CRC]).to_bytes(2, "big") != raw[ENTRY.slice("crc")] or any(raw[ENTRY.slice("zeros")]):
            return None
        return cls.read(raw)

    @classmethod
    def read(cls, raw):
        """Decode the bytes, valid or not."""
        numbers = {name: int.from_bytes(value, "little") for name, value in unpack(ENTRY, raw).items()}
        del numbers["zeros"], numbers["crc"]
        return cls(**numbers | {"acked": numbers["acked"] != 0xFF})


def slot_address(slot):
    return FLASH_LOG_BASE + slot * FLASH_SLOT_BYTES


class Ring(Nor):
    """The log's flash, whose entries are read by the layout alone."""

    def __init__(self, sector_slots=SMALL):
        super().__init__(base=FLASH_BASE, sector=sector_slots * FLASH_SLOT_BYTES)
        self.slots = 2 * sector_slots

    def write(self, slot, raw):
        raw = raw.encode() if isinstance(raw, Entry) else raw
        self.content[slot_address(slot) : slot_address(slot) + len(raw)] = raw

    def slot(self, slot):
        return bytes(self.content[slot_address(slot) : slot_address(slot) + ENTRY.size])

    def entries(self):
        """Return the valid entries, oldest first."""
        found = [entry for slot in range(self.slots) if (entry := Entry.decode(self.slot(slot)))]
        return sorted(found, key=lambda entry: entry.counter)

    def program(self, place, data):
        assert set(self.content[place : place + len(data)]) == {0xFF}, "programmed where flash is not blank"
        assert len(data) > 1 or not any(data), "an acknowledgement is not a byte of zero"
        super().program(place, data)


class Log:
    """Runs the log on a flash, as reporter, slave and loop monitor use it.

    `is_ours` is set if the entry that was found last is of this power-up.
    """

    def __init__(self, ring, memory=b""):
        self.ring, self.is_ours = ring, None
        self._is_alone = ring.slots != 2 * SECTOR_SLOTS
        if self._is_alone:
            self.rig = Rig(log_program(ring.slots // 2), memory, ring)
        else:
            self.rig = Rig(*firmware.build(FLASH_BASE, BAUD), ring)
        self.power_up = self.rig.power_up
        self.idle = self.rig.idle
        self.acknowledge = self.rig.acknowledge

    def check_others(self):
        """Check that the log alone gives no output that belongs to other parts of the firmware."""
        if self._is_alone:
            assert (self.rig.baud, self.rig.seed, self.rig.lock_ticks) == (None, 0, 0)
            assert not any(self.rig.public[: Public.UPTIME])

    @property
    def pending(self):
        return StatusOut.PENDING in self.rig.status

    def append(self, event, uptime=0):
        """Offer `event` at `uptime` until it is taken."""
        self.rig.machine.memory[Memory.UPTIME : Memory.UPTIME + 4] = uptime.to_bytes(4, "little")
        self.rig.append(event.encode())

    def oldest(self):
        """Return the oldest unacknowledged entry, if there is one."""
        return self._found() if self.rig.oldest() else None

    def nth(self, n):
        """Return the entry `n` before the newest, if there is one."""
        return self._found() if self.rig.command(Command.FETCH, n) else None

    def has_older(self, n):
        """Return whether there is an older entry than that; no record is made."""
        found, made = self.rig.command(Command.FETCH, n | 0x40), self._made()
        assert not (made and self._is_alone)
        return found

    def _made(self):
        """Return how many records the log alone has had made since the last call."""
        memory = self.rig.machine.memory
        made, memory[_RECORDS] = memory[_RECORDS], 0
        return made

    def _found(self):
        memory = bytes(self.rig.machine.memory)
        raw, newest = memory[Memory.ENTRY :][: ENTRY.size], memory[Memory.NEWEST :][: ENTRY.size]
        assert self._made() == 1 or not self._is_alone
        # The firmware marks a record as of an earlier power-up by the same comparison.
        self.is_ours = raw[0] == newest[0]
        return Entry.read(raw)

    def unacknowledged(self):
        """Acknowledge all entries and return the counters of those that were not yet acknowledged."""
        found = []
        while entry := self.oldest():
            found.append(entry.counter)
            self.acknowledge()
        return found

    def writes(self):
        """Return the writes to the flash since the last call: opcode, place, number of bytes of data."""
        commands, self.ring.commands = self.ring.commands, []
        return [command for command in commands if command[0] in (PROGRAM, ERASE)]


def counters(entries):
    return [entry.counter for entry in entries]


class Builder:
    """Builds a flash as the log leaves it: slot after slot, each sector erased before its first slot."""

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
        self.ring.torn = torn or 0
        for position in range(self.ring.sector):
            self.ring.change(slot_address(self.slot) + position, 0xFF, torn is not None)

    def entry(self):
        if self.at_sector():
            self.erase()
        entry = Entry(self.boot, self.counter + 1, stamp=self.counter, baseline_mv=4000 + self.counter)
        self.history.append(entry)
        self.ring.write(self.slot, entry)
        self.slot = (self.slot + 1) % self.ring.slots

    def torn(self, length):
        """Cut the power `length` bytes into an entry; in a sector's first slot the next boot erases it."""
        if self.at_sector():
            self.erase()
        self.ring.write(self.slot, Entry(self.boot, self.counter + 1).encode()[:length])
        self.boot += 1
        if not self.at_sector():
            self.slot = (self.slot + 1) % self.ring.slots

    def acknowledge(self, number):
        """Mark the `number` oldest entries as acknowledged."""
        for slot in range(self.ring.slots):
            entry = Entry.decode(self.ring.slot(slot))
            if entry and entry.counter <= number:
                entry.acked = True
                self.ring.write(slot, entry)

    def readable(self):
        """Return the entries that a restore leaves: at the end of a sector the next one is erased."""
        lost = range(self.slot, self.slot + self.sector_slots) if self.at_sector() else ()
        slots = [self.ring.slot(slot) for slot in range(self.ring.slots) if slot not in lost]
        found = [entry for raw in slots if (entry := Entry.decode(raw))]
        return sorted(found, key=lambda entry: entry.counter)


class Model:
    """The invariants of the log, which hold whatever happens to it."""

    def __init__(self, builder):
        self.log, self.ring = Log(builder.ring), builder.ring
        self.history = list(builder.history)  # every entry that ever stood in flash whole
        self.acknowledged = {entry.counter for entry in self.ring.entries() if entry.acked}
        self.loaded = None
        self.boot = 0
        self.uptime = 1000
        self.cuts = iter(())  # how the power fails after each power-up, as `Nor.power_up` takes it

    def power_up(self, **cut):
        try:
            self.log.power_up(**cut or next(self.cuts, {}))
        except PowerFailureError:
            self.power_up()
            return
        self.loaded = None
        writes = self.log.writes()
        assert len(writes) <= 1
        assert all(self.begins_sector(write) for write in writes), "a power-up has programmed"
        boot = max((entry.boot for entry in self.ring.entries()), default=0) + 1
        assert boot >= self.boot, "the boot count has decreased"
        newest = self.ring.entries()[-1:]
        assert self.log.rig.baseline_mv == (newest[0].baseline_mv if newest else 0xFFFF)
        self.boot = boot
        self.check()

    def begins_sector(self, write):
        """Return whether `write` is an erase of one of the ring's sectors."""
        return write in [(ERASE, FLASH_LOG_BASE + n * self.ring.sector, 0) for n in range(2)]

    def check(self):
        """Check that the flash holds the end of the history, without a gap, and at least one sector."""
        held = self.ring.entries()
        assert counters(held) == counters(self.history)[-len(held) :] if held else not self.history
        for entry in held:
            assert entry.acked == (entry.counter in self.acknowledged)
            known = self.history[entry.counter - 1]
            assert entry.baseline_mv == known.baseline_mv
            assert (entry.boot, entry.kind, entry.stamp) == (known.boot, known.kind, known.stamp)
        slots = [self.ring.slot(slot) for slot in range(self.ring.slots)]
        torn = sum(raw != BLANK and Entry.decode(raw) is None for raw in slots)
        assert len(held) + torn >= min(len(self.history), self.ring.slots // 2), "only the oldest sector goes"
        if self.loaded is not None and self.loaded not in counters(held):
            self.loaded = None  # given up
        self.log.check_others()

    def waiting(self):
        return [entry for entry in self.ring.entries() if entry.counter not in self.acknowledged]

    def learn(self, event=None):
        """Check after a power failure that event and acknowledgement are there whole, or not at all."""
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

    def append(self, event):
        self.uptime += 7
        before = len(self.history)
        try:
            self.log.append(event, self.uptime)
            self.learn(event)
            assert len(self.history) == before + 1, "an event was taken that is not in flash"
            self.log.idle()
        except PowerFailureError:
            if len(self.history) == before:
                self.learn(event)
            self.power_up()
            return
        assert self.log.pending, "no event is pending after an event was taken"
        (opcode, place, length), *erases = self.log.writes()
        raw = self.ring.content[place : place + ENTRY.size]
        assert (opcode, length) == (PROGRAM, ENTRY.offsets["acked"])
        assert Entry.decode(bytes(raw)) == self.history[-1]
        filled = (place + FLASH_SLOT_BYTES) % self.ring.sector == 0
        assert len(erases) == filled
        assert all(self.begins_sector(write) for write in erases)

    def oldest(self):
        try:
            entry, waiting = self.log.oldest(), self.waiting()
        except PowerFailureError:
            self.power_up()
            return
        assert counters([entry] if entry else []) == counters(waiting[:1])
        assert self.log.pending or not waiting
        self.fetched(entry)
        self.loaded = entry.counter if entry else None

    def nth(self, n):
        try:
            entry, has_older, held = self.log.nth(n), self.log.has_older(n), self.ring.entries()
        except PowerFailureError:
            self.power_up()
            return
        assert counters([entry] if entry else []) == counters(held[-1 - n :][:1] if n < len(held) else [])
        self.fetched(entry)
        assert has_older == (n + 1 < len(held))

    def fetched(self, entry):
        if entry:
            known = self.history[entry.counter - 1]
            # The record is made in place of time stamp and flags.
            assert entry == replace(
                known, acked=entry.counter in self.acknowledged, stamp=entry.stamp, flags=entry.flags
            )
            assert self.log.is_ours == (entry.boot == self.boot)
        assert not self.log.writes()

    def acknowledge(self):
        expected = self.loaded
        try:
            self.log.acknowledge()
        except PowerFailureError:
            self.learn()
            self.power_up()
            return
        writes = self.log.writes()
        if expected is None:
            assert not writes
            return
        places = [slot_address(slot) for slot in range(self.ring.slots)]
        assert writes in [[(PROGRAM, place + ENTRY.offsets["acked"], 1)] for place in places]
        self.acknowledged.add(expected)
        self.loaded = None

    def burst(self, number):
        for _ in range(number):
            spread = 0x9E37 * (len(self.history) + 1)
            loop_mv, excursions, baseline_mv = spread & 0xFFFF, spread >> 4 & 0xFF, spread >> 1 & 0xFFFF
            self.append(Event(loop_mv=loop_mv, excursions=excursions, baseline_mv=baseline_mv))

    def deliver(self, number):
        for _ in range(number):
            self.oldest()
            self.acknowledge()

    def survive(self, cuts):
        """Let the power fail at each of `cuts`, one after each power-up, while events come and go."""
        self.cuts = iter(cuts)
        self.power_up()
        while (self.ring.cut, self.ring.silence) != (None, None):
            self.burst(1)
            self.deliver(1)
            self.check()

    def end(self):
        """Check that the rest is reported after one more power-up, each event once and in order."""
        self.power_up()
        assert self.log.unacknowledged() == counters(self.waiting())
        assert not self.log.pending
