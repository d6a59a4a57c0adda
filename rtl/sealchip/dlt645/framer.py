"""The DL/T 645-2007 framer: it sends the frames of `messages.MESSAGES`."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.transceiver import FrameByte
from ..core.firmware.layout import Public
from ..signatures import DiagnosticsRead, PublicRead
from .deframer import SCRAMBLE
from .messages import PREAMBLE, PREAMBLE_BYTES, PROGRAM, SECOND_ENTRY, THIRD_ENTRY, Message, Send, Word

__all__ = ["Framer"]


class Framer(wiring.Component):
    """Sends one message as a frame: preamble, head, scrambled data, checksum, end.

    *Timing:* `send.start` is a strobe while `busy` is 0; `send.message`, `function` and the request's DATA
    must hold. Bytes come at most 2 cycles after the last was taken, less than a bit, so the frame has no gaps
    but for `wait`. The program is in block RAM, which an iCE40 reads as zero for about 3 µs after
    configuration; the chip sends nothing before it has read its flash.

    *Errors:* `abort` drops the rest of the frame.

    Members
    -------
    send : what to send.
    busy : a frame is being sent.
    function : the function of the request that is answered.
    wait : the bytes of the record are not there yet.
    abort : the frame is given up.
    o : bytes, to the transceiver.
    diagnostics : reads the bytes of an answer with diagnostics; `hold` while one is being sent.
    position, content : a byte of the request's DATA, one cycle later; `position` is 0 while none is wanted.
    public : reads record, identity and time; `active` while a frame is being sent.

    Guarantees: `verif/blocks/test_framer.py::test_every_message_decodes`, `test_abort_drops_the_rest`;
    proof: `verif/formal/framer.py::frames_are_whole`.
    """

    send: In(Send)
    busy: Out(1)
    function: In(5)
    wait: In(1)
    abort: In(1)
    o: Out(stream.Signature(FrameByte))
    diagnostics: Out(DiagnosticsRead)
    position: Out(4)
    content: In(8)
    public: Out(PublicRead)

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = Memory(shape=Word, depth=256, init=PROGRAM)
        read = program.read_port()
        word = Signal(Word)
        fetched = Signal()  # the byte belongs to the word
        advance = Signal()
        checksum = Signal(8)
        plain = Signal(8)  # the byte before scrambling
        # While idle the first word of the message is read again and again.
        with m.If(self.busy & ~word.branches):
            m.d.comb += read.addr.eq(word.next)
        with m.Else():
            entry = Mux(self.busy, Mux(word.public, THIRD_ENTRY, SECOND_ENTRY), 0)
            m.d.comb += read.addr.eq(entry | self.send.message.as_value())
        # The record comes first in the public memory, and nothing else below the uptime.
        of_record = word.public & (word.index < Public.UPTIME)
        m.d.comb += [
            word.eq(read.data),
            read.en.eq(~self.busy | advance),
            self.diagnostics.hold.eq(self.busy & (self.send.message == Message.ANSWER_DIAGNOSTICS)),
            self.diagnostics.index.eq(word.index),
            self.position.eq(Mux(self.busy & word.request, word.index, 0)),
            self.public.active.eq(self.busy),
            self.public.address.eq(word.index),
            self.public.reading.eq(self.busy & ~fetched),
            plain.eq(
                word.constant
                | Mux(word.public, self.public.byte, 0)
                | Mux(word.diagnostics, self.diagnostics.byte, 0)
                | Mux(word.request, self.content, 0)
                | Mux(word.function, self.function, 0)
                | Mux(word.checksum, checksum, 0)
            ),
            self.o.valid.eq(self.busy & fetched & ~(of_record & self.wait)),
            self.o.payload.data.eq(plain + Mux(word.scrambled, SCRAMBLE, 0)),
            self.o.payload.last.eq(word.last),
            advance.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += fetched.eq(self.busy & ~advance)
        with m.If(~self.busy):
            # The sum begins after the preamble: this and the bytes of the preamble together are zero.
            m.d.sync += [self.busy.eq(self.send.start), checksum.eq(-PREAMBLE * PREAMBLE_BYTES)]
        with m.Elif(advance):
            m.d.sync += checksum.eq(checksum + self.o.payload.data)
        with m.If(self.busy & ((advance & word.last) | self.abort)):
            m.d.sync += self.busy.eq(0)
        return m
