"""RS485 transceiver side: driver enable around each frame, characters 8E1, and listening to oneself."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BUS_PORTS", "FrameByte", "Transceiver"]

#: Places in a character: start bit, eight of data, parity, stop bit. The top bit says data.
START, PARITY, STOP = 7, 0, 1


class FrameByte(data.Struct):
    """One byte of a frame to send; `last` releases the driver behind it."""

    data: 8
    last: 1


#: The pair, and what goes over it.
BUS_PORTS = {
    "i": In(stream.Signature(FrameByte)),
    "ro": In(1, init=1),
    "di": Out(1, init=1),
    "de": Out(1),
    "valid": Out(1),
    "data": Out(8),
    "error": Out(1),
    "broken": Out(1),
    "done": Out(1),
}


class Transceiver(wiring.Component):
    """Sends whole frames with the driver enabled, receives everything else; characters 8E1 (DL/T 645-2007: 1
    start, 8 data LSB first, even parity, 1 stop).

    The pair is one line, so one set of counters does for both directions, and what is sent is read back: a
    character that others spoil is heard to its end, in its own time, and muted.

    *Timing:* each bit lasts `divisor` cycles. The driver is enabled half a bit before the first start bit and
    released at the end of the last stop bit. Each byte of a frame must be offered by the end of the one
    before. A falling edge starts a character of others; a start bit that is not low in its middle is taken
    for a glitch. `valid` strobes in the middle of the stop bit; the next edge may come right then. `data`
    holds until the first data bit of the next character. `divisor` may change only while `idle`.
    *Errors:* a frame is given up, `broken` strobes, the driver is released in the next cycle and the rest of
    the frame must be withdrawn by the sender: when the pair, compared with what is sent in the middle of
    each bit, differs, as somebody else drives too; and when there is no next byte. Received characters are
    muted while sending. Wrong parity or a low stop bit raise `error` together with `valid`; after a low stop
    bit (break) the line must return before a character may begin.

    Parameters
    ----------
    divisor_max: largest divisor, in clock cycles.

    Members
    -------
    i: bytes of frames to send. divisor: clock cycles of one bit, at least 8.
    ro: receiver output, synchronised. di, de: driver input and enable.
    valid, data, error: received characters. broken: see above. done: strobe, a frame was sent whole.
    idle: nothing is timed; a frame or a character may begin in any cycle.

    Guarantees: `verif/blocks/test_uart.py::test_transceiver`, `test_collision_releases_the_driver`,
    `test_a_frame_without_its_next_byte_is_given_up`, `test_receives_right_after_sending`,
    `test_nothing_is_heard_while_driving`, `test_receiver_errors`, `test_receiver_takes_baud_error`,
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
        # A character that began while the driver was on is not the others': it stays muted to its end.
        muted = Signal()
        high = Signal(init=1)  # the line, one cycle ago

        middle, ends = time == self.divisor >> 1, time == self.divisor - 1
        sample = running & middle
        ready = self.de & ~last & Mux(running, ends & (bit == STOP), middle)
        clash = self.de & sample & (self.ro != self.di)
        begins = self.i.valid & ready
        m.d.comb += [
            self.idle.eq(~self.de & ~running),
            self.i.ready.eq(ready),
            self.broken.eq(clash | (ready & ~self.i.valid)),
            self.done.eq(self.de & last & ends & (bit == STOP)),
            self.valid.eq(~self.de & ~muted & sample & (bit == STOP)),
            self.error.eq(parity | ~self.ro),
        ]

        # Characters, sent or heard: what the line says is taken in the middle of each bit.
        m.d.sync += [high.eq(self.ro), time.eq(time + 1)]
        with m.If(sample):
            m.d.sync += parity.eq(parity ^ self.ro)
            with m.If(bit[3]):
                m.d.sync += self.data.eq(Cat(self.data[1:], self.ro))
        with m.If(running & ends):
            m.d.sync += [time.eq(0), bit.eq(bit + 1)]
        with m.If(~running):
            m.d.sync += [bit.eq(START), parity.eq(0)]
        with m.If(self.idle):
            m.d.sync += [time.eq(1), running.eq(high & ~self.ro)]

        with m.If(self.de):
            m.d.sync += muted.eq(1)
            with m.If(running & ends):
                ahead = Mux(bit == START + 8, parity, self.data[0])
                m.d.sync += self.di.eq(ahead | (bit == PARITY) | (bit == STOP))
            with m.If(begins):
                m.d.sync += [
                    *(running.eq(1), time.eq(0), bit.eq(START), parity.eq(0), self.di.eq(0)),
                    *(self.data.eq(self.i.payload.data), last.eq(self.i.payload.last)),
                ]
            with m.If(self.broken | self.done):
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
