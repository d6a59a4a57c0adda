"""The two lamps: what the installer sees."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import StateClass

__all__ = ["Lamps"]


class Lamps(wiring.Component):
    """Green: all good and exchanged. Red: a fault. Neither: not yet known.

    Green means: identity read, seal closed, and every event acknowledged by the meter since power-up. Red
    means: identity unreadable, seal known not to be closed, or the last report not acknowledged. Never both.

    Members
    -------
    identity_ready, identity_valid: from the identity loader. state: of the loop.
    exchanged, pending, failed: from reporter and log. green, red: the lamps, combinational.

    Guarantees: `verif/chip/test_loop.py::test_lamps_truth_table`;
    proof: `verif/formal/loop.py::green_is_never_false`.
    """

    identity_ready: In(1)
    identity_valid: In(1)
    state: In(StateClass)
    exchanged: In(1)
    pending: In(1)
    failed: In(1)
    green: Out(1)
    red: Out(1)

    def elaborate(self, platform):
        m = Module()
        sealed = self.state == StateClass.SEALED
        m.d.comb += [
            self.red.eq(
                (self.identity_ready & ~self.identity_valid)
                | (~sealed & (self.state != StateClass.UNKNOWN))
                | self.failed
            ),
            self.green.eq(self.identity_valid & sealed & self.exchanged & ~self.pending & ~self.red),
        ]
        return m
