"""Theorems about the event log: written before it is told, counted without a step back, kept until told."""

from __future__ import annotations

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem, unchanged
from sealchip.event_log import SECTOR_SLOTS, EventLog, LogCommand
from sealchip.log_program import State
from sealchip.spi_flash import FlashOp

from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SLOT_BYTES

ANY_FLASH = "any content of the flash, at any speed; 2 x 64 slots; commands hold until done"
ACKED = ENTRY.offsets["acked"]


class Flash:
    """A flash with any content: it exchanges the bytes asked for one by one, and is then done, some time.

    Each index rests for a cycle or more before its byte is exchanged, as `SpiFlash` promises; without `rest`
    examples are shorter.
    """

    def __init__(self, m: Module, log: EventLog, rest: int) -> None:
        self.bus = bus = log.flash
        exchanged = Signal()
        self.complete = exchanged
        self.rested = rested = Signal(init=not rest)
        m.d.sync += rested.eq(bus.start & ~bus.strobe & ~bus.done | (not rest))
        index = Signal(8)
        erases = bus.op == FlashOp.ERASE
        #: For examples: no pauses, and blank.
        self.fast, self.blank = ~(bus.start & rested) | bus.strobe | bus.done, bus.o == 0xFF
        m.d.comb += [
            bus.index.eq(index),
            bus.o.eq(AnySeq(8)),
            bus.sum_ok.eq(AnySeq(1)),
            bus.strobe.eq(bus.start & ~erases & ~exchanged & rested & AnySeq(1)),
            bus.done.eq(bus.start & (erases | exchanged) & AnySeq(1)),
            Assert(index < bus.length),
            Assert(~(bus.start & erases) | ((index == 0) & ~exchanged)),
            Assert((index == 0) | (bus.start & ~exchanged)),
            Assert(~exchanged | bus.start),
            Assert(~rested | bus.start | (not rest)),
        ]
        with m.If(bus.strobe):
            m.d.sync += index.eq(index + 1)
            with m.If(index == bus.length - 1):
                m.d.sync += [index.eq(0), exchanged.eq(1)]
        with m.If(bus.done):
            m.d.sync += exchanged.eq(0)

    @property
    def ports(self) -> tuple[Value, ...]:
        return self.bus.index, self.bus.o, self.bus.strobe, self.bus.done, self.bus.sum_ok

    def whole(self, m: Module, dut: Subject) -> Signal:
        """The zeros of the slot that was read last were zeros; so are those that they are compared with."""
        whole, zeros = Signal(name="reference_whole"), ENTRY.slice("zeros")
        reads = self.bus.start & (self.bus.op == FlashOp.READ)
        store = dut.part("entry")
        for n in range(zeros.start, zeros.stop):
            here = reads & (self.bus.index == n)
            with m.If(here & self.bus.strobe):
                m.d.sync += whole.eq((self.bus.o == 0) & (whole | (n == zeros.start)))
            m.d.comb += [
                *(Assert(dut.row(Cat(C(n, 5), C(half, 2)), "entry", "memory") == 0) for half in (2, 3)),
                Assert(~(here & self.rested) | (store.byte == 0)),
            ]
        m.d.comb += Assert(whole == store.whole)
        return whole

    def valid(self, m: Module, dut: Subject, progress: Progress) -> Signal:
        """Whether the slot that was read last is a valid entry, in the last cycle of its state."""
        valid = past(m, self.bus.sum_ok & self.whole(m, dut))
        looks = progress.does(State.SCAN, State.READ_OLDEST)
        m.d.comb += Assert(~looks | (progress.found[0] == valid))
        return valid

    def written(self, m: Module, offset: int, width: int) -> Signal:
        """The last bytes that were programmed from `offset` of an entry on, low byte first."""
        value = Signal(8 * width, name="written")
        entry = (self.bus.op == FlashOp.PROGRAM) & (self.bus.length == ACKED)
        for n in range(width):
            with m.If(self.bus.strobe & entry & (self.bus.index == offset + n)):
                m.d.sync += value.word_select(n, 8).eq(self.bus.i)
        return value


def surroundings(m: Module, log: EventLog, rest: int) -> tuple[Subject, Flash]:
    """The log on a flash, between users that hold what they ask until it is done."""
    flash = Flash(m, log, rest)
    dut = Subject(m, log, driven=flash.ports)
    asks = past(m, log.start & ~log.done)
    offers = past(m, log.i.valid & ~log.i.ready)
    m.d.comb += [
        Assume(~asks | (log.start & unchanged(m, log.command))),
        Assume(~offers | (log.i.valid & unchanged(m, log.i.payload))),
        Assume(Value.cast(log.command).matches(*LogCommand)),
    ]
    return dut, flash


