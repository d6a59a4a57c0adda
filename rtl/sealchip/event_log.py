"""The event log in flash: queue of unacknowledged events, history and counters in one structure.

A ring of slots (`interface.ENTRY`) in two sectors. An event is programmed into the next blank slot before
anything else knows of it; an acknowledgement programs one byte of that slot to 00. Nothing else is ever
written, so power may fail at any instant: a torn slot fails its CRC and is skipped, and boot count and
event counter are those of the newest valid slot plus one. When a sector is full the other one is erased,
so at least the last 64 events stay readable and no write of an event waits for an erase of its own slot.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import (
    ENTRY,
    FLASH_LOG_BASE,
    FLASH_LOG_SECTORS,
    FLASH_SECTOR_BYTES,
    FLASH_SLOT_BYTES,
    LOOP_NOT_MEASURED,
)
from .log_entry import EntryReader, EntryWriter, LoopEvent
from .spi_flash import FlashCommands, FlashOp

__all__ = ["EventLog", "LogCommand"]

SECTOR_SLOTS = FLASH_SECTOR_BYTES // FLASH_SLOT_BYTES


class LogCommand(enum.Enum, shape=2):
    """What may be asked of the log."""

    #: Load the oldest unacknowledged entry; not `found` when there is none.
    FETCH_OLDEST = 0
    #: Load the entry `nth` before the newest.
    FETCH_NTH = 1
    #: Mark the entry that FETCH_OLDEST loaded last as acknowledged.
    ACKNOWLEDGE = 2


class EventLog(wiring.Component):
    """Keeps events through power loss and hands them out in order.

    *Timing:* after reset the log is restored from flash (about 45 000 cycles when full), then `ready`
    rises. Then commands and events are served one at a time, commands first. `command` holds `start` until
    `done`; `found` says whether a valid entry is loaded, and `this_boot` whether it is of this power-up.
    The loaded entry is read through `address` → `byte`, one cycle later, and stays until the next fetch.

    *Overrun:* with more unacknowledged events than the ring holds the oldest sector is given up; the event
    counter shows the gap.

    Parameters
    ----------
    flash_base: where the seal's part of the flash begins.
    sector_slots: slots of one sector, a power of two; other than the flash has only in tests and proofs.

    Members
    -------
    enable: the identity has been read and the flash is free. uptime: seconds since power-up.
    i: events. flash: the flash. ready: restored. pending: there are unacknowledged events.
    baseline_mv: of the newest entry, from `ready` on; FFFF without one.
    command, nth, start, done, found, this_boot: see above. address, byte: the loaded entry.

    Guarantees: `verif/chip/test_event_log.py::test_restore`, `test_any_story`,
    `test_power_fails_in_any_write`, `test_overrun_gives_up_the_oldest_sector_only`,
    `test_restore_of_the_real_ring`, `test_a_command_waits_for_the_restore`; proofs:
    `verif/formal/event_log.py::flash_operations_hold`,
    `verif/formal/event_log.py::events_are_written_and_counted`,
    `verif/formal/event_log.py::acknowledged_only_on_command`.
    """

    def __init__(self, flash_base=0, sector_slots=SECTOR_SLOTS):
        self._base = flash_base + FLASH_LOG_BASE
        self._sector_slots = sector_slots
        super().__init__(
            {
                "enable": In(1),
                "uptime": In(32),
                "i": In(stream.Signature(LoopEvent)),
                "flash": In(FlashCommands),
                "ready": Out(1),
                "pending": Out(1),
                "baseline_mv": Out(16, init=LOOP_NOT_MEASURED),
                "command": In(LogCommand),
                "nth": In(6),
                "start": In(1),
                "done": Out(1),
                "found": Out(1),
                "this_boot": Out(1),
                "address": In(range(ENTRY.size)),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flash = self.flash
        sector_slots = self._sector_slots
        slots = FLASH_LOG_SECTORS * sector_slots

        # All slot numbers wrap around the ring. Entries from `tail` to before `head` are unacknowledged.
        head = Signal(range(slots))
        tail = Signal(range(slots))
        slot = Signal(range(slots))  # of the present operation
        next_slot = Signal.like(slot)
        next_head = Signal.like(head)
        some = Signal()  # there is a valid entry
        restored = Signal()
        boot = Signal(32)  # of the newest entry; after restoring, of this power-up
        counter = Signal(32)  # of the newest entry

        loaded = Signal()  # `tail` is the slot that FETCH_OLDEST loaded
        remaining = Signal.like(self.nth)

        entry = m.submodules.entry = EntryReader()
        writer = m.submodules.writer = EntryWriter()
        m.d.comb += [
            flash.address.eq(self._base + slot * FLASH_SLOT_BYTES),
            flash.op.eq(FlashOp.READ),
            flash.length.eq(ENTRY.size),
            entry.strobe.eq(flash.strobe & (flash.op == FlashOp.READ)),
            entry.index.eq(flash.index),
            entry.i.eq(flash.o),
            entry.address.eq(self.address),
            self.byte.eq(entry.byte),
            self.this_boot.eq(entry.boot == boot),
            self.pending.eq(restored & (tail != head)),
            self.ready.eq(restored),
            next_slot.eq(slot + 1),
            next_head.eq(head + 1),
            flash.skip.eq(flash.index == ENTRY.offsets["acked"]),
            writer.index.eq(flash.index),
            writer.boot.eq(boot),
            writer.counter.eq(counter + 1),
            writer.event.eq(self.i.payload),
            writer.uptime.eq(self.uptime),
        ]

        def read(state):
            """State that loads `slot`; the state of that name with `-loaded` looks at `entry`."""
            with m.State(state):
                m.d.comb += flash.start.eq(1)
                with m.If(flash.done):
                    m.next = state + "-loaded"

        def in_sector(slot, first):
            return slot // sector_slots == first // sector_slots

        with m.FSM(name="state"):
            # Restore 1: the newest valid entry.
            with m.State("off"):
                with m.If(self.enable):
                    m.next = "scan"
            read("scan")
            with m.State("scan-loaded"):
                m.d.sync += slot.eq(slot + 1)
                with m.If(flash.sum_ok & (~some | (entry.counter > counter))):
                    m.d.sync += [
                        some.eq(1),
                        boot.eq(entry.boot),
                        counter.eq(entry.counter),
                        self.baseline_mv.eq(entry.baseline_mv),
                        head.eq(slot + 1),
                    ]
                m.next = "scan"
                with m.If(slot == slots - 1):
                    m.next = "scanned"
            with m.State("scanned"):
                m.d.sync += [slot.eq(head), boot.eq(boot + 1)]
                m.next = "blank"
            # Restore 2: the next blank slot behind it. The first slot of a sector may look blank in a
            # sector whose erase was cut short, so there the erase is done again.
            read("blank")
            with m.State("blank-loaded"):
                m.d.sync += [head.eq(slot), tail.eq(slot)]
                with m.If(slot % sector_slots == 0):
                    m.next = "erase"
                with m.Elif(entry.blank):
                    m.d.sync += slot.eq(slot - 1)
                    m.next = "walk"
                with m.Else():
                    m.d.sync += slot.eq(slot + 1)
                    m.next = "blank"
            # Restore 3: back to the oldest unacknowledged entry. They are acknowledged in order, so the
            # first acknowledged or blank slot ends the walk; torn slots are passed over.
            read("walk")
            with m.State("walk-loaded"):
                m.d.sync += slot.eq(slot - 1)
                m.next = "walk"
                # Round the whole ring without a blank slot: the flash is dead.
                with m.If(entry.blank | (flash.sum_ok & entry.acked) | (slot == head)):
                    m.next = "idle"
                with m.Elif(flash.sum_ok):
                    m.d.sync += tail.eq(slot)

            with m.State("idle"):
                m.d.sync += restored.eq(1)
                with m.If(self.start):
                    m.d.sync += [self.found.eq(0), remaining.eq(self.nth)]
                    with m.Switch(self.command):
                        with m.Case(LogCommand.FETCH_OLDEST):
                            m.d.sync += slot.eq(tail)
                            m.next = "done"
                            with m.If(tail != head):
                                m.next = "oldest"
                        with m.Case(LogCommand.FETCH_NTH):
                            m.d.sync += slot.eq(head - 1)
                            m.next = "nth"
                        with m.Case(LogCommand.ACKNOWLEDGE):
                            m.d.sync += slot.eq(tail)
                            m.next = "done"
                            with m.If(loaded):
                                m.next = "acknowledge"
                with m.Elif(self.i.valid):
                    m.d.sync += slot.eq(head)
                    m.d.comb += writer.start.eq(1)
                    m.next = "append"
            with m.State("done"):
                m.d.comb += self.done.eq(1)
                m.next = "idle"

            read("oldest")
            with m.State("oldest-loaded"):
                m.d.sync += [self.found.eq(flash.sum_ok), loaded.eq(flash.sum_ok)]
                m.next = "done"
                with m.If(~flash.sum_ok):  # torn
                    m.d.sync += [slot.eq(slot + 1), tail.eq(slot + 1)]
                    with m.If(next_slot != head):
                        m.next = "oldest"
            read("nth")
            with m.State("nth-loaded"):
                m.d.sync += slot.eq(slot - 1)
                m.next = "nth"
                with m.If(flash.sum_ok):
                    m.d.sync += [remaining.eq(remaining - 1), self.found.eq(remaining == 0)]
                with m.If(entry.blank | (flash.sum_ok & (remaining == 0)) | (slot == head)):
                    m.next = "done"
            with m.State("acknowledge"):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.address.eq(self._base + slot * FLASH_SLOT_BYTES + ENTRY.offsets["acked"]),
                    flash.length.eq(1),
                    flash.i.eq(0),
                    flash.start.eq(1),
                ]
                with m.If(flash.done):
                    m.d.sync += [tail.eq(tail + 1), loaded.eq(0)]
                    m.next = "done"

            with m.State("append"):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.length.eq(ENTRY.offsets["acked"]),
                    flash.i.eq(writer.byte),
                    flash.sum.eq(flash.index >= ENTRY.offsets["crc"]),
                    flash.start.eq(1),
                ]
                with m.If(flash.done):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += [counter.eq(counter + 1), head.eq(next_head), slot.eq(next_head)]
                    m.d.sync += self.baseline_mv.eq(self.i.payload.baseline_mv)
                    m.next = "idle"
                    # The next sector is needed. Unacknowledged entries in it are given up.
                    with m.If(next_head % sector_slots == 0):
                        m.next = "erase"
                        with m.If(in_sector(tail, next_head)):
                            m.d.sync += [tail.eq(next_head + sector_slots), loaded.eq(0)]
            # `slot` = `head` = first slot of the sector.
            with m.State("erase"):
                m.d.comb += [flash.op.eq(FlashOp.ERASE), flash.start.eq(1)]
                with m.If(flash.done):
                    m.next = "idle"
                    with m.If(~restored):
                        m.d.sync += slot.eq(slot - 1)
                        m.next = "walk"
        return m
