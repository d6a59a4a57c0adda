"""A UART transmitter for 8N1: 1 start bit, 8 data bits with the lowest first, 1 stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Transmitter"]

#: The number of bits of a character.
BITS = 10


class Transmitter(wiring.Component):
    """Sends each byte as one character.

    *Timing:* the start bit begins in the cycle after the transfer; each bit lasts `divisor` cycles; a byte
    offered in the last cycle of the stop bit follows without a gap. After reset the line is idle (1).
    `divisor` may change only while `busy` is 0.

    Parameters
    ----------
    divisor_max : the largest divisor, in clock cycles.

    Members
    -------
    i : bytes to send.
    divisor : the clock cycles of one bit, at least 8.
    o : the line.
    busy : a character is on the line.

    Guarantees: `verif/blocks/test_uart.py::test_transmitter_wave`;
    proof: `verif/formal/uart.py::transmitter_sends_8n1`.
    """

    def __init__(self, divisor_max):
        self._divisor_max = divisor_max
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "divisor": In(range(divisor_max + 1)),
                "o": Out(1, init=1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The bits still to come, the next one lowest. Ones are shifted in, so stop bit and idle line need no
        # case of their own.
        shift = Signal(8, init=~0)
        left = Signal(range(BITS + 1))
        time = Signal(range(self._divisor_max))

        bit_ends = time == self.divisor - 1
        m.d.comb += [
            self.busy.eq(left != 0),
            self.i.ready.eq((left == 0) | ((left == 1) & bit_ends)),
        ]
        with m.If(self.busy):
            m.d.sync += time.eq(time + 1)
            with m.If(bit_ends):
                m.d.sync += [
                    time.eq(0),
                    left.eq(left - 1),
                    self.o.eq(shift[0]),
                    shift.eq(Cat(shift[1:], 1)),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.eq(0),
                shift.eq(self.i.payload),
                left.eq(BITS),
                time.eq(0),
            ]
        return m