class Progress:
    """How far the log is, and the invariant that it does each step as the table says, in its time."""

    def __init__(self, m: Module, dut: Subject, log: EventLog) -> None:
        self.state, self.complete, self.acts = (dut.signal(name) for name in ("state", "complete", "acts"))
        self.runs = log.flash.start
        conditions = dut.signal("conditions")
        (table,) = dut.part("program").read_ports
        asked = past(m, table.addr)
        #: The conditions that the step depends on.
        self.found = asked[: len(conditions)]
        begins = self.does(State.IDLE)
        changes = self.found[1:] != conditions[1:]
        m.d.comb += [
            Assert(~self.complete | self.on(*OPERATIONS)),
            Assert(~self.acts | ~self.runs),
            Assert(~self.acts | (asked[len(conditions) :] == self.state)),
            Assert(~self.acts | (table.data == dut.row(asked, "program"))),
            Assert(~self.acts | self.on(State.IDLE, State.READ_NTH) | ~changes),
            # What is asked, and what is offered, holds.
            Assert(~begins | (self.found[3] == conditions[3])),
            Assert(~begins | ~self.found[2] | (log.start & (Value.cast(log.command) == self.found[:2]))),
            Assert(~begins | self.found[2] | ~self.found[1] & (log.i.valid | ~self.found[0])),
            Assert(
                Mux(log.ready, ~self.on(*RESTORES), self.on(*RESTORES, State.IDLE, State.WALK, State.ERASE))
            ),
            Assert(~log.ready | ~self.on(State.WALK)),
            Assert(~begins | log.ready),
        ]

    def on(self, *states: State) -> Value:
        return self.state.matches(*states)

    def runs_on(self, *states: State) -> Value:
        """The flash works for one of `states`."""
        return self.runs & self.on(*states)

    def ends(self, *states: State) -> Value:
        """The operation of one of `states` is done."""
        return self.complete & self.on(*states)

    def does(self, *states: State) -> Value:
        """This is the last cycle of one of `states`."""
        return self.acts & self.on(*states)


OPERATIONS = [state for state in State if state.value >= State.SCAN.value]
RESTORES = State.OFF, State.SCAN, State.SCANNED, State.BLANK


def plain(log: EventLog) -> Value:
    """For examples: what does not matter is 0."""
    others = (log.i.payload, log.uptime, log.nth, log.address, log.wait)
    return Cat(*(Value.cast(it) for it in others)) == 0


@theorem(k=1, reach=30, parameters=ANY_FLASH, smaller={"sector_slots": 1, "rest": 0})
def flash_operations_hold(m: Module, sector_slots: int = SECTOR_SLOTS, rest: int = 1) -> list[Value]:
    """What is asked of the flash stays as it is until it is done; entries are written in whole slots, and of
    others only the byte *acked*, to 0.
    """
    log = EventLog(sector_slots=sector_slots)
    dut, flash = surroundings(m, log, rest)
    Progress(m, dut, log)
    bus = flash.bus
    goes_on = past(m, bus.start & ~bus.done)
    programs = bus.start & (bus.op == FlashOp.PROGRAM)
    place = (bus.address - FLASH_LOG_BASE)[:24] % FLASH_SLOT_BYTES
    m.d.comb += [
        *(Assert(~goes_on | (bus.start & unchanged(m, it))) for it in (bus.op, bus.address, bus.length)),
        Assert(bus.address >= FLASH_LOG_BASE),
        Assert(~programs | Mux(place == 0, bus.length == ACKED, (place == ACKED) & (bus.length == 1))),
        Assert(~programs | (place == 0) | (bus.i == 0)),
        Cover(bus.done),
    ]
    return []


#: The first bytes of an entry: boot count, event counter, kind, state and voltage.
BOOT, COUNTER, EVENT = slice(0, 32), slice(32, 64), slice(64, 96)


