"""The RS485 transceiver: it drives the bus for each frame, sends and receives 8E1, and reads itself back."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..signatures import Character, SendResult

__all__ = ["BUS_PORTS", "FrameByte", "Transceiver"]

#: Values of `bit` within a character: start bit 7, data bits 8 to 15, parity 0, stop bit 1. So a four-bit
#: counter steps through them by itself, and its top bit alone marks the bits of data.
START, PARITY, STOP = 7, 0, 1


class FrameByte(data.Struct):
    """One byte of a frame to send; the driver is released after the one that is `last`."""

    data: 8
    last: 1


#: The members that connect the bus and what goes over it.
BUS_PORTS = {
    "i": In(stream.Signature(FrameByte)),
    "ro": In(1, init=1),
    "di": Out(1, init=1),
    "de": Out(1),
    "received": Out(Character),
    "sent": Out(SendResult),
}


class Transceiver(wiring.Component):
    """Sends whole frames with the driver enabled, receives everything else; characters 8E1 (DL/T 645-2007: 1
    start, 8 data LSB first, even parity, 1 stop).

    The bus is one line, so one set of counters does for both directions, and what is sent is read back: a
    character that another driver spoils is timed to its end as it was begun, and muted.

    *Timing:* each bit lasts `divisor` cycles. The driver is enabled half a bit before the first start bit and
    released at the end of the last stop bit. Each byte of a frame must be offered by the end of the one
    before. A falling edge starts a character of another sender; a start bit that is not low in its middle is
    taken for a glitch. `received.valid` strobes in the middle of the stop bit; the next edge may come right
    then. `received.data` holds until the first data bit of the next character. `divisor` may change only
    while `idle`.

    *Errors:* a frame is given up when the bus, compared in the middle of each bit, differs from what is sent,
    because another driver is on; and when there is no next byte. Then `sent.broken` strobes, the driver is
    released in the next cycle, and the sender must withdraw the rest of the frame. Received characters are
    muted while sending. Wrong parity or a low stop bit raise `received.error` together with `valid`; after a
    low stop bit (break) the line must return before a character may begin.

    Parameters
    ----------
    divisor_max : the largest divisor, in clock cycles.

    Members
    -------
    i : bytes of frames to send.
    divisor : clock cycles of one bit, at least 8.
    ro : the receiver's output, synchronised.
    di, de : the driver's input and enable.
    received : received characters.
    sent : how a frame has ended.
    idle : nothing is timed; a frame or a character may begin in any cycle.

    Guarantees: `verif/blocks/test_uart.py::test_transceiver`, `test_collision_releases_the_driver`,
    `test_a_frame_without_its_next_byte_is_given_up`, `test_receives_right_after_sending`,
    `test_nothing_is_received_while_driving`, `test_receiver_errors`, `test_receiver_takes_baud_error`,
    `test_receiver_ignores_glitches`; proofs:
    `verif/formal/transceiver.py::driver_is_on_for_each_frame_exactly`,
    `verif/formal/transceiver.py::never_drives_after_a_collision`,
    `verif/formal/transceiver.py::only_others_are_heard`,
    `verif/formal/uart.py::transceiver_takes_every_byte`.
    """

    def __init__(self, divisor_max):
        self._divisor_max = divisor_max
        super().__init__({"divisor": In(range(divisor_max + 1)), "idle": Out(1), **BUS_PORTS})

    def elaborate(self, platform):
        m = Module()
        running = Signal()  # inside a character
        bit = Signal(4, init=START)
        time = Signal(range(self._divisor_max))
        parity = Signal()
        last = Signal()
        # A character that began while the driver was on is not another sender's: it stays muted to its end.
        muted = Signal()
        high = Signal(init=1)  # the line, one cycle ago

        middle, ends = time == self.divisor >> 1, time == self.divisor - 1
        sample = running & middle
        ready = self.de & ~last & Mux(running, ends & (bit == STOP), middle)
        clash = self.de & sample & (self.ro != self.di)
        begins = self.i.valid & ready
        received, sent = self.received, self.sent
        m.d.comb += [
            self.idle.eq(~self.de & ~running),
            self.i.ready.eq(ready),
            sent.broken.eq(clash | (ready & ~self.i.valid)),
            sent.done.eq(self.de & last & ends & (bit == STOP)),
            received.valid.eq(~self.de & ~muted & sample & (bit == STOP)),
            received.error.eq(parity | ~self.ro),
        ]

        # Characters, sent or received: the level of the line is sampled in the middle of each bit.
        m.d.sync += [high.eq(self.ro), time.eq(time + 1)]
        with m.If(sample):
            m.d.sync += parity.eq(parity ^ self.ro)
            with m.If(bit[3]):
                m.d.sync += received.data.eq(Cat(received.data[1:], self.ro))
        with m.If(running & ends):
            m.d.sync += [time.eq(0), bit.eq(bit + 1)]
        with m.If(~running):
            m.d.sync += [bit.eq(START), parity.eq(0)]
        with m.If(self.idle):
            m.d.sync += [time.eq(1), running.eq(high & ~self.ro)]

        with m.If(self.de):
            m.d.sync += muted.eq(1)
            with m.If(running & ends):
                ahead = Mux(bit == START + 8, parity, received.data[0])
                m.d.sync += self.di.eq(ahead | (bit == PARITY) | (bit == STOP))
            with m.If(begins):
                m.d.sync += [
                    *(running.eq(1), time.eq(0), bit.eq(START), parity.eq(0), self.di.eq(0)),
                    *(received.data.eq(self.i.payload.data), last.eq(self.i.payload.last)),
                ]
            with m.If(sent.broken | sent.done):
                m.d.sync += [self.de.eq(0), self.di.eq(1)]
                with m.If(bit == STOP):
                    m.d.sync += running.eq(0)
        with m.Else():
            m.d.sync += last.eq(0)
            with m.If(~running):
                m.d.sync += muted.eq(0)
            with m.Elif(middle & ((bit == STOP) | ((bit == START) & self.ro))):
                m.d.sync += running.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [self.de.eq(1), running.eq(0), time.eq(1)]
        return m
