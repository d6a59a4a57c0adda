"""The source of the bytes that answer DI 04805302."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ..interface import DIAGNOSTICS, LOOP_NOT_MEASURED
from ..signatures import DiagnosticsRead, LoopStatus, Measurement

__all__ = ["MEASURED_BYTES", "DiagnosticsSource"]

#: The bytes about the loop; those about the time follow them.
MEASURED_BYTES = DIAGNOSTICS.offsets["uptime"]
_ROOM = 16


class DiagnosticsSource(wiring.Component):
    """Serves the bytes of `interface.DIAGNOSTICS` before the uptime, one cycle after their index.

    Each measurement of the class that the loop holds is a sample: a rising voltage reads as full scale for a
    moment, and must not count as the greatest one. At each sample a pass writes the values, as they then are,
    into block RAM, so the bytes are as old as the last sample. While `read.hold` the bytes stay as they are,
    so that those of one answer belong together; the least and the greatest voltage are followed meanwhile.
    A loop voltage of FFFF stands for none, and then the least and the greatest read as FFFF too; all others
    are below 8000. With a front end that never measures, the logic for them is optimised away.

    *Timing:* a pass takes 64 cycles, and goes to its end although `read.hold` rises; samples come further
    apart. Meanwhile the voltage does not change, and `loop.excursions` grows by less than 128.

    Members
    -------
    read : from the framer.
    measurement : from the front end.
    loop : what is known of the loop.

    Guarantees: `verif/blocks/test_diagnostics.py::test_values_of_the_last_sample`,
    `test_least_and_greatest_since_power_up`, `test_excursions_while_a_pass_is_under_way`; the whole in
    `verif/chip/test_chip_slave.py::test_reads`.
    """

    read: In(DiagnosticsRead)
    measurement: In(Measurement)
    loop: In(LoopStatus)

    def elaborate(self, platform):
        m = Module()
        # A pass goes over `DIAGNOSTICS` two bytes at a time: first it compares them with what is kept, then
        # it writes. Each byte takes two cycles, one of them to be read.
        step = Signal(6)
        done, second, writes, pair = step[0], step[1], step[2], step[3:]
        held = Signal()
        sample = self.measurement.new & (self.measurement.class_ == self.loop.state)
        with m.If(step != 0):
            m.d.sync += step.eq(step + 1)
        with m.Else():
            m.d.sync += [step.eq(sample), held.eq(self.read.hold)]

        place = Cat(second, pair)
        least = LOOP_NOT_MEASURED.to_bytes(2, "little")
        # The values so far, and a copy of them that is not written while it is read.
        m.submodules.kept = kept = Memory(shape=8, depth=_ROOM, init=[*least, *least, 0, 0])
        unknown = [0xFF] * DIAGNOSTICS.offsets["state"]
        m.submodules.served = served = Memory(shape=8, depth=_ROOM, init=unknown)
        old, keep, read, copy = kept.read_port(), kept.write_port(), served.read_port(), served.write_port()
        none = self.measurement.millivolts[-1]
        value = Signal(8)
        extreme, greatest = Signal(), Signal()
        takes = Signal()  # the value replaces the old one
        # The third bit may be left out: what a pass writes from place 9 on is never read.
        extremes = {
            name: pair[:2] == DIAGNOSTICS.offsets[name] // 2 for name in ("loop_min_mv", "loop_max_mv")
        }
        m.d.comb += [
            greatest.eq(extremes["loop_max_mv"]),
            extreme.eq(greatest | extremes["loop_min_mv"]),
            value.eq(self.measurement.millivolts.word_select(second, 8)),
            old.addr.eq(place),
            old.en.eq(~keep.en),  # as in `EventQueue`
            keep.addr.eq(place),
            keep.en.eq(done & writes & ~none),
            keep.data.eq(Mux(takes | ~extreme | none, value, old.data)),
            copy.addr.eq(place),
            copy.data.eq(keep.data),
            copy.en.eq(done & writes & ~held),
        ]
        self._choose(m, place, done & writes, value, copy)
        # Compare byte by byte, the low one first; for the greatest both are inverted, so one subtractor
        # serves.
        ours, other = Mux(greatest, ~value, value), Mux(greatest, ~old.data, old.data)
        with m.If(done & ~writes):
            m.d.sync += takes.eq((ours - other[:8] - (takes & second))[8])

        m.d.comb += [
            read.addr.eq(self.read.index),
            read.en.eq(~copy.en),
            self.read.byte.eq(read.data),
        ]
        return m

    def _choose(self, m, place, written, value, copy):
        """Choose the bytes that are not of a voltage."""
        low, high = DIAGNOSTICS.slice("excursions").start, DIAGNOSTICS.slice("excursions").stop - 1
        before = Signal()  # the upper bit of the low byte
        with m.Switch(place):
            with m.Case(DIAGNOSTICS.offsets["state"]):
                m.d.comb += value.eq(self.loop.state)
            with m.Case(low):
                m.d.comb += value.eq(self.loop.excursions[:8])
                with m.If(written):
                    m.d.sync += before.eq(self.loop.excursions[7])
            with m.Case(high):
                m.d.comb += value.eq(self.loop.excursions[8:])
                # A carry has come in between: the old high byte belongs to the low byte that has been
                # written.
                with m.If(before & ~self.loop.excursions[7]):
                    m.d.comb += copy.en.eq(0)