@theorem(
    k=1,
    reach=220,
    parameters=f"{ANY_FLASH}; fewer than 2^32 events",
    smaller={"sector_slots": 1, "rest": 0},
    long=True,
    timeout=300,
)
def events_are_written_and_counted(m: Module, sector_slots: int = SECTOR_SLOTS, rest: int = 1) -> list[Value]:
    """An event is taken in the very cycle in which the flash is done with writing it: its kind, state and
    voltage, the boot count of this power-up, and an event counter that is one more than that of the event
    before and more than that of any valid entry that was in the flash at power-up.
    """
    log = EventLog(sector_slots=sector_slots)
    dut, flash = surroundings(m, log, rest)
    bus, event, progress = flash.bus, log.i.payload, Progress(m, dut, log)
    taken = log.i.valid & log.i.ready
    written = flash.written(m, 0, 12)

    # Reference: the entry before, and any one of the valid entries that were found at power-up.
    known, boot, counter = Signal(), Signal(32), Signal(32)
    some, found = Signal(), Signal(32)
    seen = Signal(64)  # boot count and counter of the slot that was read last
    for n in range(8):
        with m.If(bus.strobe & (bus.op == FlashOp.READ) & (bus.index == n)):
            m.d.sync += seen.word_select(n, 8).eq(bus.o)
    with m.If(taken):
        m.d.sync += [known.eq(1), boot.eq(written[BOOT]), counter.eq(written[COUNTER])]
    valid = progress.does(State.SCAN) & flash.valid(m, dut, progress)
    with m.If(valid & AnySeq(1)):
        m.d.sync += [some.eq(1), found.eq(seen[COUNTER])]
    m.d.comb += [
        Assert(~taken | (bus.done & (bus.op == FlashOp.PROGRAM) & (bus.length == ACKED))),
        Assert(~taken | (written[EVENT] == Cat(event.kind, C(0, 5), event.state, C(0, 5), event.loop_mv))),
        Assert(~(taken & known) | (written[BOOT] == boot)),
        Assert(~(taken & known) | (written[COUNTER] == counter + 1)),
        Assert(~(taken & some) | (written[COUNTER] > found)),
    ]

    # Invariants: the memory holds what the newest entry says, up to where it is being replaced.
    store, newer_half = dut.part("entry"), dut.signal("newest", "entry")
    newest = Signal(64)
    with m.If(store.keep):
        m.d.sync += newest.eq(seen)
    with m.If(taken):
        m.d.sync += newest.eq(written[:64])
    m.d.comb += Assume(~(valid & seen[COUNTER].all()) & ~newest[COUNTER].all())
    fresh, before = dut.signal("fresh"), dut.signal("some")
    appending = progress.runs_on(State.APPEND)
    stored = known | before
    m.d.comb += [
        Assert(~appending | log.i.valid),
        Assert(~known | log.ready),
        Assert(fresh == ~known),
        Assert(~known | (newest == Cat(boot, counter))),
        Assert(~some | (before & (found <= newest[COUNTER]))),
        Assert(stored | (~newer_half & (newest == 0))),
    ]
    reads = bus.start & (bus.op == FlashOp.READ)
    looks = progress.complete & ~progress.on(State.ACKNOWLEDGE, State.APPEND, State.ERASE)
    expected = Cat((newest[BOOT] + fresh)[:32], (newest[COUNTER] + 1)[:32])
    expected = Cat(expected, event.kind, C(0, 5), event.state, C(0, 5), event.loop_mv)
    for n in range(12):
        over = flash.complete | (bus.index > n)
        byte = slice(8 * n, 8 * n + 8)
        m.d.comb += Assert(~(appending & over) | (written[byte] == expected[byte]))
        if n >= 8:
            continue
        halves = (Cat(C(n, 5), *half) for half in ((newer_half, C(0, 1)), (~newer_half, C(0, 1)), C(2, 2)))
        kept, read, zero = (dut.row(address, "entry", "memory") for address in halves)
        now = Mux(stored, kept, zero)
        m.d.comb += [
            Assert(zero == 0),
            Assert(Mux(appending & over, kept == written[byte], now == newest[byte])),
            Assert(~(looks | reads & over) | (read == seen[byte])),
            Assert(~((reads | appending) & flash.rested & (bus.index == n)) | (store.byte == now)),
        ]
    carry = dut.signal("carry", "entry")
    for n in range(1, 9):
        part = n if n <= 4 else n - 4
        added = (newest[COUNTER][: 8 * part] + 1) if n > 4 else (newest[BOOT][: 8 * part] + fresh)
        here = ~flash.complete & (bus.index == n)
        m.d.comb += Assert(~(appending & here) | (carry == added[8 * part]))
        low = slice(32, 8 * n)
        compared = reads & here if n < 8 else looks | reads & (flash.complete | (bus.index >= n))
        if n > 4:
            m.d.comb += Assert(~compared | (carry == (newest[low] >= seen[low])))
    m.d.comb += Cover(taken)
    return [flash.fast & flash.blank & log.enable & ~log.start & log.i.valid, plain(log)]


