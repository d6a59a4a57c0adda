"""The DL/T 645-2007 deframer: it finds the frames on the bus and whom they are addressed to."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..core.firmware.layout import Public
from ..interface import IDENTITY
from ..signatures import Character, FrameIn, PublicRead

__all__ = ["Deframer"]

START, END = 0x68, 0x16
#: Added to every byte of DATA on the wire.
SCRAMBLE = 0x33
ADDRESS_BYTES = 6
_WILDCARD, _BROADCAST = 0xAA, 0x99


class _State(enum.Enum, shape=3):
    """What the next byte is."""

    START = 0
    ADDRESS = 1
    SECOND_START = 2
    CONTROL = 3
    LENGTH = 4
    #: Or, when there are as many as the length byte says, the checksum.
    DATA = 5
    END = 6


class Deframer(wiring.Component):
    """Accepts exactly the frames with right length, checksum and end; anything else has no effect.

    *Timing:* `frame.valid` strobes at the end of the character 16h. `frame.head` holds until the next 68h,
    which `frame.begun` marks, and DATA until the first byte of DATA after that. Each address byte is compared
    through the identity's read port in the two cycles after it.

    *Errors:* a character with an error, a byte out of place or `silence` ends the frame; a character in the
    same cycle as `silence` is ignored. A 68h out of place begins the next one. Without silence before it, a
    frame that follows one cut short may lose bytes to that one: no byte is kept to be looked at again.

    Members
    -------
    received : characters.
    silence : the bus has been quiet for longer than any gap in a frame.
    frame : frames.
    position, content : a byte of DATA without the 33h that is added on the wire, one cycle later.
    public : reads the identity; `active` inside a frame.
    readable : the identity can be read; while not, only those addresses fit that fit any seal.

    Guarantees: `verif/blocks/test_deframer.py::test_accepts_exactly_the_frames`,
    `test_receives_what_the_host_receives`, `test_data_holds_until_there_is_other`,
    `test_a_frame_cut_short_ends_with_the_silence`, `test_addresses`;
    proof: `verif/formal/deframer.py::accepts_exactly_the_frames`.
    """

    received: In(Character)
    silence: In(1)
    frame: Out(FrameIn)
    position: In(8)
    content: Out(8)
    public: Out(PublicRead)
    readable: In(1)

    def elaborate(self, platform):
        m = Module()
        received, frame, public = self.received, self.frame, self.public
        head, begun, silence = frame.head, frame.begun, self.silence
        passed = Signal(8)  # bytes of the address, or of DATA
        checksum = Signal(8)
        state = Signal(_State)
        m.submodules.content = content = Memory(shape=8, depth=256, init=[])
        read, write = content.read_port(), content.write_port()
        m.submodules.compare = compare = _AddressCompare()
        m.d.comb += [
            compare.data.eq(received.data),
            compare.start.eq(begun),
            compare.count.eq(passed),
            public.address.eq(compare.address),
            public.reading.eq(compare.reading),
            compare.byte.eq(public.byte),
            compare.readable.eq(self.readable),
            head.to_seal.eq(compare.to_seal),
            head.meter.eq(compare.meter),
            head.broadcast.eq(compare.broadcast),
            head.wildcard.eq(compare.wildcard),
            write.addr.eq(passed),
            write.data.eq(received.data - SCRAMBLE),
            read.addr.eq(self.position),
            read.en.eq(~write.en),  # never both at once, as in `EventQueue`
            self.content.eq(read.data),
        ]

        # The states follow one another, so stepping to the next one is counting.
        is_start, fits, last = Signal(), Signal(), Signal()
        counts, whole = Signal(), Signal()
        m.d.comb += [
            is_start.eq(received.data == START),
            whole.eq(passed == head.length),
            fits.eq(1),
            last.eq(1),
        ]
        with m.Switch(state):
            with m.Case(_State.START, _State.SECOND_START):
                m.d.comb += fits.eq(is_start)
            with m.Case(_State.ADDRESS):
                m.d.comb += [counts.eq(1), last.eq(passed == ADDRESS_BYTES - 1)]
            with m.Case(_State.DATA):
                m.d.comb += [counts.eq(1), last.eq(whole), fits.eq(~whole | (received.data == checksum))]
            with m.Case(_State.END):
                m.d.comb += fits.eq(received.data == END)

        good = received.valid & ~received.error & ~silence
        m.d.comb += [
            public.active.eq(state != _State.START),
            # A byte out of place: the next frame may begin with it.
            begun.eq(good & is_start & ((state == _State.START) | ~fits)),
            frame.valid.eq(good & (state == _State.END) & fits),
            compare.strobe.eq(good & (state == _State.ADDRESS)),
            write.en.eq(received.valid & (state == _State.DATA) & ~whole),
        ]
        with m.If(received.valid):
            m.d.sync += [checksum.eq(checksum + received.data), passed.eq(Mux(counts, passed + 1, 0))]
            with m.If(state == _State.CONTROL):
                m.d.sync += head.control.eq(received.data)
            with m.If(state == _State.LENGTH):
                m.d.sync += head.length.eq(received.data)
        with m.If(begun):
            m.d.sync += [checksum.eq(START), passed.eq(0), state.eq(_State.ADDRESS)]
        with m.Elif(silence | (received.valid & (received.error | ~fits | (state == _State.END)))):
            m.d.sync += state.eq(_State.START)
        with m.Elif(received.valid & last):
            m.d.sync += state.eq(Value.cast(state) + 1)
        return m


class _AddressCompare(wiring.Component):
    """Compares an address, byte by byte, with the seal's, the meter's and the special ones.

    Shortened addressing: AA bytes stand at the high end and match anything. The address is sent low byte
    first, so after an AA byte only AA bytes may follow.

    Members
    -------
    start : strobe, an address begins.
    strobe, data, count : a byte of it, and its number.
    address, byte, reading : the read port of the public memory.
    readable : the identity can be read.
    to_seal, meter, broadcast, wildcard : as in `FrameHead`, one cycle after the last byte was compared.
    """

    start: In(1)
    strobe: In(1)
    data: In(8)
    count: In(3)
    address: Out(8)
    byte: In(8)
    reading: Out(1)
    readable: In(1)
    to_seal: Out(1)
    meter: Out(1)
    broadcast: Out(1)
    wildcard: Out(1)

    def elaborate(self, platform):
        m = Module()
        shortened = Signal()
        differs = Signal()
        seals, meters, judged = Signal(), Signal(), Signal()  # the cycles after `strobe`
        # In `seals` the seal's byte is asked for; in `meters` the meter's, while the seal's is compared; in
        # `judged` the meter's is compared. By then `count` is one more than the byte's number.
        of_seal, of_meter = (Public.IDENTITY + IDENTITY.offsets[name] - 1 for name in ("seal", "meter"))
        m.d.sync += Cat(seals, meters, judged).eq(Cat(self.strobe, seals, meters))
        m.d.comb += [
            self.address.eq(self.count + Mux(seals, of_seal, of_meter)),
            self.reading.eq(seals | meters),
            differs.eq((self.byte != self.data) | ~self.readable),
        ]
        with m.If(self.start):
            flags = self.to_seal, self.meter, self.broadcast, self.wildcard
            m.d.sync += [*(flag.eq(1) for flag in flags), shortened.eq(0)]
        with m.If(self.strobe):
            with m.If(self.data != _BROADCAST):
                m.d.sync += self.broadcast.eq(0)
            with m.If(self.data == _WILDCARD):
                m.d.sync += shortened.eq(1)
            with m.Else():
                m.d.sync += self.wildcard.eq(0)
                with m.If(shortened):
                    m.d.sync += self.to_seal.eq(0)
        with m.If(meters & ~shortened & differs):
            m.d.sync += self.to_seal.eq(0)
        with m.If(judged & differs & ~(self.readable & (self.byte == _WILDCARD))):
            m.d.sync += self.meter.eq(0)
        return m
