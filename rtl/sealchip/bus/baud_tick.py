"""The clock of the UARTs, a small part of a bit, and how slower baud rates are divided from the fastest."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ..interface import BAUD_FEATURE

__all__ = ["RATE_BITS", "BaudTick", "carries"]

#: Each baud rate is twice the one before: a counter of this many bits divides the fastest down to each.
RATE_BITS = len(BAUD_FEATURE) - 1


def carries(count, rate):
    """Whether `count`, of `RATE_BITS` bits, now ends one period of `rate`, a number from the slowest on.

    A rate is a power of two slower than the fastest, so its period ends where so many low bits are all ones.
    """
    return Array(count[:width].all() for width in reversed(range(RATE_BITS + 1)))[rate]


class BaudTick(wiring.Component):
    """Strobes `step` every `cycles` cycles, for the first time after as many.

    A component that runs on it under an `EnableInserter` behaves as its own contract says, with steps for
    cycles. Its strobes last from one step to the next, and count only together with `step`.

    Parameters
    ----------
    cycles : clock cycles of a step.

    Members
    -------
    step : strobe.

    Guarantees: `verif/blocks/test_timing.py::test_baud_tick`.
    """

    def __init__(self, cycles):
        self._cycles = cycles
        super().__init__({"step": Out(1)})

    def elaborate(self, platform):
        m = Module()
        cycle = Signal(range(self._cycles))
        m.d.comb += self.step.eq(cycle == self._cycles - 1)
        m.d.sync += cycle.eq(Mux(self.step, 0, cycle + 1))
        return m
