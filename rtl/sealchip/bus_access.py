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

from .deframer import FrameHead

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

    *Timing:* quiet is counted in ms from the last low level of the line or the end of the own driving. The
    slot runs down, in ms, once it has been quiet for `GAP_MS` where no answer is due, `CRASH_MS` after an
    own frame that ended in a collision, `SILENCE_MS` where an answer may be due; then `free` is high. `draw`
    draws a new slot of 0 to 31 times `SLOT_MS`. After reset an answer may be due.

    Members
    -------
    ro: the line. de: own driver. tick_ms: time. frame, head: frames of others. sent, expects: an own frame
    was sent, and whether it wants an answer. broken: an own frame was given up, in the last cycle of `de`.
    seed: differs between seals. draw: draw a slot.
    free: the seal may start a frame now. quiet_ms: see above, saturating. silence: `SILENCE_MS` of it.
    stuck: the line has been low for `STUCK_MS`.

    Guarantees: `verif/chip/test_bus_access.py::test_silent_while_an_answer_is_due`,
    `test_free_soon_when_no_answer_is_due`, `test_quick_after_a_collision`, `test_slots_differ_with_the_seed`,
    `test_a_stuck_line_is_told`; the whole in `verif/chip/test_chip_bus.py`;
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
        slot_ms = Signal(range(SLOT_MS << SLOT_BITS))
        # Galois LFSR x^16 + x^14 + x^13 + x^11 + 1, never 0; the seed is mixed in at each draw, so that
        # seals that power up in the same cycle do not draw the same slots.
        lfsr = Signal(16, init=1)
        stepped = Signal(16)
        m.d.comb += stepped.eq((lfsr >> 1) ^ Mux(lfsr[0], 0xB400, 0))
        m.d.sync += lfsr.eq(stepped)

        activity = ~self.ro | self.de
        with m.If(activity):
            m.d.sync += self.quiet_ms.eq(0)
        with m.Elif(self.tick_ms & ~self.quiet_ms.all()):
            m.d.sync += self.quiet_ms.eq(self.quiet_ms + 1)

        # The line may still be low when an own frame has just been given up; a new low is somebody else's.
        falls = Signal()
        high = Signal(init=1)
        m.d.sync += high.eq(self.ro)
        m.d.comb += falls.eq(high & ~self.ro)
        with m.If(self.de | falls):
            m.d.sync += [due.eq(1), crashed.eq(0)]
        with m.If(self.frame):
            m.d.sync += due.eq(~self.head.control[7] & ~self.head.broadcast)
        with m.If(self.sent):
            m.d.sync += due.eq(self.expects)
        with m.If(self.broken):
            m.d.sync += [due.eq(0), crashed.eq(1)]

        open_ = Signal()
        pause = Mux(due, SILENCE_MS, Mux(crashed, CRASH_MS, GAP_MS))
        m.d.comb += [
            open_.eq(~activity & ~self.frame & (self.quiet_ms >= pause)),
            self.free.eq(open_ & (slot_ms == 0)),
            self.silence.eq(self.quiet_ms >= SILENCE_MS),
        ]
        with m.If(open_ & self.tick_ms & (slot_ms != 0)):
            m.d.sync += slot_ms.eq(slot_ms - 1)
        with m.If(self.draw):
            mixed = stepped ^ self.seed
            drawn = (mixed[:SLOT_BITS] ^ mixed[SLOT_BITS:])[:SLOT_BITS]
            m.d.sync += [lfsr.eq(Mux(mixed == 0, 1, mixed)), slot_ms.eq(drawn * SLOT_MS)]

        low_ms = Signal(range(STUCK_MS + 1))
        m.d.comb += self.stuck.eq(low_ms == STUCK_MS)
        with m.If(self.ro):
            m.d.sync += low_ms.eq(0)
        with m.Elif(self.tick_ms & ~self.stuck):
            m.d.sync += low_ms.eq(low_ms + 1)
        return m
