"""RS485 transceiver side: driver enable around each frame, receiver, and listening to oneself."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .uart_rx import Receiver
from .uart_tx import Transmitter

__all__ = ["FrameByte", "Transceiver"]


class FrameByte(data.Struct):
    """One byte of a frame to send; `last` releases the driver behind it."""

    data: 8
    last: 1


class Transceiver(wiring.Component):
    """Sends whole frames with the driver enabled, receives everything else.

    *Timing:* the driver is enabled half a bit before the first start bit and released at the end of the last
    stop bit. Each byte of a frame must be offered by the end of the one before.
    *Errors:* a frame is given up, `broken` strobes, the driver is released in the next cycle and the rest of
    the frame must be withdrawn by the sender: when the pair, compared with what is sent in the middle of
    each bit, differs, as somebody else drives too; and when there is no next byte. Received characters are
    muted while sending.

    Parameters
    ----------
    divisor_max: largest divisor, in clock cycles.

    Members
    -------
    i: bytes of frames to send. divisor: clock cycles of one bit.
    ro: receiver output, synchronised. di, de: driver input and enable.
    valid, data, error: received characters. broken: see above. done: strobe, a frame was sent whole.

    Guarantees: `verif/chip/test_uart.py::test_transceiver`, `test_collision_releases_the_driver`,
    `test_a_frame_without_its_next_byte_is_given_up`, `test_receives_right_after_sending`,
    `test_nothing_is_heard_while_driving`; proofs:
    `verif/formal/transceiver.py::driver_is_on_for_each_frame_exactly`,
    `verif/formal/transceiver.py::never_drives_after_a_collision`,
    `verif/formal/transceiver.py::only_others_are_heard`.
    """

    def __init__(self, divisor_max):
        self._divisor_max = divisor_max
        super().__init__(
            {
                "i": In(stream.Signature(FrameByte)),
                "divisor": In(range(divisor_max + 1)),
                "ro": In(1, init=1),
                "di": Out(1, init=1),
                "de": Out(1),
                "valid": Out(1),
                "data": Out(8),
                "error": Out(1),
                "broken": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tx = m.submodules.tx = Transmitter(self._divisor_max)
        rx = m.submodules.rx = Receiver(self._divisor_max)
        lead = Signal(range(self._divisor_max + 1))
        # A character that began while the driver was on is not the others': it stays muted to its end.
        muted = Signal()
        clash = tx.sample & (self.ro != tx.o)
        missing = tx.i.ready & ~self.i.valid

        m.d.comb += [
            tx.divisor.eq(self.divisor),
            rx.divisor.eq(self.divisor),
            rx.i.eq(self.ro),
            self.di.eq(tx.o),
            self.valid.eq(rx.valid & ~muted & ~self.de),
            self.data.eq(rx.data),
            self.error.eq(rx.error),
            tx.i.payload.eq(self.i.payload.data),
            tx.abort.eq(self.broken),
        ]
        with m.If(self.de):
            m.d.sync += muted.eq(rx.busy | ~self.ro)
        with m.Elif(~rx.busy):
            m.d.sync += muted.eq(0)

        with m.FSM(name="driver") as fsm:
            m.d.comb += self.de.eq(~fsm.ongoing("off"))
            with m.State("off"):
                m.d.sync += lead.eq(self.divisor >> 1)
                with m.If(self.i.valid):
                    m.next = "lead"
            with m.State("lead"):
                m.d.sync += lead.eq(lead - 1)
                with m.If(lead == 1):
                    m.next = "frame"
            with m.State("frame"):
                m.d.comb += [
                    tx.i.valid.eq(self.i.valid),
                    self.i.ready.eq(tx.i.ready),
                    self.broken.eq(clash | missing),
                ]
                with m.If(self.i.valid & self.i.ready & self.i.payload.last):
                    m.next = "tail"
                with m.If(self.broken):
                    m.next = "off"
            with m.State("tail"):
                m.d.comb += self.broken.eq(clash)
                with m.If(clash):
                    m.next = "off"
                # The cycle that would take another byte is the last one of the stop bit.
                with m.Elif(tx.i.ready):
                    m.d.comb += self.done.eq(1)
                    m.next = "off"
        return m
