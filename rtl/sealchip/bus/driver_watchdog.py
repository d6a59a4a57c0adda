"""The last word about the driver: it is never on for longer than the longest frame, whatever goes wrong.

A driver that stays on silences the whole bus. The watchdog does not depend on states, bytes and bits, which
may be what went wrong: it knows only for how long the driver has been requested, and the baud rate.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..signatures import Ticks
from .baud_tick import RATE_BITS, carries

__all__ = ["LIMIT_MS", "DriverWatchdog"]

#: Time in ms after which the driver goes off at the slowest baud rate, half of it at each next one: 768
#: bits, and the longest frame has 66 characters of 11 bits and half a bit before them.
LIMIT_MS = 1280
_LIMIT = LIMIT_MS >> RATE_BITS


class DriverWatchdog(wiring.Component):
    """Switches the driver off when it has been requested for too long.

    *Timing:* `de` follows `wanted` in the same cycle, for at most `LIMIT_MS >> rate` ticks. Then `expired`
    is high, and `de` low, until `wanted` and `busy` have both been low.

    Members
    -------
    rate : the index of the baud rate in `BAUD_FEATURE`, slowest first.
    ticks : the time.
    wanted : driver enable as the transceiver has it.
    busy : there is something to send.
    de : the pin.
    expired : the frame that is being sent must be given up.

    Guarantees: `verif/blocks/test_driver_watchdog.py::test_longest_frame_passes`;
    proof: `verif/formal/transceiver.py::driver_on_time_is_bounded`.
    """

    rate: In(range(6))
    ticks: In(Ticks)
    wanted: In(1)
    busy: In(1)
    de: Out(1)
    expired: Out(1)

    def elaborate(self, platform):
        m = Module()
        ticks = Signal(RATE_BITS)
        worn = Signal(range(_LIMIT + 1))
        m.d.comb += [
            self.expired.eq(worn >= _LIMIT),
            self.de.eq(self.wanted & ~self.expired),
        ]
        with m.If(~self.wanted & ~self.busy):
            m.d.sync += [ticks.eq(0), worn.eq(0)]
        with m.Elif(self.ticks.ms):
            m.d.sync += ticks.eq(ticks + 1)
            with m.If(carries(ticks, self.rate) & ~self.expired):
                m.d.sync += worn.eq(worn + 1)
        return m
