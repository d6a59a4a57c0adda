"""The RS485 bus at the baud rates of DL/T 645-2007."""

from amaranth.hdl import EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..interface import BAUD_FEATURE
from ..timing import bit_steps
from .baud_tick import RATE_BITS, BaudTick, carries
from .transceiver import BUS_PORTS, Transceiver

__all__ = ["Rs485Phy"]

_RATES = list(BAUD_FEATURE.values())


class Rs485Phy(wiring.Component):
    """A `Transceiver` that counts parts of a bit instead of cycles; `baud` takes the place of its divisor.

    Each rate is twice the one before. So at the fastest rate a part of a bit is one step of `BaudTick`, and
    at each slower one a counter of steps carries at its end. While nothing is timed every step is a part, so
    that an edge is seen as soon as it comes.

    *Timing:* whatever begins is seen in the next step; each part of a bit lasts as many steps from there as
    the rate is slower than the fastest.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz.

    Members
    -------
    baud : the index in `BAUD_FEATURE`, slowest first; the others are those of `Transceiver`.

    Guarantees: `verif/blocks/test_rs485_phy.py::test_frames_at_every_rate`,
    `test_a_collision_is_reported_once`, `test_characters_are_received_once`; the theorems of `Transceiver`,
    with parts of a bit for cycles.
    """

    def __init__(self, clock_hz):
        self._cycles, self._steps = bit_steps(clock_hz, _RATES[-1])
        super().__init__({"baud": In(range(len(_RATES))), **BUS_PORTS})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tick = tick = BaudTick(self._cycles)
        transceiver = Transceiver(self._steps)
        part = Signal()
        m.submodules.transceiver = EnableInserter(part)(transceiver)
        count = Signal(RATE_BITS)
        m.d.comb += [
            transceiver.divisor.eq(self._steps),
            part.eq(tick.step & (transceiver.idle | carries(count, self.baud))),
        ]
        with m.If(tick.step):
            m.d.sync += count.eq(Mux(transceiver.idle, 0, count + 1))

        # A strobe of the transceiver lasts as long as a part; it counts in the part's last cycle only.
        m.d.comb += [
            transceiver.ro.eq(self.ro),
            self.di.eq(transceiver.di),
            self.de.eq(transceiver.de),
            transceiver.i.payload.eq(self.i.payload),
            transceiver.i.valid.eq(self.i.valid),
            self.i.ready.eq(transceiver.i.ready & part),
            self.received.valid.eq(transceiver.received.valid & part),
            self.received.data.eq(transceiver.received.data),
            self.received.error.eq(transceiver.received.error),
            self.sent.done.eq(transceiver.sent.done & part),
            self.sent.broken.eq(transceiver.sent.broken & part),
        ]
        return m