@theorem(
    k=1,
    reach=290,
    parameters=f"{ANY_FLASH}; at power-up, no entry right behind the blank slot",
    smaller={"sector_slots": 1, "rest": 0},
    long=True,
    timeout=300,
)
def acknowledged_only_on_command(m: Module, sector_slots: int = SECTOR_SLOTS, rest: int = 1) -> list[Value]:
    """The only entry that is ever marked as acknowledged is the one that FETCH_OLDEST found last, on the
    command ACKNOWLEDGE. The queue's oldest entry leaves it only so, or because it is torn, or with the sector
    that the next one needs.
    """
    log = EventLog(sector_slots=sector_slots)
    dut, flash = surroundings(m, log, rest)
    bus, progress = flash.bus, Progress(m, dut, log)
    fetches = log.start & (log.command == LogCommand.FETCH_OLDEST)
    marks = bus.start & (bus.op == FlashOp.PROGRAM) & (bus.length == 1)

    # Reference: where the entry is that was found.
    found, address = Signal(), Signal(24)
    with m.If(fetches & bus.done & (bus.op == FlashOp.READ)):
        m.d.sync += address.eq(bus.address)
    with m.If(fetches & log.done):
        m.d.sync += found.eq(log.found)
    m.d.comb += Assert(~marks | (found & (bus.address == address + ACKED)))
    m.d.comb += Assert(~marks | (log.start & (log.command == LogCommand.ACKNOWLEDGE)))

    head, tail, slot, loaded = (dut.signal(name) for name in ("head", "tail", "slot", "loaded"))
    torn = progress.does(State.READ_OLDEST) & ~flash.valid(m, dut, progress)
    place = (FLASH_LOG_BASE + tail * FLASH_SLOT_BYTES)[:24]
    sector_bytes = sector_slots * FLASH_SLOT_BYTES
    erases = bus.start & (bus.op == FlashOp.ERASE)
    given_up = erases & (bus.address // sector_bytes == past(m, place) // sector_bytes)
    stays = ~past(m, log.ready) | unchanged(m, tail)
    leaves = Signal()  # the oldest entry may leave the queue
    with m.If(marks & bus.done | torn):
        m.d.sync += leaves.eq(1)
    with m.Elif(progress.does(State.OLDEST, State.ACKNOWLEDGED)):
        m.d.sync += leaves.eq(0)
    m.d.comb += Assert(stays | past(m, leaves) | given_up)

    # Invariants
    serving = {
        LogCommand.FETCH_OLDEST: (State.OLDEST, State.READ_OLDEST),
        LogCommand.FETCH_NTH: (State.NTH, State.READ_NTH),
        LogCommand.ACKNOWLEDGE: (State.ACKNOWLEDGE, State.ACKNOWLEDGED),
    }
    for command, states in serving.items():
        m.d.comb += Assert(~progress.on(*states) | (log.start & (log.command == command)))
    ordered = (tail // sector_slots != head // sector_slots) | (tail <= head)
    m.d.comb += Assume(~log.ready | past(m, log.ready) | ordered)
    told = progress.on(State.DONE) & fetches & log.found
    following = slot == (tail + 1)[: len(tail)]
    passed = progress.on(State.OLDEST) & leaves
    marked = progress.ends(State.ACKNOWLEDGE) | progress.on(State.ACKNOWLEDGED)
    m.d.comb += [
        Assert(~log.ready | ordered),
        Assert(~progress.on(State.APPEND) | (slot == head)),
        Assert(~progress.on(State.APPENDED) | (slot == (head + 1)[: len(head)])),
        Assert(~loaded | (log.ready & (tail != head) & (address == place) & (found | told))),
        Assert(~progress.on(State.DONE) | log.start),
        Assert(~progress.on(State.DONE) | ~(fetches & loaded) | log.found),
        Assert(~progress.on(State.READ_OLDEST) | ((tail != head) & (slot == tail) & ~leaves & ~loaded)),
        Assert(~progress.ends(State.READ_OLDEST) | (address == place)),
        Assert(~passed | (following & (tail != head) & ~loaded)),
        Assert(~progress.on(State.OLDEST) | leaves | (slot == tail)),
        Assert(~progress.on(State.ACKNOWLEDGE) | ((slot == tail) & loaded)),
        Assert(~progress.on(State.ACKNOWLEDGED) | (following & loaded)),
        Assert(~marked | (tail != head)),
        Assert(leaves == (marked | passed)),
        Cover(marks & bus.done),
    ]
    commands = (log.command == LogCommand.ACKNOWLEDGE) == found
    return [
        flash.fast & log.enable & log.i.valid & plain(log),
        flash.blank | log.start,
        commands & (log.start == log.pending),
    ]
