"""SPI mode 0, one byte at a time."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SpiByte"]


class SpiByte(wiring.Component):
    """Exchanges one byte, high bit first, SCK at half the clock.

    *Timing:* `start` is taken while no byte is under way; SCK first rises two cycles later; `done` strobes in
    the 16th cycle after `start`, with `o`. Chip select is the user's.

    Members
    -------
    start, i: byte to send. done, o: byte received. shifts: strobe, in the last cycle of each bit, which was
    `copi` out and `o[0]` in. sck, copi, cipo: the pins.

    Guarantees: `verif/chip/test_flash.py::test_spi_byte`.
    """

    start: In(1)
    i: In(8)
    done: Out(1)
    o: Out(8)
    shifts: Out(1)
    sck: Out(1)
    copi: Out(1)
    cipo: In(1)

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        half = Signal(4)
        shift = Signal(8)
        sample = Signal()

        m.d.comb += [
            self.copi.eq(shift[7]),
            self.o.eq(Cat(sample, shift[:7])),
            self.shifts.eq(active & half[0]),
            self.done.eq(active & (half == 15)),
        ]
        with m.If(active):
            m.d.sync += half.eq(half + 1)
            with m.If(half[0]):
                m.d.sync += [self.sck.eq(0), shift.eq(self.o)]
            with m.Else():
                m.d.sync += [self.sck.eq(1), sample.eq(self.cipo)]
            with m.If(half == 15):
                m.d.sync += active.eq(0)
        with m.Elif(self.start):
            m.d.sync += [active.eq(1), half.eq(0), shift.eq(self.i)]
        return m
