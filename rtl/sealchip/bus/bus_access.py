"""When the seal may send: carrier sense and back-off on a bus shared with meters, terminal and other seals.

DL/T 645 is strictly request and answer, and a slave may take 500 ms to answer. So the bus is free when the
last frame received was an answer, or a broadcast, which is not answered, or when it has been silent for
longer than any answer may take. A frame that was given up after a collision has no answer: its sender tries
again at once, while all others still wait. Seals that wait for the same moment draw a slot each and count it
down while the bus is free; those that were not first continue their count the next time.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..signatures import BusRequest, FrameIn, SendResult, Ticks

__all__ = ["BusAccess"]

#: Silence in ms after which neither an answer nor a byte of a frame can come any more: Td and Tb are up to
#: 500 ms, and quiet is counted from the last low level, which may be 17 ms before a character's end. The
#: counter stops where it has all the bits of this number, and no smaller number has them.
SILENCE_MS = 520
#: Least quiet in ms between an answer and a seal's frame.
GAP_MS = 4
#: Quiet in ms after which a sender that did not give up would have been heard: no byte at 600 baud or more is
#: high for longer than 9 bits, 15 ms.
CRASH_MS = 20
#: A slot must outlast the difference between the ticks of two seals, 1 ms, and the half bit between the
#: decision to send and the first start bit.
SLOT_MS = 2
SLOT_BITS = 5
#: The line low for longer than any character lasts at 600 baud: a driver is stuck.
STUCK_MS = 64


class BusAccess(wiring.Component):
    """Finds out when the bus is free for this seal.

    *Timing:* quiet is counted in ms from the last rise of the line or the end of the own driving. The slot
    runs down, in ms, once it has been quiet for `GAP_MS` where no answer is due, `CRASH_MS` after an own
    frame that ended in a collision, `SILENCE_MS` where an answer may be due; then `request.free` is high.
    After reset an answer may be due.

    `request.draw` draws a new slot, in force from the second cycle after it; till then `free` is low. It is
    `SLOT_MS` times the lowest five bits of a Galois LFSR x^16 + x^14 + x^13 + x^11 + 1. This is 1 at reset,
    makes a step in each cycle with a tick or a draw, and takes the seed in, bit by bit modulo 2, with the
    step of a draw.

    Members
    -------
    ro : the line.
    de : the own driver.
    ticks : the time.
    frame : the frames of others.
    sent : how an own frame has ended.
    expects : an own frame that was sent whole wants an answer.
    seed : a number that differs between seals.
    request : the reporter's.
    quiet_ms : for how long it has been quiet, up to `SILENCE_MS`.
    silence : it has been quiet for so long.
    stuck : the line has been low for `STUCK_MS`.

    Guarantees: `verif/blocks/test_bus_access.py::test_every_cycle_is_as_promised`,
    `test_silent_while_an_answer_is_due`, `test_free_soon_when_no_answer_is_due`,
    `test_quick_after_a_collision`, `test_slots_differ_with_the_seed`, `test_a_stuck_line_is_reported`;
    the whole in `verif/chip/test_chip_bus.py`;
    proof: `verif/formal/bus.py::free_only_when_nobody_else_speaks`.
    """

    ro: In(1, init=1)
    de: In(1)
    ticks: In(Ticks)
    frame: In(FrameIn)
    sent: In(SendResult)
    expects: In(1)
    seed: In(16)
    request: In(BusRequest)
    quiet_ms: Out(10)
    silence: Out(1)
    stuck: Out(1)

    def elaborate(self, platform):
        m = Module()
        tick = self.ticks.ms
        due = Signal(init=1)  # an answer may still come
        crashed = Signal()  # the last thing on the bus was an own frame that was given up
        high = Signal(init=1)  # the line, one cycle ago
        held_ms = Signal(len(self.quiet_ms))  # how long it has been so; high, and driven by others
        longest = (held_ms & SILENCE_MS) == SILENCE_MS
        quiet = self.ro & high & ~self.de
        m.d.sync += high.eq(self.ro)
        with m.If((self.ro != high) | (self.ro & self.de)):
            m.d.sync += held_ms.eq(0)
        with m.Elif(tick & ~longest):
            m.d.sync += held_ms.eq(held_ms + 1)

        # The line may still be low when an own frame has just been given up; a new low is another sender's.
        with m.If(self.de | (high & ~self.ro)):
            m.d.sync += [due.eq(1), crashed.eq(0)]
        with m.If(self.frame.valid):
            m.d.sync += due.eq(~self.frame.head.control[7] & ~self.frame.head.broadcast)
        with m.If(self.sent.done):
            m.d.sync += due.eq(self.expects)
        with m.If(self.sent.broken):
            m.d.sync += [due.eq(0), crashed.eq(1)]

        # The seed is mixed in at each draw, so that seals that power up in the same cycle do not draw the
        # same slots; where that gives 0, the next draw gives the seed.
        lfsr = Signal(16, init=1)
        drawn = Signal()  # the slot is to be taken
        slot_ms = Signal(range(SLOT_MS << SLOT_BITS))
        m.d.sync += drawn.eq(self.request.draw)
        with m.If(self.request.draw | tick):
            m.d.sync += lfsr.eq((lfsr >> 1) ^ Mux(lfsr[0], 0xB400, 0) ^ Mux(self.request.draw, self.seed, 0))

        open_ = Signal()
        soon = (held_ms >= CRASH_MS) | ((held_ms >= GAP_MS) & ~crashed)
        m.d.comb += [
            open_.eq(quiet & ~self.frame.valid & (longest | (~due & soon))),
            self.request.free.eq(open_ & (slot_ms == 0) & ~drawn),
            self.quiet_ms.eq(Mux(quiet, held_ms, 0)),
            self.silence.eq(quiet & longest),
            self.stuck.eq(~self.ro & ~high & (held_ms >= STUCK_MS)),
        ]
        with m.If(drawn):
            m.d.sync += slot_ms.eq(lfsr[:SLOT_BITS] * SLOT_MS)
        with m.Elif(open_ & tick & (slot_ms != 0)):
            m.d.sync += slot_ms.eq(slot_ms - 1)
        return m
