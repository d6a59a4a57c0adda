"""The guard that locks writes out after wrong passwords."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LOCK_TICKS", "TICK_SECONDS", "PasswordGuard"]

ATTEMPTS = 3
TICK_SECONDS = 128
#: Ticks in 24 hours, and one more because the first may come at once.
LOCK_TICKS = 24 * 3600 // TICK_SECONDS + 1


class PasswordGuard(wiring.Component):
    """Locks after three wrong passwords without a right one between them, for 24 hours of uptime.

    *Timing:* `locked` rises in the cycle after the third wrong one and falls at the tick that ends the 24
    hours, at most `TICK_SECONDS` late. A power-up unlocks, and is an event of its own.

    Members
    -------
    right, wrong : strobes, a password was compared.
    tick : strobe, every `TICK_SECONDS`.
    locked : writes with password are refused.
    locked_out : strobe, the third wrong password.

    Guarantees: `verif/blocks/test_password.py::test_lock_out`;
    proof: `verif/formal/password.py::three_wrong_passwords_lock`.
    """

    right: In(1)
    wrong: In(1)
    tick: In(1)
    locked: Out(1)
    locked_out: Out(1)

    def elaborate(self, platform):
        m = Module()
        failures = Signal(range(ATTEMPTS + 1))
        ticks = Signal(range(LOCK_TICKS))
        last = LOCK_TICKS - 1
        m.d.comb += [
            self.locked.eq(failures == ATTEMPTS),
            self.locked_out.eq(self.wrong & (failures == ATTEMPTS - 1)),
        ]
        with m.If(~self.locked):
            m.d.sync += ticks.eq(0)
            with m.If(self.right):
                m.d.sync += failures.eq(0)
            with m.Elif(self.wrong):
                m.d.sync += failures.eq(failures + 1)
        with m.Elif(self.tick):
            m.d.sync += ticks.eq(ticks + 1)
            # Counted up from 0, no number before `last` has all its bits, so the others need not be compared.
            with m.If(ticks & last == last):
                m.d.sync += failures.eq(0)
        return m
