"""The two status LEDs, which are all that the installer sees."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import StateClass

__all__ = ["StatusLeds"]


class StatusLeds(wiring.Component):
    """Green: all good and exchanged. Red: a fault. Neither: not yet known. Never both.

    Green means: identity read, seal closed, and every event acknowledged by the meter since power-up, and no
    fault. Red tells the fault by groups of flashes, ¼ s each, with 1 s between the groups; the first of

        1 flash    the identity cannot be read
        3 flashes  the loop is low, high, does not match or is flapping
        steady     the loop is open
        2 flashes  the meter does not acknowledge
        4 flashes  locked out

    that is true.

    *Timing:* green and steady red are combinational. A group that has begun goes on to its end; the first
    one begins within ¼ s.

    Members
    -------
    tick: strobe, each quarter of a second. identity_ready, identity_valid: from the identity loader.
    state, flapping: of the loop. exchanged, pending, failed: from reporter and log.
    locked_out: writes are refused after wrong passwords.
    green, red: the LEDs.

    Guarantees: `verif/blocks/test_status_leds.py::test_truth_table`, `test_blink_codes`,
    `test_what_is_not_yet_known_is_dark`;
    proof: `verif/formal/loop.py::green_is_never_false`.
    """

    tick: In(1)
    identity_ready: In(1)
    identity_valid: In(1)
    state: In(StateClass)
    flapping: In(1)
    exchanged: In(1)
    pending: In(1)
    failed: In(1)
    locked_out: In(1)
    green: Out(1)
    red: Out(1)

    def elaborate(self, platform):
        m = Module()
        opened = self.state == StateClass.OPEN
        sealed = self.state == StateClass.SEALED
        steady = Signal()
        flashes = Signal(range(5))
        with m.If(self.identity_ready & ~self.identity_valid):
            m.d.comb += flashes.eq(1)
        with m.Elif(self.flapping | self.state.matches(StateClass.LOW, StateClass.HIGH, StateClass.MISMATCH)):
            m.d.comb += flashes.eq(3)
        with m.Elif(opened):
            m.d.comb += steady.eq(1)
        with m.Elif(self.failed):
            m.d.comb += flashes.eq(2)
        with m.Elif(self.locked_out):
            m.d.comb += flashes.eq(4)

        # Down from the first flash: lit in steps 4, 6, 8, 10, then dark from 3 to 0.
        step = Signal(4)
        flashing = flashes != 0
        with m.If(self.tick):
            m.d.sync += step.eq(Mux(step == 0, 2 * flashes + 2, step - 1))
        with m.If(~flashing):
            m.d.sync += step.eq(0)

        m.d.comb += [
            self.red.eq(steady | (flashing & ~step[0] & (step >= 4))),
            self.green.eq(self.identity_valid & sealed & self.exchanged & ~self.pending & ~flashing),
        ]
        return m
