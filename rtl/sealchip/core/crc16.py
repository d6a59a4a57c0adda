"""The CRC of identity and event log: CRC-16/IBM-3740, polynomial 1021h, start FFFFh."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SerialCrc"]

_POLYNOMIAL = 0x1021


class SerialCrc(wiring.Component):
    """Computes the CRC of a row of bits, high bit of each byte first.

    *Timing:* `o` and `ok` take account of all bits so far, one cycle after the last of them.

    Members
    -------
    clear : start anew.
    valid : strobe, take the bit `i`.
    i : a bit.
    o : the CRC's highest bit; when it is fed back as `i`, the next bit of the CRC follows.
    ok : the bits so far end in the CRC of those before, which leaves a register of zeros.

    Guarantees: `verif/blocks/test_spi.py::test_serial_crc`.
    """

    clear: In(1)
    valid: In(1)
    i: In(1)
    o: Out(1)
    ok: Out(1)

    def elaborate(self, platform):
        m = Module()
        crc = Signal(16, init=0xFFFF)
        m.d.comb += [self.o.eq(crc[15]), self.ok.eq(crc == 0)]
        with m.If(self.clear):
            m.d.sync += crc.eq(crc.init)
        with m.Elif(self.valid):
            m.d.sync += crc.eq(Cat(0, crc[:15]) ^ Mux(self.o ^ self.i, _POLYNOMIAL, 0))
        return m
