"""The event log in flash: queue of unacknowledged events, history and counters in one structure.

A ring of slots (`interface.ENTRY`) in two sectors. An event is programmed into the next blank slot before
anything else knows of it; an acknowledgement programs one byte of that slot to 00. Nothing else is ever
written, so power may fail at any instant: a torn slot fails its CRC and is skipped, and boot count and
event counter are those of the newest valid slot plus one. When a sector is full the other one is erased,
so at least the last 64 events stay readable and no write of an event waits for an erase of its own slot.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
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
from .log_program import CONDITIONS, ROWS, Row, State
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
        program = m.submodules.program = Memory(
            shape=Row, depth=len(ROWS), init=ROWS, attrs={"rom_block": True}
        )
        read = program.read_port()
        state = Signal(State)
        row = read.data
        # Each state: its operation of the flash, if it has one; then one cycle to find its row, one to do it.
        complete = Signal()
        acts = Signal()
        run = state.as_value()[3] & ~complete
        acknowledges = state == State.ACKNOWLEDGE

        # All slot numbers wrap around the ring. Entries from `tail` to before `head` are unacknowledged.
        head = Signal(range(slots))
        tail = Signal(range(slots))
        slot = Signal(range(slots))  # of the present operation
        at_head = slot == head
        at_sector = slot % self._sector_slots == 0

        some = Signal()  # a valid entry was found while restoring
        fresh = Signal(init=1)  # nothing has been written since power-up
        loaded = Signal()  # `tail` is the slot that FETCH_OLDEST loaded
        passed = Signal.like(self.nth)
        newest = some & at_head
        index = flash.index[: len(entry.index)]

        m.d.comb += [
            flash.start.eq(run),
            flash.address.eq(self._base | slot * FLASH_SLOT_BYTES),
            flash.length.eq(ENTRY.size),
            flash.skip.eq(index == ENTRY.offsets["acked"]),
            flash.i.eq(entry.written),
            entry.i.eq(flash.o),
            entry.before.eq(some),
            entry.first.eq(fresh),
            entry.event.eq(self.i.payload),
            entry.uptime.eq(self.uptime),
            self.uptime_index.eq(entry.uptime_index),
            # Nobody reads the loaded entry while the flash is busy. An entry is acknowledged by a zero.
            entry.index.eq(Mux(run, index | Mux(acknowledges, ENTRY.offsets["zeros"], 0), self.address)),
            entry.of_loaded.eq(~run),
            self.byte.eq(entry.byte),
            self.this_boot.eq(entry.same_boot & ~fresh),
            self.done.eq(acts & (state == State.DONE)),
            # What has been taken is pending at once, a little before `head` says so.
            self.pending.eq(
                (tail != head) | (state == State.APPENDED) | ((state == State.APPEND) & complete)
            ),
        ]
        with m.Switch(state):
            with m.Case(State.ACKNOWLEDGE):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.address.eq(self._base | slot * FLASH_SLOT_BYTES | ENTRY.offsets["acked"]),
                    flash.length.eq(1),
                ]
            with m.Case(State.APPEND):
                m.d.comb += [
                    flash.op.eq(FlashOp.PROGRAM),
                    flash.length.eq(ENTRY.offsets["acked"]),
                    flash.sum.eq(index >= ENTRY.offsets["crc"]),
                    entry.write.eq(flash.strobe),
                    self.i.ready.eq(flash.done),
                ]
            with m.Case(State.ERASE):
                m.d.comb += flash.op.eq(FlashOp.ERASE)
            with m.Default():
                m.d.comb += entry.read.eq(flash.strobe)

        # What the present state depends on, as `log_program` names it.
        conditions = Signal(CONDITIONS)
        m.d.comb += [
            read.addr.eq(Cat(conditions, state)),
            conditions.eq(Cat(flash.sum_ok & entry.whole, at_head, at_sector, entry.blank)),
        ]
        with m.Switch(state):
            with m.Case(State.OFF):
                m.d.comb += conditions[0].eq(self.enable)
            with m.Case(State.IDLE):
                number = Mux(self.start, self.command, self.i.valid & ~self.wait)
                m.d.comb += conditions.eq(Cat(number[:2], self.start, loaded))
            with m.Case(State.SCAN):
                m.d.comb += conditions[1:3].eq(Cat(slot == slots - 1, entry.newer | ~some))
            with m.Case(State.BLANK):
                m.d.comb += conditions[1].eq(newest)
            with m.Case(State.WALK):
                m.d.comb += conditions[2].eq(entry.acked)
            with m.Case(State.READ_NTH):
                m.d.comb += conditions[2].eq(passed == self.nth)
            with m.Case(State.APPENDED):
                m.d.comb += conditions[3].eq(tail[-1] == slot[-1])
            with m.Case(State.ERASE):
                m.d.comb += conditions[2].eq(self.ready)

        m.d.sync += [acts.eq(~acts & ~run), self.ready.eq(self.ready | (state == State.IDLE))]
        with m.If(flash.done):
            m.d.sync += complete.eq(1)
        with m.If(self.i.ready):
            m.d.sync += fresh.eq(0)
        with m.If(state == State.IDLE):
            m.d.sync += passed.eq(0)
        with m.If(acts):
            m.d.sync += [
                state.eq(row.next),
                complete.eq(0),
                some.eq(some | row.keep),
                passed.eq(passed + row.passes),
            ]
            m.d.comb += entry.keep.eq(row.keep)
            # Bit 2: to where the last bit tells; bit 1: to the next one, down if the last bit tells.
            with m.If(row.move.as_value()[2]):
                m.d.sync += slot.eq(Mux(row.move.as_value()[0], tail, head))
            with m.Elif(row.move.as_value()[1]):
                m.d.sync += slot.eq(slot + Mux(row.move.as_value()[0], -1, 1))
            with m.If(row.head):
                m.d.sync += head.eq(slot)
            with m.If(row.tail | row.give_up):
                m.d.sync += [tail.eq(Cat(slot[:-1], slot[-1] ^ row.give_up)), loaded.eq(0)]
            with m.Elif(row.loaded):
                m.d.sync += loaded.eq(1)
            with m.If(row.clear | row.found):
                m.d.sync += self.found.eq(row.found)

        # What comes last, with the strobe, stays.
        baseline = (state == State.BLANK) & newest
        for n in range(2):
            with m.If(baseline & (index == ENTRY.offsets["baseline_mv"] + n)):
                m.d.sync += self.baseline_mv.word_select(n, 8).eq(flash.o)
        return m
