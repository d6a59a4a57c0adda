"""When the seal may speak: carrier sense and back-off on a pair shared with meters, terminal and seals.

DL/T 645 is strictly request and answer, and a slave may take 500 ms to answer. So the pair is free when
the last thing heard was the end of an answer (or of a broadcast, which nobody answers), or when it has
been silent for longer than any answer may take. A frame that was given up after a collision has no answer:
who had to give it up tries again at once, while all others still wait. Seals that wait for the same moment
draw a slot each and count it down while the pair is free; who was not first goes on counting next time.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..signatures import FrameHead

__all__ = ["BusAccess"]

#: Silence in ms after which neither an answer nor a byte of a frame can come any more: Td and Tb are up to
#: 500 ms, and quiet is counted from the last low level, which may be 17 ms before a character's end.
SILENCE_MS = 520
#: Least quiet in ms between an answer and a seal's frame.
GAP_MS = 4
#: Quiet in ms after which somebody who did not give up would have been heard: no byte at 600 baud or more
#: is high for longer than 9 bits.
CRASH_MS = 20
#: A slot must outlast what one seal's tick may be behind another's, 1 ms, and the half bit between the
#: decision to send and the first start bit.
SLOT_MS = 2
SLOT_BITS = 5
#: The line low for longer than any character lasts at 600 baud: a driver is stuck.
STUCK_MS = 64


class BusAccess(wiring.Component):
    """Says when the pair is free for this seal.

    *Timing:* quiet is counted in ms from the last rise of the line or the end of the own driving. The slot
    runs down, in ms, once it has been quiet for `GAP_MS` where no answer is due, `CRASH_MS` after an own
    frame that ended in a collision, `SILENCE_MS` where an answer may be due; then `free` is high. After reset
    an answer may be due. `draw` draws a new slot, in force from the second cycle behind it; till then `free`
    is low. It is `SLOT_MS` times the lowest five bits of a Galois LFSR x^16 + x^14 + x^13 + x^11 + 1. This is
    1 at reset, makes a step in each cycle with a tick or a draw, and takes the seed in, bit by bit modulo 2,
    with the step of a draw.

    Members
    -------
    ro: the line. de: own driver. tick_ms: time. frame, head: frames of others. sent, expects: an own frame
    was sent, and whether it wants an answer. broken: an own frame was given up, in the last cycle of `de`.
    seed: differs between seals. draw: draw a slot.
    free: the seal may start a frame now. quiet_ms: see above, up to `SILENCE_MS`. silence: so long.
    stuck: the line has been low for `STUCK_MS`.

    Guarantees: `verif/blocks/test_bus_access.py::test_every_cycle_is_as_promised`,
    `test_silent_while_an_answer_is_due`, `test_free_soon_when_no_answer_is_due`,
    `test_quick_after_a_collision`, `test_slots_differ_with_the_seed`, `test_a_stuck_line_is_told`;
    the whole in `verif/chip/test_chip_bus.py`;
    proof: `verif/formal/bus.py::free_only_when_nobody_else_speaks`.
    """

    ro: In(1, init=1)
    de: In(1)
    tick_ms: In(1)
    frame: In(1)
    head: In(FrameHead)
    sent: In(1)
    expects: In(1)
    broken: In(1)
    seed: In(16)
    draw: In(1)
    free: Out(1)
    quiet_ms: Out(10)
    silence: Out(1)
    stuck: Out(1)

    def elaborate(self, platform):
        m = Module()
        due = Signal(init=1)  # somebody's answer may still come
        crashed = Signal()  # the last thing on the pair was an own frame that was given up
        high = Signal(init=1)  # the line, one cycle ago
        held_ms = Signal(len(self.quiet_ms))  # how long it has been so; high, and driven by others
        longest = (held_ms & SILENCE_MS) == SILENCE_MS  # counted up from 0, and no further
        quiet = self.ro & high & ~self.de
        m.d.sync += high.eq(self.ro)
        with m.If((self.ro != high) | (self.ro & self.de)):
            m.d.sync += held_ms.eq(0)
        with m.Elif(self.tick_ms & ~longest):
            m.d.sync += held_ms.eq(held_ms + 1)

        # The line may still be low when an own frame has just been given up; a new low is somebody else's.
        with m.If(self.de | (high & ~self.ro)):
            m.d.sync += [due.eq(1), crashed.eq(0)]
        with m.If(self.frame):
            m.d.sync += due.eq(~self.head.control[7] & ~self.head.broadcast)
        with m.If(self.sent):
            m.d.sync += due.eq(self.expects)
        with m.If(self.broken):
            m.d.sync += [due.eq(0), crashed.eq(1)]

        # The seed is mixed in at each draw, so that seals that power up in the same cycle do not draw the
        # same slots; where that gives 0, the next draw gives the seed.
        lfsr = Signal(16, init=1)
        drawn = Signal()  # the slot is to be taken
        slot_ms = Signal(range(SLOT_MS << SLOT_BITS))
        m.d.sync += drawn.eq(self.draw)
        with m.If(self.draw | self.tick_ms):
            m.d.sync += lfsr.eq((lfsr >> 1) ^ Mux(lfsr[0], 0xB400, 0) ^ Mux(self.draw, self.seed, 0))

        open_ = Signal()
        soon = (held_ms >= CRASH_MS) | ((held_ms >= GAP_MS) & ~crashed)
        m.d.comb += [
            open_.eq(quiet & ~self.frame & (longest | (~due & soon))),
            self.free.eq(open_ & (slot_ms == 0) & ~drawn),
            self.quiet_ms.eq(Mux(quiet, held_ms, 0)),
            self.silence.eq(quiet & longest),
            self.stuck.eq(~self.ro & ~high & (held_ms >= STUCK_MS)),
        ]
        with m.If(drawn):
            m.d.sync += slot_ms.eq(lfsr[:SLOT_BITS] * SLOT_MS)
        with m.Elif(open_ & self.tick_ms & (slot_ms != 0)):
            m.d.sync += slot_ms.eq(slot_ms - 1)
        return m
