"""The RS485 pair at the baud rates of DL/T 645-2007."""

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
    """A `Transceiver` that counts parts of a bit instead of cycles, `baud` instead of a divisor.

    Each rate is twice the one before: a bit of the fastest is a few steps, and a counter of steps carries at
    all the others. While nothing is timed every step counts, so that an edge is seen as soon as it comes.

    *Timing:* whatever begins is seen in the next step; each part of a bit lasts as many steps from there as
    the rate is slower than the fastest.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz.

    Members
    -------
    baud: index in `BAUD_FEATURE`, slowest first; the rest as in `Transceiver`.

    Guarantees: `verif/blocks/test_rs485_phy.py::test_frames_at_every_rate`, `test_collision_is_told_once`,
    `test_characters_are_heard_once`; the theorems of `Transceiver`, with parts of a bit for cycles.
    """

    def __init__(self, clock_hz):
        self._cycles, self._steps = bit_steps(clock_hz, _RATES[-1])
        super().__init__({"baud": In(range(len(_RATES))), **BUS_PORTS})

    def elaborate(self, platform):
        m = Module()
        m.submodules.steps = steps = BaudTick(self._cycles)
        pair = Transceiver(self._steps)
        part = Signal()
        m.submodules.transceiver = EnableInserter(part)(pair)
        count = Signal(RATE_BITS)
        m.d.comb += [
            pair.divisor.eq(self._steps),
            part.eq(steps.step & (pair.idle | carries(count, self.baud))),
        ]
        with m.If(steps.step):
            m.d.sync += count.eq(Mux(pair.idle, 0, count + 1))

        # What a part says counts in its last cycle.
        m.d.comb += [pair.i.payload.eq(self.i.payload), pair.i.valid.eq(self.i.valid), pair.ro.eq(self.ro)]
        m.d.comb += [getattr(self, name).eq(getattr(pair, name)) for name in ("di", "de", "data", "error")]
        m.d.comb += self.i.ready.eq(pair.i.ready & part)
        for name in ("valid", "broken", "done"):
            m.d.comb += getattr(self, name).eq(getattr(pair, name) & part)
        return m
