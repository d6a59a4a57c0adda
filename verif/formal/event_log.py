"""Theorems about the event log: written before it is told, counted without a step back, kept until told."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, C, Cat, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem, unchanged

from sealchip.event_log import SECTOR_SLOTS, EventLog, LogCommand
from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SLOT_BYTES
from sealchip.spi_flash import FlashOp

ANY_FLASH = "any content of the flash, at any speed; 2 x 64 slots; commands hold until done"
ACKED = ENTRY.offsets["acked"]


class Flash:
    """A flash with any content: it exchanges the bytes asked for one by one, and is then done, some time."""

    def __init__(self, m: Module, log: EventLog) -> None:
        self.bus = bus = log.flash
        exchanged = Signal()
        self.complete = exchanged
        index = Signal(8)
        #: For examples: no pauses, and blank.
        self.fast, self.blank = ~bus.start | bus.strobe | bus.done, bus.o == 0xFF
        m.d.comb += [
            bus.index.eq(index),
            bus.o.eq(AnySeq(8)),
            bus.sum_ok.eq(AnySeq(1)),
            bus.strobe.eq(bus.start & ~exchanged & AnySeq(1)),
            bus.done.eq(bus.start & exchanged & AnySeq(1)),
            Assert(index < bus.length),
            Assert((index == 0) | (bus.start & ~exchanged)),
            Assert(~exchanged | bus.start),
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

    def written(self, m: Module, offset: int, width: int) -> Signal:
        """The last bytes that were programmed from `offset` of an entry on, low byte first."""
        value = Signal(8 * width, name="written")
        entry = (self.bus.op == FlashOp.PROGRAM) & (self.bus.length == ACKED)
        for n in range(width):
            with m.If(self.bus.strobe & entry & (self.bus.index == offset + n)):
                m.d.sync += value.word_select(n, 8).eq(self.bus.i)
        return value


def surroundings(m: Module, log: EventLog) -> tuple[Subject, Flash]:
    """The log on a flash, between users that hold what they ask until it is done."""
    flash = Flash(m, log)
    dut = Subject(m, log, driven=flash.ports)
    asks = past(m, log.start & ~log.done)
    offers = past(m, log.i.valid & ~log.i.ready)
    m.d.comb += [
        Assume(~asks | (log.start & unchanged(m, log.command))),
        Assume(~offers | (log.i.valid & unchanged(m, log.i.payload))),
    ]
    return dut, flash


def restoring_is_over(m: Module, dut: Subject) -> None:
    """Invariant: what is done to restore the log is not done again."""
    state, restored = dut.fsm(), dut.signal("restored")
    for name in ("off", "scan", "scan-loaded", "scanned", "blank", "blank-loaded", "walk", "walk-loaded"):
        m.d.comb += Assert(~restored | ~state.ongoing(name))
    for name in ("oldest", "oldest-loaded", "nth", "nth-loaded", "acknowledge", "append", "done"):
        m.d.comb += Assert(restored | ~state.ongoing(name))


def plain(log: EventLog) -> Value:
    """For examples: what does not matter is 0."""
    others = (log.i.payload, log.uptime, log.nth, log.address)
    return Cat(*(Value.cast(it) for it in others)) == 0


@theorem(k=1, reach=30, parameters=ANY_FLASH, smaller={"sector_slots": 2})
def flash_operations_hold(m: Module, sector_slots: int = SECTOR_SLOTS) -> list[Value]:
    """What is asked of the flash stays as it is until it is done; entries are written in whole slots, and of
    others only the byte *acked*, to 0.
    """
    log = EventLog(sector_slots=sector_slots)
    _, flash = surroundings(m, log)
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
    k=1, reach=201, parameters=f"{ANY_FLASH}; fewer than 2^32 events", smaller={"sector_slots": 2}, long=True
)
def events_are_written_and_counted(m: Module, sector_slots: int = SECTOR_SLOTS) -> list[Value]:
    """An event is taken in the very cycle in which the flash is done with writing it: its kind, state and
    voltage, the boot count of this power-up, and an event counter that is one more than that of the event
    before and more than that of any valid entry that was in the flash at power-up.
    """
    log = EventLog(sector_slots=sector_slots)
    dut, flash = surroundings(m, log)
    bus, event, state = flash.bus, log.i.payload, dut.fsm()
    taken = log.i.valid & log.i.ready
    written = flash.written(m, 0, 12)

    # Reference: the entry before, and any one of the valid entries that were found at power-up.
    known, boot, counter = Signal(), Signal(32), Signal(32)
    some, found = Signal(), Signal(32)
    writer = dut.part("writer")
    newest = (writer.counter - 1)[:32]  # what the log keeps
    entry_counter = dut.part("entry").counter
    with m.If(taken):
        m.d.sync += [known.eq(1), boot.eq(written[BOOT]), counter.eq(written[COUNTER])]
    valid = state.ongoing("scan-loaded") & bus.sum_ok
    with m.If(valid & AnySeq(1)):
        m.d.sync += [some.eq(1), found.eq(entry_counter)]
    m.d.comb += Assume(~(valid & entry_counter.all()) & ~newest.all())

    m.d.comb += [
        Assert(~taken | (bus.done & (bus.op == FlashOp.PROGRAM) & (bus.length == ACKED))),
        Assert(~taken | (written[EVENT] == Cat(event.kind, C(0, 5), event.state, C(0, 5), event.loop_mv))),
        Assert(~(taken & known) | (written[BOOT] == boot)),
        Assert(~(taken & known) | (written[COUNTER] == counter + 1)),
        Assert(~(taken & some) | (written[COUNTER] > found)),
    ]

    # Invariants
    restoring_is_over(m, dut)
    appending, restored = state.ongoing("append"), dut.signal("restored")
    expected = Cat(writer.boot, writer.counter, event.kind, C(0, 5), event.state, C(0, 5), event.loop_mv)
    m.d.comb += [
        Assert(~appending | log.i.valid),
        Assert(~known | restored),
        Assert(~known | ((writer.boot == boot) & (newest == counter))),
        Assert(~some | (dut.signal("some") & (found <= newest))),
    ]
    for n in range(12):
        m.d.comb += Assert(
            ~(appending & (flash.complete | (bus.index > n)))
            | (written.word_select(n, 8) == expected.word_select(n, 8))
        )
    m.d.comb += Cover(taken)
    return [flash.fast & flash.blank & log.enable & ~log.start & log.i.valid, plain(log)]


@theorem(
    k=1,
    reach=231,
    parameters=f"{ANY_FLASH}; at power-up, no entry right behind the blank slot",
    smaller={"sector_slots": 2},
    long=True,
)
def acknowledged_only_on_command(m: Module, sector_slots: int = SECTOR_SLOTS) -> list[Value]:
    """The only entry that is ever marked as acknowledged is the one that FETCH_OLDEST found last, on the
    command ACKNOWLEDGE. The queue's oldest entry leaves it only so, or because it is torn, or with the sector
    that the next one needs.
    """
    log = EventLog(sector_slots=sector_slots)
    dut, flash = surroundings(m, log)
    bus, state = flash.bus, dut.fsm()
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

    head, tail, slot, loaded = (
        dut.signal("head"),
        dut.signal("tail"),
        dut.signal("slot"),
        dut.signal("loaded"),
    )
    torn = state.ongoing("oldest-loaded") & ~bus.sum_ok
    place = (FLASH_LOG_BASE + tail * FLASH_SLOT_BYTES)[:24]
    sector_bytes = sector_slots * FLASH_SLOT_BYTES
    erases = bus.start & (bus.op == FlashOp.ERASE)
    given_up = erases & (bus.address // sector_bytes == past(m, place) // sector_bytes)
    stays = ~past(m, dut.signal("restored")) | unchanged(m, tail)
    m.d.comb += Assert(stays | past(m, marks & bus.done) | past(m, torn) | given_up)

    # Invariants
    restoring_is_over(m, dut)
    serving = {
        LogCommand.FETCH_OLDEST: ("oldest", "oldest-loaded"),
        LogCommand.FETCH_NTH: ("nth", "nth-loaded"),
        LogCommand.ACKNOWLEDGE: ("acknowledge",),
    }
    for command, states in serving.items():
        for name in states:
            m.d.comb += Assert(~state.ongoing(name) | (log.start & (log.command == command)))
    ordered = (tail // sector_slots != head // sector_slots) | (tail <= head)
    restored = dut.signal("restored")
    m.d.comb += Assume(restored | ~state.ongoing("idle") | ordered)
    told = state.ongoing("done") & fetches & log.found
    m.d.comb += [
        Assert(~restored | ordered),
        Assert(~state.ongoing("append") | (slot == head)),
        Assert(~loaded | (restored & (tail != head) & (address == place) & (found | told))),
        Assert(~(state.ongoing("oldest") | state.ongoing("oldest-loaded")) | (tail != head)),
        Assert(~state.ongoing("done") | (log.start & (~(fetches & loaded) | log.found))),
        Assert(~(state.ongoing("oldest") | state.ongoing("oldest-loaded")) | (slot == tail)),
        Assert(~state.ongoing("oldest-loaded") | (address == place)),
        Assert(~state.ongoing("acknowledge") | ((slot == tail) & loaded)),
        Cover(marks & bus.done),
    ]
    commands = (log.command == LogCommand.ACKNOWLEDGE) == found
    return [
        flash.fast & log.enable & log.i.valid & plain(log),
        flash.blank | log.start,
        commands & (log.start == log.pending),
    ]
