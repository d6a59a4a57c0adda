"""The event log in flash: queue of unacknowledged events, history and counters in one structure.

A ring of slots (`interface.ENTRY`) in two sectors. An event is programmed into the next blank slot before
anything else knows of it; an acknowledgement programs one byte of that slot to 00. Nothing else is ever
written, so power may fail at any instant: a torn slot fails its CRC and is skipped, and boot count and
event counter are those of the newest valid slot plus one. When a sector is full the other one is erased,
so at least the last 64 events stay readable and no write of an event waits for an erase of its own slot.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
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
from .log_entry import EntryStore, LoopEvent
from .spi_flash import FlashCommands, FlashOp

__all__ = ["EventLog", "LogCommand", "Phase", "Task"]

SECTOR_SLOTS = FLASH_SECTOR_BYTES // FLASH_SLOT_BYTES


class LogCommand(enum.Enum, shape=2):
    """What may be asked of the log."""

    #: Load the oldest unacknowledged entry; not `found` when there is none.
    FETCH_OLDEST = 0
    #: Load the entry `nth` before the newest.
    FETCH_NTH = 1
    #: Mark the entry that FETCH_OLDEST loaded last as acknowledged.
    ACKNOWLEDGE = 2


class Task(enum.Enum, shape=3):
    """What the log is busy with."""

    SCAN = 0
    BLANK = 1
    WALK = 2
    OLDEST = 3
    NTH = 4
    ACKNOWLEDGE = 5
    APPEND = 6
    ERASE = 7


class Phase(enum.Enum, shape=3):
    """How far it is: each turn of a task is one operation of the flash."""

    IDLE = 0
    #: Before the first or behind the last turn.
    BEGIN = 1
    RUN = 2
    #: The operation is done.
    LOOK = 3
    DONE = 4


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
    flash_base: where the seal's part of the flash begins; `ValueError` when the log does not begin at a
    multiple of its size there. sector_slots: slots of one sector, a power of two; other than the flash has
    only in tests and proofs.

    Members
    -------
    enable: the identity has been read and the flash is free. uptime_index, uptime: byte of the seconds since
    power-up, low byte first, one cycle later; it must not change while the flash programs.
    i: events. flash: the flash. ready: restored. pending: there are unacknowledged events.
    baseline_mv: of the newest entry at power-up, from `ready` on; FFFF without one.
    wait: no event is begun, for the loaded entry is being read.
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
        ring = FLASH_LOG_SECTORS * sector_slots * FLASH_SLOT_BYTES
        if self._base % ring:
            raise ValueError(f"the event log at {self._base:#x} must begin at a multiple of {ring:#x}")
        super().__init__(
            {
                "enable": In(1),
                "uptime_index": Out(2),
                "uptime": In(8),
                "i": In(stream.Signature(LoopEvent)),
                "flash": In(FlashCommands),
                "ready": Out(1),
                "pending": Out(1),
                "baseline_mv": Out(16, init=LOOP_NOT_MEASURED),
                "wait": In(1),
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
        slots = FLASH_LOG_SECTORS * self._sector_slots
        entry = m.submodules.entry = EntryStore()
        task = Signal(Task)
        phase = Signal(Phase)
        idle, begin, run, look = (phase == it for it in (Phase.IDLE, Phase.BEGIN, Phase.RUN, Phase.LOOK))

        # All slot numbers wrap around the ring. Entries from `tail` to before `head` are unacknowledged.
        head = Signal(range(slots))
        tail = Signal(range(slots))
        slot = Signal(range(slots))  # of the present operation
        to_head, to_tail, up, down = Signal(), Signal(), Signal(), Signal()  # where it goes
        with m.If(to_head | to_tail):
            m.d.sync += slot.eq(Mux(to_head, head, tail))
        with m.Elif(up | down):
            m.d.sync += slot.eq(slot + Mux(down, -1, 1))
        at_head = slot == head
        at_sector = slot % self._sector_slots == 0

        restored = Signal()
        some = Signal()  # a valid entry was found while restoring
        fresh = Signal(init=1)  # nothing has been written since power-up
        loaded = Signal()  # `tail` is the slot that FETCH_OLDEST loaded
        remaining = Signal.like(self.nth)
        valid, newest = flash.sum_ok & entry.whole, some & at_head

        m.d.comb += [
            flash.start.eq(run),
            flash.address.eq(self._base | slot * FLASH_SLOT_BYTES),
            flash.length.eq(ENTRY.size),
            flash.skip.eq(flash.index == ENTRY.offsets["acked"]),
            flash.i.eq(entry.written),
            entry.i.eq(flash.o),
            entry.before.eq(some),
            entry.first.eq(fresh),
            entry.event.eq(self.i.payload),
            entry.uptime.eq(self.uptime),
            self.uptime_index.eq(entry.uptime_index),
            # Nobody reads the loaded entry while the flash is busy.
            entry.index.eq(Mux(run, flash.index, self.address)),
            entry.of_loaded.eq(~run),
            self.byte.eq(entry.byte),
            self.this_boot.eq(entry.same_boot & ~fresh),
            self.ready.eq(restored),
            self.done.eq(phase == Phase.DONE),
            # What has been taken is pending at once, a little before `head` says so.
            self.pending.eq((tail != head) | ((task == Task.APPEND) & (look | begin))),
        ]
        with m.Switch(task):
            with m.Case(Task.ACKNOWLEDGE):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.address.eq(self._base | slot * FLASH_SLOT_BYTES | ENTRY.offsets["acked"]),
                    flash.length.eq(1),
                    flash.i.eq(0),
                ]
            with m.Case(Task.APPEND):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.length.eq(ENTRY.offsets["acked"]),
                    flash.sum.eq(flash.index >= ENTRY.offsets["crc"]),
                    entry.write.eq(flash.strobe),
                    self.i.ready.eq(flash.done),
                ]
            with m.Case(Task.ERASE):
                m.d.comb += flash.op.eq(FlashOp.ERASE)
            with m.Default():
                m.d.comb += entry.read.eq(flash.strobe)

        def go(to, then=None):
            m.d.sync += phase.eq(to)
            if then is not None:
                m.d.sync += task.eq(then)

        with m.If(idle):
            m.d.sync += remaining.eq(self.nth)
            with m.If(~restored):
                with m.If(self.enable):
                    go(Phase.RUN, Task.SCAN)
            with m.Elif(self.start):
                m.d.sync += self.found.eq(0)
                with m.Switch(self.command):
                    with m.Case(LogCommand.FETCH_OLDEST):
                        m.d.comb += to_tail.eq(1)
                        go(Phase.BEGIN, Task.OLDEST)
                    with m.Case(LogCommand.FETCH_NTH):
                        m.d.comb += to_head.eq(1)
                        go(Phase.BEGIN, Task.NTH)
                    with m.Case(LogCommand.ACKNOWLEDGE):
                        m.d.comb += to_tail.eq(1)
                        go(Mux(loaded, Phase.RUN, Phase.DONE), Task.ACKNOWLEDGE)
            with m.Elif(self.i.valid & ~self.wait):
                m.d.comb += to_head.eq(1)
                go(Phase.RUN, Task.APPEND)

        with m.Elif(begin), m.Switch(task):
            with m.Case(Task.SCAN):  # has ended
                m.d.comb += to_head.eq(1)
                go(Phase.RUN, Task.BLANK)
            with m.Case(Task.OLDEST):
                m.d.sync += tail.eq(slot)
                go(Mux(at_head, Phase.DONE, Phase.RUN))
            with m.Case(Task.NTH):
                m.d.comb += down.eq(1)
                go(Phase.RUN)
            with m.Case(Task.ACKNOWLEDGE):  # has ended
                m.d.sync += tail.eq(slot)
                go(Phase.DONE)
            with m.Case(Task.APPEND):  # has ended
                m.d.sync += head.eq(slot)
                go(Phase.IDLE)
                # The next sector is needed. Unacknowledged entries in it are given up.
                with m.If(at_sector):
                    go(Phase.RUN, Task.ERASE)
                    with m.If(tail[-1] == slot[-1]):
                        m.d.sync += [tail.eq(Cat(slot[:-1], ~slot[-1])), loaded.eq(0)]

        with m.Elif(run):
            with m.If(flash.done):
                go(Phase.LOOK)

        with m.Elif(look), m.Switch(task):
            # Restore 1: the newest valid entry, which `head` remembers.
            with m.Case(Task.SCAN):
                m.d.comb += up.eq(1)
                with m.If(valid & (~some | entry.newer)):
                    m.d.comb += entry.keep.eq(1)
                    m.d.sync += [some.eq(1), head.eq(slot)]
                go(Mux(slot == slots - 1, Phase.BEGIN, Phase.RUN))
            # Restore 2: that one again, for its voltage, and the next blank slot behind it. The first slot
            # of a sector may look blank in a sector whose erase was cut short: there the erase is done again.
            with m.Case(Task.BLANK):
                go(Phase.RUN)
                with m.If(newest | ~(at_sector | entry.blank)):
                    m.d.comb += up.eq(1)
                with m.Else():
                    m.d.sync += [head.eq(slot), tail.eq(slot)]
                    m.d.comb += down.eq(~at_sector)
                    go(Phase.RUN, Mux(at_sector, Task.ERASE, Task.WALK))
            # Restore 3: back to the oldest unacknowledged entry. They are acknowledged in order, so the
            # first acknowledged or blank slot ends the walk; torn slots are passed over.
            with m.Case(Task.WALK):
                m.d.comb += down.eq(1)
                go(Phase.RUN)
                # Round the whole ring without a blank slot: the flash is dead.
                with m.If(entry.blank | (valid & entry.acked) | at_head):
                    m.d.sync += restored.eq(1)
                    go(Phase.IDLE)
                with m.Elif(valid):
                    m.d.sync += tail.eq(slot)
            with m.Case(Task.OLDEST):
                m.d.comb += up.eq(~valid)  # torn
                m.d.sync += [self.found.eq(valid), loaded.eq(valid)]
                go(Mux(valid, Phase.DONE, Phase.BEGIN))
            with m.Case(Task.NTH):
                go(Phase.BEGIN)
                with m.If(valid):
                    m.d.sync += [remaining.eq(remaining - 1), self.found.eq(remaining == 0)]
                with m.If(entry.blank | (valid & (remaining == 0)) | at_head):
                    go(Phase.DONE)
            with m.Case(Task.ACKNOWLEDGE):
                m.d.comb += up.eq(1)
                m.d.sync += loaded.eq(0)
                go(Phase.BEGIN)
            with m.Case(Task.APPEND):
                m.d.comb += up.eq(1)
                m.d.sync += fresh.eq(0)
                go(Phase.BEGIN)
            # `slot` = `head` = first slot of the sector.
            with m.Case(Task.ERASE):
                go(Phase.IDLE)
                with m.If(~restored):
                    m.d.comb += down.eq(1)
                    go(Phase.RUN, Task.WALK)

        with m.Else():
            go(Phase.IDLE)

        baseline = flash.strobe & (task == Task.BLANK) & newest
        for n in range(2):
            with m.If(baseline & (flash.index == ENTRY.offsets["baseline_mv"] + n)):
                m.d.sync += self.baseline_mv.word_select(n, 8).eq(flash.o)
        return m
