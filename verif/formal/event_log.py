"""Theorems about the event log: written before it is told, counted without a step back, kept until told."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem, unchanged

from sealchip.event_log import SECTOR_SLOTS, EventLog, LogCommand, Phase, Task
from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SLOT_BYTES
from sealchip.spi_flash import FlashOp

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

    def whole(self, m: Module) -> Signal:
        """The zeros of the slot that was read last were zeros."""
        whole, zeros = Signal(name="reference_whole"), ENTRY.slice("zeros")
        reads = self.bus.strobe & (self.bus.op == FlashOp.READ)
        for n in range(zeros.start, zeros.stop):
            with m.If(reads & (self.bus.index == n)):
                m.d.sync += whole.eq((self.bus.o == 0) & (whole | (n == zeros.start)))
        return whole

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
    ]
    return dut, flash


class Progress:
    """What the log is busy with, and the invariant that it does everything in its time."""

    def __init__(self, m: Module, dut: Subject) -> None:
        self.task, self.phase = dut.signal("task"), dut.signal("phase")
        self.restored = dut.signal("restored")
        restores = (Task.SCAN, Task.BLANK, Task.WALK, Task.ERASE)
        serves = (Task.OLDEST, Task.NTH, Task.ACKNOWLEDGE, Task.APPEND, Task.ERASE)
        begins = (Task.SCAN, Task.OLDEST, Task.NTH, Task.ACKNOWLEDGE, Task.APPEND)
        m.d.comb += [
            Assert(self.phase <= Phase.DONE.value),
            Assert(self.phase.matches(Phase.IDLE) | Mux(self.restored, self.on(*serves), self.on(*restores))),
            Assert(~self.is_at(Phase.BEGIN) | self.on(*begins)),
            Assert(~self.is_at(Phase.DONE) | self.on(Task.OLDEST, Task.NTH, Task.ACKNOWLEDGE)),
        ]

    def on(self, *tasks: Task) -> Value:
        return self.task.matches(*tasks)

    def is_at(self, *phases: Phase) -> Value:
        return self.phase.matches(*phases)

    def does(self, task: Task, *phases: Phase) -> Value:
        return self.on(task) & self.is_at(*phases)


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
    _, flash = surroundings(m, log, rest)
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
    reach=175,
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
    bus, event, progress = flash.bus, log.i.payload, Progress(m, dut)
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
    whole = flash.whole(m)
    m.d.comb += Assert(whole == dut.part("entry").whole)
    valid = progress.does(Task.SCAN, Phase.LOOK) & bus.sum_ok & whole
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
    appending = progress.does(Task.APPEND, Phase.RUN)
    stored = known | before
    m.d.comb += [
        Assert(~appending | log.i.valid),
        Assert(~known | progress.restored),
        Assert(fresh == (~known | progress.does(Task.APPEND, Phase.LOOK) & fresh)),
        Assert(~progress.does(Task.APPEND, Phase.LOOK, Phase.BEGIN) | known),
        Assert(~known | (newest == Cat(boot, counter))),
        Assert(~some | (before & (found <= newest[COUNTER]))),
        Assert(stored | (~newer_half & (newest == 0))),
    ]
    reads = bus.start & (bus.op == FlashOp.READ)
    looks = progress.is_at(Phase.LOOK) & ~progress.on(Task.ACKNOWLEDGE, Task.APPEND, Task.ERASE)
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
            Assert(~(bus.start & flash.rested & (bus.index == n)) | (store.byte == now)),
        ]
    for n in range(1, 9):
        low, part = slice(0, 8 * n), n if n <= 4 else n - 4
        added = (newest[COUNTER][: 8 * part] + 1) if n > 4 else (newest[BOOT][: 8 * part] + fresh)
        here = ~flash.complete & (bus.index == n)
        compared = (
            looks | reads & (flash.complete | bus.index.matches(*range(8, 32))) if n == 8 else reads & here
        )
        m.d.comb += [
            Assert(~compared | (dut.signal("borrow", "entry") == (newest[low] < seen[low]))),
            Assert(~(appending & here) | (dut.signal("carry", "entry") == added[8 * part])),
        ]
    m.d.comb += Cover(taken)
    return [flash.fast & flash.blank & log.enable & ~log.start & log.i.valid, plain(log)]


@theorem(
    k=1,
    reach=225,
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
    bus, progress = flash.bus, Progress(m, dut)
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
    whole = flash.whole(m)
    m.d.comb += Assert(whole == dut.part("entry").whole)
    torn = progress.does(Task.OLDEST, Phase.LOOK) & ~(bus.sum_ok & whole)
    place = (FLASH_LOG_BASE + tail * FLASH_SLOT_BYTES)[:24]
    sector_bytes = sector_slots * FLASH_SLOT_BYTES
    erases = bus.start & (bus.op == FlashOp.ERASE)
    given_up = erases & (bus.address // sector_bytes == past(m, place) // sector_bytes)
    stays = ~past(m, progress.restored) | unchanged(m, tail)
    leaves = Signal()  # the oldest entry may leave the queue
    with m.If(marks & bus.done | torn):
        m.d.sync += leaves.eq(1)
    with m.Elif(progress.is_at(Phase.BEGIN)):
        m.d.sync += leaves.eq(0)
    m.d.comb += Assert(stays | past(m, leaves) | given_up)

    # Invariants
    serving = {
        Task.OLDEST: LogCommand.FETCH_OLDEST,
        Task.NTH: LogCommand.FETCH_NTH,
        Task.ACKNOWLEDGE: LogCommand.ACKNOWLEDGE,
    }
    for task, command in serving.items():
        works = progress.on(task) & ~progress.is_at(Phase.IDLE)
        m.d.comb += Assert(~works | (log.start & (log.command == command)))
    restored = progress.restored
    ordered = (tail // sector_slots != head // sector_slots) | (tail <= head)
    m.d.comb += Assume(~restored | past(m, restored) | ordered)
    told = progress.is_at(Phase.DONE) & fetches & log.found
    following = slot == (tail + 1)[: len(tail)]
    oldest = progress.does(Task.OLDEST, Phase.RUN, Phase.LOOK)
    passed = progress.does(Task.OLDEST, Phase.BEGIN) & leaves
    marked = progress.does(Task.ACKNOWLEDGE, Phase.LOOK, Phase.BEGIN)
    m.d.comb += [
        Assert(~restored | ordered),
        Assert(~progress.does(Task.APPEND, Phase.RUN, Phase.LOOK) | (slot == head)),
        Assert(~progress.does(Task.APPEND, Phase.BEGIN) | (slot == (head + 1)[: len(head)])),
        Assert(~loaded | (restored & (tail != head) & (address == place) & (found | told))),
        Assert(~progress.is_at(Phase.DONE) | ~(fetches & loaded) | log.found),
        Assert(~oldest | ((tail != head) & (slot == tail) & ~leaves)),
        Assert(~progress.does(Task.OLDEST, Phase.LOOK) | (address == place)),
        Assert(~passed | (following & (tail != head) & ~loaded)),
        Assert(~progress.does(Task.OLDEST, Phase.BEGIN) | leaves | (slot == tail)),
        Assert(~progress.does(Task.ACKNOWLEDGE, Phase.RUN) | ((slot == tail) & loaded)),
        Assert(~progress.does(Task.ACKNOWLEDGE, Phase.LOOK) | (slot == tail)),
        Assert(~progress.does(Task.ACKNOWLEDGE, Phase.BEGIN) | (following & ~loaded)),
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
