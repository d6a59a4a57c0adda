"""The bytes of DI 04805302."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import DIAGNOSTICS, LOOP_NOT_MEASURED, StateClass

__all__ = ["MEASURED_BYTES", "DiagnosticsSource"]

#: What is told of the loop; behind it comes the time.
MEASURED_BYTES = DIAGNOSTICS.offsets["uptime"]
_ROOM = 16


class DiagnosticsSource(wiring.Component):
    """Byte `index` of `interface.DIAGNOSTICS` before the uptime, one cycle after `index` has changed.

    At each `sample` a pass writes the values, as they then are, into block RAM; so they are as old as the
    last one. While `hold`, what can be read stays, so that bytes read one by one belong together; least and
    greatest are kept on. A loop voltage of FFFF is none, and with
    it neither least nor greatest is told; others are below 8000. With a front end that never measures, all
    that keeps least and greatest is optimised away.

    *Timing:* a pass takes 64 cycles, and goes to its end although `hold` rises; samples come further apart.
    Meanwhile `millivolts` rests, and `excursions` grows by less than 128.

    Members
    -------
    sample, hold, index, byte: see above. millivolts, state, excursions: the values now.

    Guarantees: `verif/blocks/test_diagnostics.py::test_values_of_the_last_sample`,
    `test_least_and_greatest_since_power_up`, `test_excursions_while_a_pass_is_under_way`; the whole in
    `verif/chip/test_chip_slave.py::test_reads`.
    """

    sample: In(1)
    hold: In(1)
    index: In(range(MEASURED_BYTES))
    byte: Out(8)
    millivolts: In(16)
    state: In(StateClass)
    excursions: In(16)

    def elaborate(self, platform):
        m = Module()
        # A pass goes over `DIAGNOSTICS` two bytes at a time: first it compares them with what is kept, then
        # it writes. Each byte takes two cycles, one of them to be read.
        step = Signal(6)
        done, second, writes, pair = step[0], step[1], step[2], step[3:]
        held = Signal()
        with m.If(step != 0):
            m.d.sync += step.eq(step + 1)
        with m.Else():
            m.d.sync += [step.eq(self.sample), held.eq(self.hold)]

        place = Cat(second, pair)
        least = LOOP_NOT_MEASURED.to_bytes(2, "little")
        # What is kept, and a copy that can be read while it stays.
        m.submodules.kept = kept = Memory(shape=8, depth=_ROOM, init=[*least, *least, 0, 0])
        m.submodules.told = told = Memory(shape=8, depth=_ROOM, init=[0xFF] * DIAGNOSTICS.offsets["state"])
        old, keep, read, tell = kept.read_port(), kept.write_port(), told.read_port(), told.write_port()
        none = self.millivolts[-1]
        value = Signal(8)
        extreme, greatest = Signal(), Signal()
        takes = Signal()  # the value replaces the old one
        # The third bit makes no difference: what a pass writes from place 9 on nobody reads.
        extremes = {
            name: pair[:2] == DIAGNOSTICS.offsets[name] // 2 for name in ("loop_min_mv", "loop_max_mv")
        }
        m.d.comb += [
            greatest.eq(extremes["loop_max_mv"]),
            extreme.eq(greatest | extremes["loop_min_mv"]),
            value.eq(self.millivolts.word_select(second, 8)),
            old.addr.eq(place),
            old.en.eq(~keep.en),  # as in `EventQueue`
            keep.addr.eq(place),
            keep.en.eq(done & writes & ~none),
            keep.data.eq(Mux(takes | ~extreme | none, value, old.data)),
            tell.addr.eq(place),
            tell.data.eq(keep.data),
            tell.en.eq(done & writes & ~held),
        ]
        self._choose(m, place, done & writes, value, tell)
        # Byte by byte, the low one first, whether one is less than the other.
        ours, other = Mux(greatest, ~value, value), Mux(greatest, ~old.data, old.data)
        with m.If(done & ~writes):
            m.d.sync += takes.eq((ours - other[:8] - (takes & second))[8])

        m.d.comb += [
            read.addr.eq(self.index),
            read.en.eq(~tell.en),
            self.byte.eq(read.data),
        ]
        return m

    def _choose(self, m, place, written, value, tell):
        """The bytes that are no voltage."""
        low, high = DIAGNOSTICS.slice("excursions").start, DIAGNOSTICS.slice("excursions").stop - 1
        before = Signal()  # the upper bit of the low byte
        with m.Switch(place):
            with m.Case(DIAGNOSTICS.offsets["state"]):
                m.d.comb += value.eq(self.state)
            with m.Case(low):
                m.d.comb += value.eq(self.excursions[:8])
                with m.If(written):
                    m.d.sync += before.eq(self.excursions[7])
            with m.Case(high):
                m.d.comb += value.eq(self.excursions[8:])
                # It has just been carried into: the old one belongs to the low byte that has been written.
                with m.If(before & ~self.excursions[7]):
                    m.d.comb += tell.en.eq(0)
