"""DL/T 645-2007 deframer: finds the frames on the pair and says whom they concern."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..core.firmware.layout import Public
from ..interface import IDENTITY
from ..signatures import FrameHead

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
    """Accepts exactly the frames with right length, checksum and end; anything else is silence.

    *Timing:* `frame` strobes at the end of the character 16h. `head` holds until the next 68h, of which
    `begun` tells, and DATA until the first byte of DATA behind that. Each address byte is compared through
    the identity's read port in the two cycles behind it.
    *Errors:* a character with an error, a byte out of place or `silence` ends the frame; a character in the
    same cycle as `silence` is not heard. A 68h out of place begins the next one. Without silence before it,
    a frame cut short may still take bytes of the one behind it for its own: nothing is kept that could be
    looked at again.

    Members
    -------
    valid, data, error: characters. silence: the pair has been quiet for longer than any gap in a frame.
    frame, head: a frame. begun, active: the first 68h, inside a frame.
    position, content: byte of DATA without the 33h that is added on the wire, one cycle later.
    address, byte: read port of the public memory; reading: a byte of the identity is asked for. readable: it
    says what it shall; while not, no address fits but those that fit any seal.

    Guarantees: `verif/blocks/test_deframer.py::test_accepts_exactly_the_frames`,
    `test_hears_what_the_host_hears`, `test_data_holds_until_there_is_other`,
    `test_a_frame_cut_short_ends_with_the_silence`, `test_addresses`;
    proof: `verif/formal/deframer.py::accepts_exactly_the_frames`.
    """

    valid: In(1)
    data: In(8)
    error: In(1)
    silence: In(1)
    frame: Out(1)
    head: Out(FrameHead)
    begun: Out(1)
    active: Out(1)
    position: In(8)
    content: Out(8)
    address: Out(8)
    byte: In(8)
    reading: Out(1)
    readable: In(1)

    def elaborate(self, platform):
        m = Module()
        head = self.head
        passed = Signal(8)  # bytes of the address, or of DATA
        checksum = Signal(8)
        state = Signal(_State)
        m.submodules.content = content = Memory(shape=8, depth=256, init=[])
        read, write = content.read_port(), content.write_port()
        m.submodules.compare = compare = _AddressCompare()
        m.d.comb += [
            compare.data.eq(self.data),
            compare.start.eq(self.begun),
            compare.count.eq(passed),
            self.address.eq(compare.address),
            self.reading.eq(compare.reading),
            compare.byte.eq(self.byte),
            compare.readable.eq(self.readable),
            head.to_seal.eq(compare.to_seal),
            head.meter.eq(compare.meter),
            head.broadcast.eq(compare.broadcast),
            head.wildcard.eq(compare.wildcard),
            write.addr.eq(passed),
            write.data.eq(self.data - SCRAMBLE),
            read.addr.eq(self.position),
            read.en.eq(~write.en),  # as in `EventQueue`
            self.content.eq(read.data),
        ]

        # The states follow one another, so stepping to the next one is counting.
        is_start, fits, last = Signal(), Signal(), Signal()
        counts, whole = Signal(), Signal()
        m.d.comb += [is_start.eq(self.data == START), whole.eq(passed == head.length), fits.eq(1), last.eq(1)]
        with m.Switch(state):
            with m.Case(_State.START, _State.SECOND_START):
                m.d.comb += fits.eq(is_start)
            with m.Case(_State.ADDRESS):
                m.d.comb += [counts.eq(1), last.eq(passed == ADDRESS_BYTES - 1)]
            with m.Case(_State.DATA):
                m.d.comb += [counts.eq(1), last.eq(whole), fits.eq(~whole | (self.data == checksum))]
            with m.Case(_State.END):
                m.d.comb += fits.eq(self.data == END)

        good = self.valid & ~self.error & ~self.silence
        m.d.comb += [
            self.active.eq(state != _State.START),
            # A byte out of place: the next frame may begin with it.
            self.begun.eq(good & is_start & ((state == _State.START) | ~fits)),
            self.frame.eq(good & (state == _State.END) & fits),
            compare.strobe.eq(good & (state == _State.ADDRESS)),
            write.en.eq(self.valid & (state == _State.DATA) & ~whole),
        ]
        with m.If(self.valid):
            m.d.sync += [checksum.eq(checksum + self.data), passed.eq(Mux(counts, passed + 1, 0))]
            with m.If(state == _State.CONTROL):
                m.d.sync += head.control.eq(self.data)
            with m.If(state == _State.LENGTH):
                m.d.sync += head.length.eq(self.data)
        with m.If(self.begun):
            m.d.sync += [checksum.eq(START), passed.eq(0), state.eq(_State.ADDRESS)]
        with m.Elif(self.silence | (self.valid & (self.error | ~fits | (state == _State.END)))):
            m.d.sync += state.eq(_State.START)
        with m.Elif(self.valid & last):
            m.d.sync += state.eq(Value.cast(state) + 1)
        return m


class _AddressCompare(wiring.Component):
    """Compares an address, byte by byte, with the seal's, the meter's and the special ones.

    Shortened addressing: AA bytes stand at the high end and match anything.
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
        seals, meters, judged = Signal(), Signal(), Signal()  # whose byte is asked for
        # By then `count` is one more than the byte's place.
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
