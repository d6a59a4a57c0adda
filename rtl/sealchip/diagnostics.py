"""The bytes of DI 04805302."""

from amaranth.hdl import Array, C, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import DIAGNOSTICS, StateClass

__all__ = ["DiagnosticsSource"]


class DiagnosticsSource(wiring.Component):
    """Byte `index` of `interface.DIAGNOSTICS`, one cycle after `index` has changed.

    `start` latches all values, so that the bytes belong together. What this build does not measure, and a
    clock that is not kept, read as FF.

    Guarantees: `verif/chip/test_framer.py::test_every_message_decodes`; the whole in
    `verif/chip/test_chip.py::test_reads`.
    """

    start: In(1)
    index: In(6)
    byte: Out(8)
    millivolts: In(16)
    state: In(StateClass)
    excursions: In(16)
    uptime: In(32)

    def elaborate(self, platform):
        m = Module()
        values = {
            "loop_mv": self.millivolts,
            "state": self.state,
            "excursions": self.excursions,
            "uptime": self.uptime,
        }
        fields = []
        for field in DIAGNOSTICS.fields:
            bits = 8 * field.width
            value = values.get(field.name)
            fields.append(C(-1, bits) if value is None else Cat(value, C(0, bits))[:bits])
        latched = Signal(8 * DIAGNOSTICS.size)
        with m.If(self.start):
            m.d.sync += latched.eq(Cat(fields))
        m.d.sync += self.byte.eq(
            Array(latched.word_select(n, 8) for n in range(DIAGNOSTICS.size))[self.index]
        )
        return m
