"""The driven pattern: if the loop does not return what was sent, another source feeds it."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CLEAN_PHASES", "DrivenPattern"]

#: Durations in ticks of 1 ms. After `SETTLE_MS` a converter has followed any step of the loop.
SETTLE_MS, OFF_MS, ON_MIN_MS, ON_MAX_MS = 8, 12, 64, 256
#: How many off phases in a row must be clean before a mismatch is over.
CLEAN_PHASES = 4
#: After `ON_MIN_MS` the drive goes off with a chance of 1 in 2^`_CHANCE_BITS` in each millisecond.
_CHANCE_BITS = 5


class DrivenPattern(wiring.Component):
    """Switches the drive off at times that cannot be foreseen; the loop must then read as open.

    The drive is off for 12 ms, then on for 64 to 256 ms. The end of the on phase is drawn from a shift
    register of 16 bits that steps every millisecond and mixes in the noise of the measurement, so that a
    source which has watched the pattern cannot follow it. After each switching the loop settles for 8 ms. The
    first phase after reset is off.

    An off phase is *clean* when at least one settled reading was taken in it and every one was open.
    `mismatch` rises at the end of a phase that was not, and falls at the end of the fourth clean one in a
    row.

    *Timing:* `blind` is high from the switching off until the drive has been on for 8 ms, so for 20 ms, and
    then low for 56 ms at least.

    Members
    -------
    tick_ms : strobe, each millisecond.
    valid : strobe, a reading.
    reads_open : whether it is that of an open loop.
    noise : a bit of the reading that cannot be foreseen.
    drive : the voltage on the first electrode plate.
    blind : readings do not show the loop as it is.
    mismatch : see above.

    Guarantees: `verif/blocks/test_sense_pattern.py::test_any_foreign_reading_is_a_mismatch`,
    `test_phases_are_bounded_and_differ`, `test_the_shift_register_takes_its_time_to_repeat`.
    """

    tick_ms: In(1)
    reads_open: In(1)
    valid: In(1)
    noise: In(1)
    drive: Out(1)
    blind: Out(1, init=1)
    mismatch: Out(1)

    def elaborate(self, platform):
        m = Module()
        elapsed = Signal(range(ON_MAX_MS))
        settled = Signal()
        random = Signal(16, init=1)
        was_read = Signal()
        read_other = Signal()
        reads_other = Signal()
        unclean = Signal(range(CLEAN_PHASES + 1))
        may_end = Signal()
        ends = Signal()
        clean = Signal()

        m.d.comb += [
            self.mismatch.eq(unclean != 0),
            reads_other.eq(settled & self.valid & ~self.reads_open),
            clean.eq(was_read & ~read_other & ~reads_other),
            may_end.eq((elapsed >= ON_MIN_MS - 1) & ~random[:_CHANCE_BITS].any()),
            ends.eq(Mux(self.drive, may_end | (elapsed == ON_MAX_MS - 1), elapsed == OFF_MS - 1)),
        ]
        with m.If(self.tick_ms):
            feedback = random[15] ^ random[14] ^ random[12] ^ random[3]
            m.d.sync += [random.eq(Cat(feedback ^ self.noise, random)), elapsed.eq(elapsed + 1)]
            with m.If(elapsed == SETTLE_MS - 1):
                m.d.sync += [settled.eq(1), self.blind.eq(~self.drive)]
            with m.If(ends):
                m.d.sync += [elapsed.eq(0), settled.eq(0), self.drive.eq(~self.drive), self.blind.eq(1)]
                with m.If(~self.drive & ~clean):
                    m.d.sync += unclean.eq(CLEAN_PHASES)
                with m.Elif(~self.drive & self.mismatch):
                    m.d.sync += unclean.eq(unclean - 1)

        with m.If(self.drive):
            m.d.sync += [was_read.eq(0), read_other.eq(0)]
        with m.Elif(settled & self.valid):
            m.d.sync += was_read.eq(1)
            with m.If(reads_other):
                m.d.sync += read_other.eq(1)
        return m
