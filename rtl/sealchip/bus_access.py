"""When the seal may speak: carrier sense and back-off on a pair shared with meters, terminal and seals.

DL/T 645 is strictly request and answer, and a slave may take 500 ms to answer. So the pair is free when
the last thing heard was the end of an answer (or of a broadcast, which nobody answers), or when it has
been silent for longer than any answer may take. Seals that wait for the same moment draw a slot each.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .deframer import FrameHead

__all__ = ["BusAccess"]

#: Silence in ms after which neither an answer nor a byte of a frame can come any more: Td and Tb are up to
#: 500 ms, and quiet is counted from the last low level, which may be 17 ms before a character's end.
SILENCE_MS = 520
#: Least quiet in ms between an answer and a seal's frame; a slot must outlast tick and carrier sense.
GAP_MS, SLOT_MS = 4, 4
SLOT_BITS = 5


class BusAccess(wiring.Component):
    """Says when the pair is free for this seal.

    *Timing:* quiet is counted in ms from the last low level of the line or the end of the own driving.
    `free` is high from `GAP_MS + slot * SLOT_MS` on where no answer is due, from `SILENCE_MS +` the same on
    where one may be. `draw` draws a new slot of 0 to 31. After reset an answer may be due.

    Members
    -------
    ro: the line. de: own driver. tick_ms: time. frame, head: frames of others. sent, expects: an own frame
    was sent, and whether it wants an answer. seed: differs between seals. draw: draw a slot.
    free: the seal may start a frame now. quiet_ms: see above, saturating. silence: `SILENCE_MS` of it.

    Guarantees: `verif/chip/test_bus_access.py::test_silent_while_an_answer_is_due`,
    `test_free_soon_when_no_answer_is_due`, `test_slots_differ_with_the_seed`; the whole in
    `verif/chip/test_chip.py::test_waits_for_the_answer_of_others`, `test_many_seals`;
    proof: `verif/formal/bus.py::free_only_when_nobody_else_speaks`.
    """

    ro: In(1, init=1)
    de: In(1)
    tick_ms: In(1)
    frame: In(1)
    head: In(FrameHead)
    sent: In(1)
    expects: In(1)
    seed: In(16)
    draw: In(1)
    free: Out(1)
    quiet_ms: Out(10)
    silence: Out(1)

    def elaborate(self, platform):
        m = Module()
        due = Signal(init=1)  # somebody's answer may still come
        slot = Signal(SLOT_BITS)
        # Galois LFSR x^16 + x^14 + x^13 + x^11 + 1, never 0; the seed is mixed in at each draw, so that
        # seals that power up in the same cycle do not draw the same slots.
        lfsr = Signal(16, init=1)
        stepped = Signal(16)
        m.d.comb += stepped.eq((lfsr >> 1) ^ Mux(lfsr[0], 0xB400, 0))
        m.d.sync += lfsr.eq(stepped)
        with m.If(self.draw):
            mixed = stepped ^ self.seed
            m.d.sync += [lfsr.eq(Mux(mixed == 0, 1, mixed)), slot.eq(mixed[:SLOT_BITS] ^ mixed[SLOT_BITS:])]

        activity = ~self.ro | self.de
        with m.If(activity):
            m.d.sync += self.quiet_ms.eq(0)
        with m.Elif(self.tick_ms & (self.quiet_ms != (1 << len(self.quiet_ms)) - 1)):
            m.d.sync += self.quiet_ms.eq(self.quiet_ms + 1)

        with m.If(activity):
            m.d.sync += due.eq(1)
        with m.If(self.frame):
            m.d.sync += due.eq(~self.head.control[7] & ~self.head.broadcast)
        with m.If(self.sent):
            m.d.sync += due.eq(self.expects)

        backoff = GAP_MS + slot * SLOT_MS
        m.d.comb += [
            self.silence.eq(self.quiet_ms >= SILENCE_MS),
            self.free.eq(~activity & (self.quiet_ms >= Mux(due, SILENCE_MS, 0) + backoff)),
        ]
        return m
