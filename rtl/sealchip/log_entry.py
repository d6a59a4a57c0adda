"""Entries of the event log on their way from and to flash: the bytes, and what they say."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import ENTRY, Flags, Kind, StateClass

__all__ = ["EntryStore", "LoopEvent"]

#: Bytes of memory for one entry.
_ROOM = 32
#: Bytes at the beginning of an entry that are boot count and counter.
_COUNTED = ENTRY["boot"].width + ENTRY["counter"].width


class LoopEvent(data.Struct):
    """What the loop monitor hands over; the log adds boot count, counter and time stamp.

    `excursions` since the event before, saturating; `baseline_mv` in force from this event on, FFFF = none.
    """

    kind: Kind
    state: StateClass
    loop_mv: 16
    excursions: 8
    baseline_mv: 16


class EntryStore(wiring.Component):
    """Two entries in one memory: the newest, which is all that the log remembers of its counters, and the one
    that was read last.

    *Reading:* `read` takes byte `index` of a slot, `i`; then `newer`, `whole`, `blank`, `acked` and
    `same_boot` say what it is. `keep` makes it the newest. *Writing:* `written` is byte `index` of the next
    entry, which follows from the newest one and the event; `write` says that it has been taken, and it
    replaces that of the newest. Bytes come in order, from index 0 on, and each index rests a cycle before
    `read` or `write`.

    Members
    -------
    index, read, i, write, written, keep: see above. event: what to write.
    uptime_index, uptime: byte of the time stamp, one cycle later.
    before: there was an entry at power-up; else boot count and counter begin at 0.
    first: the next entry is the first of this power-up: one more boot.
    newer: its counter is greater than the newest's. whole: its `zeros` are. blank: all FF.
    acked: acknowledged. same_boot: its boot count is the newest's. of_loaded, byte: byte `index` of what was
    read, one cycle later, while nothing else is done.

    Guarantees: `verif/chip/test_event_log.py`.
    """

    index: In(8)
    read: In(1)
    i: In(8)
    write: In(1)
    written: Out(8)
    keep: In(1)
    event: In(LoopEvent)
    uptime_index: Out(2)
    uptime: In(8)
    before: In(1)
    first: In(1)
    newer: Out(1)
    whole: Out(1)
    blank: Out(1)
    acked: Out(1)
    same_boot: Out(1)
    of_loaded: In(1)
    byte: Out(8)

    def elaborate(self, platform):
        m = Module()
        # Behind the two entries there are zeros that nobody writes.
        memory = m.submodules.memory = Memory(shape=8, depth=4 * _ROOM, init=[])
        write, read = memory.write_port(), memory.read_port()
        newest = Signal()  # which half
        with m.If(self.keep):
            m.d.sync += newest.eq(~newest)
        place = self.index[: (_ROOM - 1).bit_length()]
        m.d.comb += [
            write.addr.eq(Cat(place, newest ^ self.read)),
            write.data.eq(Mux(self.read, self.i, self.written)),
            write.en.eq(self.read | self.write),
            read.addr.eq(Cat(place, newest ^ self.of_loaded, self.first & ~self.before & ~self.of_loaded)),
            read.en.eq(~write.en),  # as in `Sm4`
            self.byte.eq(read.data),
        ]

        # Boot count and counter are the first eight bytes, low byte first, the counter in the last four: so
        # one comparison of all eight tells which counter is greater.
        borrow = Signal()
        carry = Signal()
        difference, sum_ = Signal(9), Signal(9)
        begins = self.index == 0
        zeros = ENTRY.slice("zeros")
        m.d.comb += [
            difference.eq(read.data - self.i - (borrow & ~begins)),
            sum_.eq(read.data + Mux(self.index[:2] == 0, self.first | self.index[2], carry)),
            self.newer.eq(borrow),
        ]
        with m.If(self.write):
            m.d.sync += carry.eq(sum_[8])
        with m.If(self.read):
            m.d.sync += [
                self.blank.eq((self.i == 0xFF) & (self.blank | begins)),
                self.acked.eq(self.i != 0xFF),
            ]
            with m.If((self.index >= zeros.start) & (self.index < zeros.stop)):
                m.d.sync += self.whole.eq((self.i == 0) & (self.whole | (self.index == zeros.start)))
            with m.If(self.index < _COUNTED):
                m.d.sync += borrow.eq(difference[8])
            with m.If(self.index < ENTRY["boot"].width):
                m.d.sync += self.same_boot.eq((self.i == read.data) & (self.same_boot | begins))

        event = self.event
        unobserved = (event.kind == Kind.BOOT) & self.before
        flags = Signal(16)
        m.d.comb += [
            flags[_bit(Flags.UNOBSERVED)].eq(unobserved),
            flags[_bit(Flags.EXCURSIONS)].eq(event.excursions != 0),
            flags[8:].eq(event.excursions),
            self.uptime_index.eq(self.index - ENTRY.offsets["stamp"]),
            self.written.eq(sum_[:8]),
        ]
        values = {
            "kind": event.kind,
            "state": event.state,
            "loop_mv": event.loop_mv,
            "flags": flags,
            "baseline_mv": event.baseline_mv,
        }
        with m.Switch(self.index):
            for name, value in values.items():
                for n in range(ENTRY[name].width):
                    with m.Case(ENTRY.offsets[name] + n):
                        m.d.comb += self.written.eq(Value.cast(value)[8 * n : 8 * n + 8])
            stamp = ENTRY.slice("stamp")
            with m.Case(*range(stamp.start, stamp.stop)):
                m.d.comb += self.written.eq(self.uptime)
            with m.Case(*range(zeros.start, zeros.stop)):
                m.d.comb += self.written.eq(0)
        return m


def _bit(flag):
    return flag.value.bit_length() - 1
