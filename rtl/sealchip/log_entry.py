"""One entry of the event log on its way from and to flash: the bytes, and what they say."""

from amaranth.hdl import Array, C, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import ENTRY, Flags, Kind, StateClass

__all__ = ["EntryReader", "EntryWriter", "LoopEvent"]


class LoopEvent(data.Struct):
    """What the loop monitor hands over; the log adds boot count, counter and time stamp.

    `excursions` since the event before, saturating; `baseline_mv` in force from this event on, FFFF = none.
    """

    kind: Kind
    state: StateClass
    loop_mv: 16
    excursions: 8
    baseline_mv: 16


class EntryReader(wiring.Component):
    """Takes the bytes of one slot and says what they are.

    *Timing:* the outputs are right from the second cycle after the last byte on; byte 0 starts anew. The
    bytes stay readable through `address` → `byte`, one cycle later.

    Members
    -------
    strobe, index, i: bytes of the slot in order. blank: all FF. acked: acknowledged.
    boot, counter, baseline_mv: of the entry. address, byte: read port.

    Guarantees: `verif/chip/test_event_log.py`.
    """

    strobe: In(1)
    index: In(8)
    i: In(8)
    blank: Out(1)
    acked: Out(1)
    boot: Out(32)
    counter: Out(32)
    baseline_mv: Out(16)
    address: In(range(ENTRY.size))
    byte: Out(8)

    def elaborate(self, platform):
        m = Module()
        memory = m.submodules.memory = Memory(shape=8, depth=ENTRY.size, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.index),
            write.data.eq(self.i),
            write.en.eq(self.strobe),
            read.addr.eq(self.address),
            self.byte.eq(read.data),
        ]
        with m.If(self.strobe):
            m.d.sync += [
                self.blank.eq((self.i == 0xFF) & (self.blank | (self.index == 0))),
                self.acked.eq(self.i != 0xFF),
            ]
            # Boot count and counter are the first eight bytes, low byte first.
            with m.If(self.index < 8):
                m.d.sync += Cat(self.boot, self.counter).eq(Cat(Cat(self.boot, self.counter)[8:], self.i))
            baseline = ENTRY.slice("baseline_mv")
            with m.If((self.index >= baseline.start) & (self.index < baseline.stop)):
                m.d.sync += self.baseline_mv.eq(Cat(self.baseline_mv[8:], self.i))
        return m


class EntryWriter(wiring.Component):
    """Makes the bytes of a new entry, without its CRC.

    *Timing:* `start` holds the time stamp; then `byte` follows `index` in the same cycle.

    Members
    -------
    start, index, byte: see above. event, boot, counter, uptime: what the entry shall say.

    Guarantees: `verif/chip/test_event_log.py`.
    """

    start: In(1)
    index: In(8)
    byte: Out(8)
    event: In(LoopEvent)
    boot: In(32)
    counter: In(32)
    uptime: In(32)

    def elaborate(self, platform):
        m = Module()
        stamp = Signal(32)
        flags = Signal(16)
        booted_before = (self.event.kind == Kind.BOOT) & (self.boot != 1)
        m.d.comb += [
            flags[_bit(Flags.UNOBSERVED)].eq(booted_before),
            flags[_bit(Flags.EXCURSIONS)].eq(self.event.excursions != 0),
            flags[8:].eq(self.event.excursions),
        ]
        values = {
            "boot": self.boot,
            "counter": self.counter,
            "kind": self.event.kind,
            "state": self.event.state,
            "loop_mv": self.event.loop_mv,
            "flags": flags,
            "stamp": stamp,
            "baseline_mv": self.event.baseline_mv,
        }
        fields = [(field.width, values[field.name]) for field in ENTRY.fields if field.name in values]
        raw = Cat(Cat(value, C(0, 8 * width))[: 8 * width] for width, value in fields)
        m.d.comb += [
            self.byte.eq(Array(raw.word_select(n, 8) for n in range(ENTRY.offsets["crc"]))[self.index]),
        ]
        with m.If(self.start):
            m.d.sync += stamp.eq(self.uptime)
        return m


def _bit(flag):
    return flag.value.bit_length() - 1
