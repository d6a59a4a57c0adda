"""The chip's clock: the uptime, and date and time in BCD as DL/T 645-2007 tells and sets them (08H)."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["CLOCK_BYTES", "UPTIME", "CalendarClock"]

#: ss mm hh DD MM YY.
CLOCK_BYTES = 6
_DAY, _MONTH, _YEAR = 3, 4, 5
#: Place of the uptime, four bytes, low byte first.
UPTIME = 12
#: A pass goes around all places from here on, and ends with the year: first year and month, for they say how
#: long the month is; then the uptime, then ss to YY.
_BEGIN = 10


class CalendarClock(wiring.Component):
    """Keeps the seconds since reset, and once it has been set ss mm hh DD MM YY from 2000 to 2099.

    `set` begins taking six bytes: `source_index` asks for one, `source` gives it one cycle later and must
    not change in between. The new time is in force at once when all of them are a date and time; anything
    else (no BCD, 30 February, hour 24) leaves the clock as it was. After the last second of 2099 comes 2000,
    leap years included. The uptime wraps after 136 years.

    *Timing:* a pass through all bytes, for a second or a new time, takes at most 28 cycles, in which no byte
    means anything. While `hold` is high none begins, so that bytes read one by one belong together; it must
    be low once a second.

    Parameters
    ----------
    uptime: at reset; other than 0 in tests only.

    Members
    -------
    tick_s: one-cycle strobe every second. set, source_index, source: see above. valid: the clock is set.
    hold: see above. idle: no pass is under way. index, byte: ss to YY at 0 to 5, FF while the clock has not
    been set, and the uptime from `UPTIME` on; one cycle later. uptime_index, uptime: another port to the
    uptime, the same way. tick_128_s: strobe every 128 seconds.

    Guarantees: `verif/chip/test_clock.py::test_every_second_is_that_of_the_calendar`,
    `test_what_is_no_time_is_refused`, `test_unset_until_set`, `test_no_second_is_lost`,
    `test_a_new_time_waits_while_bytes_are_read`,
    `test_uptime_counts_through_all_bytes`, `test_a_tick_every_128_seconds`.
    """

    tick_s: In(1)
    set: In(1)
    source_index: Out(3)
    source: In(8)
    valid: Out(1)
    hold: In(1)
    index: In(4)
    byte: Out(8)
    uptime_index: In(2)
    uptime: Out(8)
    tick_128_s: Out(1)
    idle: Out(1)

    def __init__(self, uptime=0):
        self._uptime = uptime.to_bytes(4, "little")
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        # Two copies of the time, so that a refused one replaces nothing, and bytes FF that nobody writes; in
        # the first copy, the uptime.
        init = [0xFF] * UPTIME + [*self._uptime] + [0xFF] * 48
        memory = m.submodules.memory = Memory(shape=8, depth=64, init=init)
        read, write, others = memory.read_port(), memory.write_port(), memory.read_port()
        bank = Signal()  # the copy in force
        second = Signal()  # to be counted
        setting = Signal()  # the pass takes a new time
        asked = Signal()  # one is waiting
        step = Signal(4)
        place = Signal(4)
        byte = Signal(8)
        limit = Signal(8)
        least = Signal()
        carry = Signal()  # of the second, up to this byte
        wrong = Signal()
        leap = Signal()
        last_day = Signal(8)

        ahead = step[3] & ~step[2]
        of_uptime = step[3] & step[2]
        over = limit < byte + Mux(setting, 0, 1)
        full = byte[:4] == Mux(of_uptime, 15, 9)
        following = Mux(full, Cat(C(0, 4), (byte[4:] + 1)[:4]), Cat((byte[:4] + 1)[:4], byte[4:]))
        m.d.comb += [
            place.eq(Mux(ahead, Cat(~step[0], C(_YEAR >> 1, 3)), step)),
            self.source_index.eq(place),
            byte.eq(Mux(setting, self.source, read.data)),
            limit.eq(Mux(of_uptime, 0xFF, Array([0x59, 0x59, 0x23, last_day, 0x12, 0x99])[place[:3]])),
            least.eq(~of_uptime & ((place[:3] == _DAY) | (place[:3] == _MONTH))),
            write.addr.eq(Cat(place, ~of_uptime & (bank ^ setting))),
            write.data.eq(Mux(setting, byte, Mux(over, least, following))),
            read.addr.eq(Cat(place, ~of_uptime & bank)),
            read.en.eq(~write.en),  # as in `EventQueue`
            others.en.eq(~write.en),
            others.addr.eq(Cat(self.index, Mux(self.index[3], 0, Cat(bank, ~self.valid)))),
            self.uptime.eq(read.data),
            self.byte.eq(others.data),
            self.tick_128_s.eq(write.en & (step == UPTIME) & (following[:7] == 0)),
        ]
        with m.If(self.tick_s):
            m.d.sync += second.eq(1)
        with m.If(self.set):
            m.d.sync += asked.eq(1)

        with m.FSM(name="state"):
            with m.State("idle"):
                m.d.comb += self.idle.eq(1)
                m.d.comb += read.addr.eq(Cat(self.uptime_index, C(UPTIME >> 2, 2)))
                m.d.sync += [step.eq(_BEGIN), carry.eq(1), wrong.eq(0), setting.eq(asked)]
                with m.If(~self.hold):
                    with m.If(asked):
                        m.d.sync += asked.eq(0)
                        m.next = "ask"
                    with m.Elif(second):
                        m.d.sync += second.eq(self.tick_s)
                        m.next = "ask"
            with m.State("ask"):
                m.next = "take"
            with m.State("take"):
                with m.If(of_uptime):
                    m.d.comb += write.en.eq(~setting & carry)
                with m.Elif(~ahead):
                    m.d.comb += write.en.eq(setting | (carry & self.valid))
                m.d.sync += step.eq(step + 1)
                m.next = "ask"
                with m.If(place == _YEAR):
                    # Every fourth year from 2000 to 2099; of BCD, tens count twice.
                    m.d.sync += leap.eq(~byte[0] & ~(byte[1] ^ byte[4]))
                with m.If(place == _MONTH):
                    m.d.sync += last_day.eq(_last_day(byte, leap))
                with m.If(~of_uptime & (over | (byte[:4] > 9) | (least & (byte == 0)))):
                    m.d.sync += wrong.eq(1)
                with m.If(~ahead):
                    # Behind the uptime the second begins anew.
                    m.d.sync += carry.eq((carry & over) | (step == UPTIME + 3))
                with m.If(step == _YEAR):
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
