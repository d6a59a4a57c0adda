"""A master for SPI mode 0, one byte at a time."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SpiByte"]


class SpiByte(wiring.Component):
    """Exchanges one byte, high bit first, SCK at half the clock.

    *Timing:* `start` is taken while `busy` is low, and `busy` is then high for 16 cycles; SCK first rises two
    cycles after `start`. `o` holds the byte received until the next `start`. Chip select is the user's.

    Members
    -------
    start : strobe, begin to exchange a byte.
    i : the byte to send, read with `start`.
    busy : a byte is being exchanged.
    o : the byte received.
    shifts : strobe in the last cycle of each bit, which went out on `copi` and came in as `received`.
    received : the bit read last.
    sck, copi, cipo : the pins.

    Guarantees: `verif/blocks/test_spi.py::test_spi_byte`.
    """

    start: In(1)
    i: In(8)
    busy: Out(1)
    o: Out(8)
    shifts: Out(1)
    received: Out(1)
    sck: Out(1)
    copi: Out(1)
    cipo: In(1)

    def elaborate(self, platform):
        m = Module()
        # One register shifts out and in: each bit received takes the place of the one just sent. Even half
        # periods end with a rising edge, which samples, odd ones with a falling edge, which shifts.
        half = Signal(4)
        m.d.comb += [self.copi.eq(self.o[7]), self.shifts.eq(self.busy & half[0])]
        with m.If(self.busy):
            m.d.sync += half.eq(half + 1)
            with m.If(half[0]):
                m.d.sync += [self.sck.eq(0), self.o.eq(Cat(self.received, self.o[:7]))]
            with m.Else():
                m.d.sync += [self.sck.eq(1), self.received.eq(self.cipo)]
            with m.If(half == 15):
                m.d.sync += self.busy.eq(0)
        with m.Elif(self.start):
            m.d.sync += [self.busy.eq(1), self.o.eq(self.i)]
        return m
