"""The chip's calendar clock: date and time in BCD, as DL/T 645-2007 tells and sets them (08H)."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["CLOCK_BYTES", "CalendarClock"]

#: ss mm hh DD MM YY.
CLOCK_BYTES = 6
_DAY, _MONTH, _YEAR = 3, 4, 5
#: Steps of one pass: year and month first, for they say how long the month is; then ss to YY.
_AHEAD, _STEPS = 2, 8


class CalendarClock(wiring.Component):
    """Keeps ss mm hh DD MM YY from 2000 to 2099, leap years included, once it has been set.

    `set` begins taking six bytes: `source_index` asks for one, `source` gives it one cycle later and must
    not change in between. The new time is in force at once when all of them are a date and time; anything
    else (no BCD, 30 February, hour 24) leaves the clock as it was. After the last second of 2099 comes 2000.

    *Timing:* a pass through all bytes, for a second or a new time, takes at most 25 cycles, in which `byte`
    means nothing. `byte` follows `index` one cycle later, FF while the clock has not been set. While `hold`
    is high no second is counted, so that bytes read one by one belong together; it must be low once a second.

    Members
    -------
    tick_s: one-cycle strobe every second. set, source_index, source: see above. valid: the clock is set.
    hold, index, byte: see above. idle: no pass is under way.

    Guarantees: `verif/chip/test_clock.py::test_every_second_is_that_of_the_calendar`,
    `test_what_is_no_time_is_refused`, `test_unset_until_set`, `test_no_second_is_lost`.
    """

    tick_s: In(1)
    set: In(1)
    source_index: Out(3)
    source: In(8)
    valid: Out(1)
    hold: In(1)
    index: In(3)
    byte: Out(8)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        # Two copies of the time, so that a refused one replaces nothing; and bytes FF that nobody writes.
        memory = m.submodules.memory = Memory(shape=8, depth=32, init=[0xFF] * 32)
        read, write = memory.read_port(), memory.write_port()
        bank = Signal()  # the copy in force
        second = Signal()  # to be counted
        setting = Signal()  # the pass takes a new time
        asked = Signal()  # one is waiting
        index = Signal(3)
        step = Signal(range(_STEPS))
        byte = Signal(8)
        limit = Signal(8)
        least = Signal()
        carry = Signal()  # of the second, up to this byte
        wrong = Signal()
        leap = Signal()
        last_day = Signal(8)

        ahead = step < _AHEAD
        over = limit < byte + Mux(setting, 0, 1)
        digits = Mux(byte[:4] == 9, Cat(0, 0, 0, 0, (byte[4:] + 1)[:4]), Cat((byte[:4] + 1)[:4], byte[4:]))
        m.d.comb += [
            index.eq(Mux(ahead, _YEAR - step, step - _AHEAD)),
            self.source_index.eq(index),
            byte.eq(Mux(setting, self.source, read.data)),
            limit.eq(Array([0x59, 0x59, 0x23, last_day, 0x12, 0x99])[index]),
            least.eq((index == _DAY) | (index == _MONTH)),
            write.addr.eq(Cat(index, bank ^ setting)),
            write.data.eq(Mux(setting, byte, Mux(over, least, digits))),
            read.en.eq(~write.en),  # as in `Sm4`
            self.byte.eq(read.data),
        ]
        with m.If(self.tick_s):
            m.d.sync += second.eq(1)
        with m.If(self.set):
            m.d.sync += asked.eq(1)

        with m.FSM(name="state"):
            with m.State("idle"):
                m.d.comb += self.idle.eq(1)
                m.d.comb += read.addr.eq(Cat(self.index, bank, ~self.valid))
                m.d.sync += [step.eq(0), carry.eq(1), wrong.eq(0), setting.eq(asked)]
                with m.If(asked):
                    m.d.sync += asked.eq(0)
                    m.next = "ask"
                with m.Elif(second & ~self.hold):
                    m.d.sync += second.eq(self.tick_s)
                    with m.If(self.valid):
                        m.next = "ask"
            with m.State("ask"):
                m.d.comb += read.addr.eq(Cat(index, bank))
                m.next = "take"
            with m.State("take"):
                m.d.comb += write.en.eq(setting | (carry & ~ahead))
                m.d.sync += step.eq(step + 1)
                m.next = "ask"
                with m.If(index == _YEAR):
                    # Every fourth year from 2000 to 2099; of BCD, tens count twice.
                    m.d.sync += leap.eq(~byte[0] & ~(byte[1] ^ byte[4]))
                with m.If(index == _MONTH):
                    m.d.sync += last_day.eq(_last_day(byte, leap))
                with m.If(over | (byte[:4] > 9) | (least & (byte == 0))):
                    m.d.sync += wrong.eq(1)
                with m.If(~ahead):
                    m.d.sync += carry.eq(carry & over)
                with m.If(step == _STEPS - 1):
                    m.next = "end"
            with m.State("end"):
                with m.If(setting & ~wrong):
                    m.d.sync += [bank.eq(~bank), self.valid.eq(1)]
                m.next = "idle"
        return m


def _last_day(month, leap):
    """Last day of the month, all BCD."""
    short = (month == 0x04) | (month == 0x06) | (month == 0x09) | (month == 0x11)
    return Mux(month == 0x02, Mux(leap, 0x29, 0x28), Mux(short, 0x30, 0x31))
