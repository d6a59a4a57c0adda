"""DL/T 645-2007 framer: sends the frames of `messages.MESSAGES`."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .deframer import END, SCRAMBLE, START
from .interface import IDENTITY
from .messages import MESSAGES, Body, Message
from .transceiver import FrameByte

__all__ = ["Framer"]

PREAMBLE, PREAMBLE_BYTES = 0xFE, 4
ADDRESS_BYTES = 6


class Framer(wiring.Component):
    """Sends one message as a frame: preamble, head, scrambled data, checksum, end.

    *Timing:* `start` is a strobe while `busy` is 0; `message`, `function`, `di` and `error` must hold. Bytes
    come at most 2 cycles after the last was taken, less than a bit, so the frame has no gaps but for `wait`.
    *Errors:* `abort` drops the rest of the frame.

    Members
    -------
    start, message, busy: see above. function, di: of the request that is answered. error: ERR byte.
    wait: the bytes of the body are not there yet. abort: the frame is given up. o: to the transceiver.
    index, record, diagnostics: body bytes by index, valid in the cycle after it changes.
    address, byte: the identity's read port.

    Guarantees: `verif/chip/test_framer.py::test_every_message_decodes`, `test_abort_drops_the_rest`;
    proof: `verif/formal/framer.py::frames_are_whole`.
    """

    start: In(1)
    message: In(Message)
    busy: Out(1)
    function: In(5)
    di: In(32)
    error: In(8)
    wait: In(1)
    abort: In(1)
    o: Out(stream.Signature(FrameByte))
    index: Out(6)
    record: In(8)
    diagnostics: In(8)
    address: Out(range(IDENTITY.size))
    byte: In(8)

    def elaborate(self, platform):
        m = Module()
        control, length, di = Signal(8), Signal(8), Signal(32)
        to_meter, has_di, has_authority = Signal(), Signal(), Signal()
        body = Signal(Body)
        offset, size = Signal(range(IDENTITY.size)), Signal(6)
        with m.Switch(self.message):
            for message, shape in MESSAGES.items():
                with m.Case(message):
                    m.d.comb += [
                        control.eq(Cat(self.function, 0, 1, 1) if shape.control is None else shape.control),
                        length.eq(shape.length),
                        di.eq(self.di if shape.di is None else shape.di.value),
                        to_meter.eq(shape.to_meter),
                        has_di.eq(shape.has_di),
                        has_authority.eq(shape.has_authority),
                        body.eq(shape.body),
                        offset.eq(shape.offset),
                        size.eq(shape.size),
                    ]

        checksum = Signal(8)
        fetched = Signal()  # the byte belongs to `index`
        advance = Signal()
        plain = Signal(8)  # the byte before scrambling
        content = Signal(8)
        scrambled, in_body = Signal(), Signal()
        whose = Mux(to_meter, IDENTITY.offsets["meter"], IDENTITY.offsets["seal"])
        m.d.comb += [
            self.o.valid.eq(self.busy & fetched & ~(in_body & self.wait)),
            self.o.payload.data.eq(Mux(scrambled, plain + SCRAMBLE, plain)),
            advance.eq(self.o.valid & self.o.ready),
            self.address.eq(whose + self.index),
        ]
        m.d.sync += fetched.eq(self.busy & ~advance)
        with m.If(advance):
            m.d.sync += [
                self.index.eq(self.index + 1),
                checksum.eq(checksum + self.o.payload.data),
            ]

        with m.FSM(name="state") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                m.d.sync += self.index.eq(0)
                with m.If(self.start):
                    m.next = "preamble"

            def phase(state, byte, then, count=1):
                """State that sends `count` bytes, `index` running from 0, and then does `then`."""
                with m.State(state):
                    m.d.comb += plain.eq(byte)
                    with m.If(advance & (self.index == count - 1)):
                        m.d.sync += self.index.eq(0)
                        then()
                    with m.If(self.abort):
                        m.next = "idle"

            def go(state):
                def then():
                    m.next = state

                return then

            def begin_sum():
                m.d.sync += checksum.eq(START)
                m.next = "address"

            def after_length():
                m.next = "body"
                with m.If(has_di):
                    m.next = "di"
                with m.Elif(size == 0):
                    m.next = "checksum"

            def after_di():
                m.next = "body"
                with m.If(has_authority):
                    m.next = "authority"

            phase("preamble", PREAMBLE, go("start"), PREAMBLE_BYTES)
            phase("start", START, begin_sum)
            phase("address", self.byte, go("second start"), ADDRESS_BYTES)
            phase("second start", START, go("control"))
            phase("control", control, go("length"))
            phase("length", length, after_length)
            phase("di", di.word_select(self.index[:2], 8), after_di, 4)
            phase("authority", 0, go("body"), 8)
            phase("body", content, go("checksum"), size)
            phase("checksum", checksum, go("end"))
            phase("end", END, go("idle"))
            m.d.comb += [
                scrambled.eq(fsm.ongoing("di") | fsm.ongoing("authority") | fsm.ongoing("body")),
                self.o.payload.last.eq(fsm.ongoing("end")),
            ]
            m.d.comb += in_body.eq(fsm.ongoing("body"))

        with m.If(in_body):
            m.d.comb += self.address.eq(offset + self.index)
        with m.Switch(body):
            with m.Case(Body.RECORD):
                m.d.comb += content.eq(self.record)
            with m.Case(Body.IDENTITY):
                m.d.comb += content.eq(self.byte)
            with m.Case(Body.DIAGNOSTICS):
                m.d.comb += content.eq(self.diagnostics)
            with m.Case(Body.ERROR):
                m.d.comb += content.eq(self.error)
        return m
