"""Entries of the event log on their way from and to flash: the bytes, and what they say."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import ENTRY, Flags, Kind, StateClass

__all__ = ["EntryStore", "LoopEvent"]

#: Bytes of memory for one entry.
_ROOM = 32
#: Words are known by their place: boot count, counter, two that tell the event, time stamp, zeros.
_WORD = 4
_PLACES = {"boot": 0, "counter": 4, "kind": 8, "stamp": 16, "zeros": 20, "crc": 24}
if any(ENTRY.offsets[name] != place for name, place in _PLACES.items()):
    raise ValueError("the fields of an entry are not where the log takes them to be")


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

    Guarantees: `verif/chip/test_log_entry.py::test_entries_like_the_reference`; as part of the log,
    `verif/chip/test_event_log.py`.
    """

    index: In(range(_ROOM))
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
        index = self.index
        word = index[2:]
        counts, ours, zeros = index[3:] == 0, index[3:] == 1, word == _PLACES["zeros"] // _WORD
        # The zeros are compared with zeros; and what is counted begins there in a blank flash.
        nothing = zeros | (self.first & ~self.before)
        m.d.comb += [
            write.addr.eq(Cat(index, newest ^ self.read)),
            write.data.eq(Mux(self.read, self.i, self.written)),
            write.en.eq(self.read | self.write),
            read.addr.eq(Cat(index, newest ^ self.of_loaded, nothing & ~self.of_loaded)),
            read.en.eq(~write.en),  # as in `EventQueue`
            self.byte.eq(read.data),
        ]

        # One adder for both: the counter of the newest entry less what is read, and one more than it. Boot
        # count and counter come with the low byte first.
        carry = Signal()
        sum_ = Signal(9)
        begins = index[:2] == 0
        m.d.comb += [
            sum_.eq(read.data + Mux(self.read, ~self.i, 0) + Mux(begins, index[2] | self.first, carry)),
            self.newer.eq(~carry),
        ]
        with m.If(write.en & counts):
            m.d.sync += carry.eq(sum_[8])

        same = self.i == read.data
        with m.If(self.read):
            m.d.sync += [
                self.blank.eq((self.i == 0xFF) & (self.blank | (index == 0))),
                self.acked.eq(self.i != 0xFF),
            ]
            with m.If(zeros):
                m.d.sync += self.whole.eq(same & (self.whole | begins))
            with m.If(counts & ~index[2]):
                m.d.sync += self.same_boot.eq(same & (self.same_boot | begins))

        m.d.comb += self.uptime_index.eq(index)
        with m.If(counts):
            m.d.comb += self.written.eq(sum_)
        with m.Elif(ours):
            m.d.comb += self.written.eq(self._told().word_select(index[:3], 8))
        with m.Elif(~zeros):
            m.d.comb += self.written.eq(self.uptime)
        return m

    def _told(self):
        """The bytes of an entry that tell the event."""
        event = self.event
        flags = {
            Flags.UNOBSERVED: (event.kind == Kind.BOOT) & self.before,
            Flags.EXCURSIONS: event.excursions != 0,
        }
        values = {
            "kind": event.kind,
            "state": event.state,
            "loop_mv": event.loop_mv,
            "flags": Cat(*(flags.get(Flags(1 << n), 0) for n in range(8)), event.excursions),
            "baseline_mv": event.baseline_mv,
        }
        # In the order of the entry.
        return Cat(_filled(value, 8 * ENTRY[name].width) for name, value in values.items())


def _filled(value, width):
    value = Value.cast(value)
    return Cat(value, C(0, width - len(value)))
