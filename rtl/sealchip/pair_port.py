"""The RS485 pair at the baud rates of DL/T 645-2007."""

from amaranth.hdl import EnableInserter, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import BAUD_FEATURE
from .steps import Steps
from .timing import bit_steps
from .transceiver import FrameByte, Transceiver

__all__ = ["PairPort"]

_RATES = list(BAUD_FEATURE.values())


class PairPort(wiring.Component):
    """A `Transceiver` that counts steps instead of cycles, `baud` instead of a divisor.

    Each rate is twice the one before, so a bit of the fastest is a few steps and the others are multiples:
    short counters at every clock.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz.

    Members
    -------
    baud: index in `BAUD_FEATURE`, slowest first; the rest as in `Transceiver`.

    Guarantees: `verif/chip/test_pair_port.py::test_frames_at_every_rate`, `test_collision_is_told_once`,
    `test_characters_are_heard_once`; the theorems of `Transceiver`, with steps for cycles.
    """

    def __init__(self, clock_hz):
        self._cycles, self._steps = bit_steps(clock_hz, _RATES[-1])
        super().__init__(
            {
                "i": In(stream.Signature(FrameByte)),
                "baud": In(range(len(_RATES))),
                "ro": In(1, init=1),
                "di": Out(1, init=1),
                "de": Out(1),
                "valid": Out(1),
                "data": Out(8),
                "error": Out(1),
                "broken": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.steps = steps = Steps(self._cycles)
        step = steps.step
        pair = Transceiver(self._steps << (len(_RATES) - 1))
        m.submodules.transceiver = EnableInserter(step)(pair)
        with m.Switch(self.baud):
            for number in range(len(_RATES)):
                with m.Case(number):
                    m.d.comb += pair.divisor.eq(self._steps << (len(_RATES) - 1 - number))
        m.d.comb += [
            pair.i.payload.eq(self.i.payload),
            pair.i.valid.eq(self.i.valid),
            self.i.ready.eq(pair.i.ready & step),
            pair.ro.eq(self.ro),
            self.di.eq(pair.di),
            self.de.eq(pair.de),
            self.valid.eq(pair.valid & step),
            self.data.eq(pair.data),
            self.error.eq(pair.error),
            self.broken.eq(pair.broken & step),
            self.done.eq(pair.done & step),
        ]
        return m
