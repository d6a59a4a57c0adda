"""The two status LEDs, which are all that an installer sees of the chip."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import StateClass
from .signatures import CoreStatus, LoopStatus, Measurement, MeterStatus, Ticks

__all__ = ["StatusLeds"]


class StatusLeds(wiring.Component):
    """Shows green when all is good, red for a fault, neither while that is not yet known, and never both.

    Green means that the identity has been read, the seal is closed, the meter has acknowledged every event
    since power-up, and there is no fault. Red shows a fault by groups of flashes, ¼ s each, with 1 s between
    the groups; the first of

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
    ticks : the time.
    core : what is known of identity and log.
    loop : what is known of the loop.
    measurement : the loop at this very moment.
    meter : how far the meter knows the events.
    bus_stuck : the bus never falls silent, so nothing can be reported.
    locked_out : writes are refused after wrong passwords.
    green, red : the LEDs.

    Guarantees: `verif/blocks/test_status_leds.py::test_truth_table`, `test_blink_codes`,
    `test_what_is_not_yet_known_is_dark`;
    proof: `verif/formal/loop.py::green_is_never_false`.
    """

    ticks: In(Ticks)
    core: In(CoreStatus)
    loop: In(LoopStatus)
    measurement: In(Measurement)
    meter: In(MeterStatus)
    bus_stuck: In(1)
    locked_out: In(1)
    green: Out(1)
    red: Out(1)

    def elaborate(self, platform):
        m = Module()
        core, loop, state = self.core, self.loop, self.loop.state
        # The filtered state lags by the debounce time; green ends with the first other measurement.
        sealed = (state == StateClass.SEALED) & (self.measurement.class_ == StateClass.SEALED)
        pending = loop.unlogged | core.pending
        steady = Signal()
        flashes = Signal(range(5))
        with m.If(core.identity_ready & ~core.identity_valid):
            m.d.comb += flashes.eq(1)
        with m.Elif(loop.flapping | state.matches(StateClass.LOW, StateClass.HIGH, StateClass.MISMATCH)):
            m.d.comb += flashes.eq(3)
        with m.Elif(state == StateClass.OPEN):
            m.d.comb += steady.eq(1)
        with m.Elif(self.meter.failed | self.bus_stuck):
            m.d.comb += flashes.eq(2)
        with m.Elif(self.locked_out):
            m.d.comb += flashes.eq(4)

        # Quarters of a second count down to 0. Of the steps from 4 on the even ones are lit, so a group of n
        # flashes begins at 2n + 2; the steps from 3 to 0 are the dark second between two groups.
        step = Signal(4)
        flashing = flashes != 0
        with m.If(self.ticks.quarter):
            m.d.sync += step.eq(Mux(step == 0, 2 * flashes + 2, step - 1))
        with m.If(~flashing):
            m.d.sync += step.eq(0)

        m.d.comb += [
            self.red.eq(steady | (flashing & ~step[0] & (step >= 4))),
            self.green.eq(core.identity_valid & sealed & self.meter.exchanged & ~pending & ~flashing),
        ]
        return m
