"""The bytes of DI 04805302."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import DIAGNOSTICS, LOOP_NOT_MEASURED, StateClass

__all__ = ["DiagnosticsSource"]


class DiagnosticsSource(wiring.Component):
    """Byte `index` of `interface.DIAGNOSTICS`, one cycle after `index` has changed.

    `start` latches the values, so that the bytes belong together; uptime and clock must hold of themselves.
    A loop voltage of FFFF is none: it is neither least nor greatest. With a front end that never measures,
    all that keeps them is optimised away.

    Members
    -------
    start, index, byte: see above. millivolts, state, excursions, uptime: the values now.
    clock_index, clock: byte of the calendar clock, one cycle later.

    Guarantees: `verif/chip/test_diagnostics.py::test_values_of_the_start`,
    `test_least_and_greatest_since_power_up`; the whole in `verif/chip/test_chip_slave.py::test_reads`.
    """

    start: In(1)
    index: In(6)
    byte: Out(8)
    millivolts: In(16)
    state: In(StateClass)
    excursions: In(16)
    uptime: In(32)
    clock_index: Out(3)
    clock: In(8)

    def elaborate(self, platform):
        m = Module()
        least, greatest = (Signal(16, init=LOOP_NOT_MEASURED, name=name) for name in ("least", "greatest"))
        with m.If(self.millivolts < least):
            m.d.sync += least.eq(self.millivolts)
        # The first voltage is greater than none: FFFF + 1 = 0.
        with m.If(((greatest + 1)[:16] <= self.millivolts) & (self.millivolts != LOOP_NOT_MEASURED)):
            m.d.sync += greatest.eq(self.millivolts)

        values = {
            "loop_mv": self.millivolts,
            "loop_min_mv": least,
            "loop_max_mv": greatest,
            "state": self.state,
            "excursions": self.excursions,
        }
        latched = []
        for name, value in values.items():
            held = Signal(8 * DIAGNOSTICS[name].width, name=name)
            with m.If(self.start):
                m.d.sync += held.eq(value)
            latched.append(held)
        latched.append(self.uptime)
        begin = DIAGNOSTICS.offsets["clock"]
        m.d.comb += [
            self.clock_index.eq(self.index - begin),
            self.byte.eq(Mux(self.index < begin, Cat(latched).word_select(self.index, 8), self.clock)),
        ]
        return m
