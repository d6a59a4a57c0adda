"""A UART receiver for 8N1, which samples each bit in its middle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..signatures import Character

__all__ = ["Receiver"]

#: The number of the stop bit, counted from the first data bit.
STOP_BIT = 8


class Receiver(wiring.Component):
    """Receives characters from a synchronised line.

    *Timing:* a falling edge starts a character; a start bit that is not low in its middle is taken for a
    glitch. `received.valid` strobes in the middle of the stop bit; the next edge may come right then, so
    characters may follow each other without a gap.
    *Errors:* a low stop bit raises `received.error` together with `valid`; the receiver then waits for the
    line to return to idle.
    There is no back-pressure: `received.data` holds until the first data bit of the next character, at
    least one bit later.

    Parameters
    ----------
    divisor_max : the largest divisor, in clock cycles.

    Members
    -------
    i : the line.
    divisor : the clock cycles of one bit.
    received : the character.
    busy : a character is being received.

    Guarantees: `verif/blocks/test_uart.py::test_uart_loopback`, `test_receiver_errors`,
    `test_receiver_takes_baud_error`, `test_receiver_ignores_glitches`;
    proof: `verif/formal/uart.py::receiver_takes_every_byte`.
    """

    def __init__(self, divisor_max):
        self._divisor_max = divisor_max
        super().__init__(
            {
                "i": In(1, init=1),
                "divisor": In(range(divisor_max + 1)),
                "received": Out(Character),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        time = Signal(range(self._divisor_max + 1))
        bit = Signal(4)

        m.d.comb += self.received.error.eq(~self.i)
        # Each bit is timed from the middle of the one before; the start bit only half a bit from its edge.
        with m.FSM(name="state") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                m.d.sync += [time.eq(self.divisor >> 1), bit.eq(0)]
                with m.If(~self.i):
                    m.next = "start"
            with m.State("start"):
                m.d.sync += time.eq(time - 1)
                with m.If(time == 1):
                    m.d.sync += time.eq(self.divisor)
                    with m.If(self.i):
                        m.next = "idle"
                    with m.Else():
                        m.next = "bits"
            with m.State("bits"):
                m.d.sync += time.eq(time - 1)
                with m.If(time == 1):
                    m.d.sync += [time.eq(self.divisor), bit.eq(bit + 1)]
                    with m.If(bit == STOP_BIT):
                        m.d.comb += self.received.valid.eq(1)
                        with m.If(self.i):
                            m.next = "idle"
                        with m.Else():
                            m.next = "break"
                    with m.Else():
                        m.d.sync += self.received.data.eq(Cat(self.received.data[1:], self.i))
            with m.State("break"):
                with m.If(self.i):
                    m.next = "idle"
        return m
