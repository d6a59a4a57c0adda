"""DL/T 645-2007 deframer: finds the frames on the pair and says whom they concern."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .interface import IDENTITY

__all__ = ["Deframer", "FrameHead"]

START, END = 0x68, 0x16
#: Added to every byte of DATA on the wire.
SCRAMBLE = 0x33
_WILDCARD, _BROADCAST = 0xAA, 0x99


class FrameHead(data.Struct):
    """What is known of a frame; `di` holds the first four bytes of DATA where there are as many, `tail`
    the last four.
    """

    control: 8
    length: 8
    di: 32
    tail: 32
    #: The address is the seal's, digit for digit or by shortened addressing.
    to_seal: 1
    #: The address is the meter's; a meter address of AA bytes in the identity stands for any meter.
    meter: 1
    broadcast: 1


class Deframer(wiring.Component):
    """Accepts exactly the frames with right length, checksum and end; anything else is silence.

    *Timing:* `frame` strobes at the end of the character 16h; `head` holds until the next 68h. Each
    address byte is compared through the identity's read port in the two cycles behind it.
    *Errors:* a character with an error, a byte out of place or `silence` ends the frame. A 68h out of place
    begins the next one. Without silence before it, a frame cut short may still take bytes of the one
    behind it for its own: nothing is kept that could be looked at again.

    Members
    -------
    valid, data, error: characters. silence: the pair has been quiet for longer than any gap in a frame.
    frame, head: a frame. active: inside a frame.
    address, byte: read port of the identity.

    Guarantees: `verif/chip/test_deframer.py::test_accepts_exactly_the_frames`,
    `test_hears_what_the_host_hears`, `test_a_frame_cut_short_ends_with_the_silence`, `test_addresses`;
    proof: `verif/formal/deframer.py::accepts_exactly_the_frames`.
    """

    valid: In(1)
    data: In(8)
    error: In(1)
    silence: In(1)
    frame: Out(1)
    head: Out(FrameHead)
    active: Out(1)
    address: Out(range(IDENTITY.size))
    byte: In(8)

    def elaborate(self, platform):
        m = Module()
        head = self.head
        count = Signal(8)
        checksum = Signal(8)
        value = Signal(8)
        m.submodules.compare = compare = _AddressCompare()
        m.d.comb += [
            compare.data.eq(self.data),
            compare.index.eq(count),
            self.address.eq(compare.address),
            compare.byte.eq(self.byte),
            value.eq(self.data - SCRAMBLE),
            head.to_seal.eq(compare.to_seal),
            head.meter.eq(compare.meter),
            head.broadcast.eq(compare.broadcast),
        ]

        with m.If(self.valid):
            m.d.sync += [checksum.eq(checksum + self.data), count.eq(count + 1)]

        with m.FSM(name="state") as fsm:
            m.d.comb += self.active.eq(~fsm.ongoing("start"))

            def expect(state, condition, then):
                with m.State(state):
                    with m.If(self.silence | (self.valid & self.error)):
                        m.next = "start"
                    with m.Elif(self.valid & condition):
                        then()
                    with m.Elif(self.valid):
                        restart()

            def restart():
                """A byte out of place: the next frame may begin with it."""
                m.next = "start"
                with m.If(self.data == START):
                    begin()

            def begin():
                m.d.comb += compare.start.eq(1)
                m.d.sync += [count.eq(0), checksum.eq(START)]
                m.next = "address"

            def control():
                m.d.sync += head.control.eq(self.data)
                m.next = "length"

            def length():
                m.d.sync += [head.length.eq(self.data), count.eq(0)]
                m.next = "data"
                with m.If(self.data == 0):
                    m.next = "checksum"

            def payload():
                m.d.sync += head.tail.eq(Cat(head.tail, value)[8:])
                with m.If(count < 4):
                    m.d.sync += head.di.word_select(count[:2], 8).eq(value)
                with m.If(count == head.length - 1):
                    m.next = "checksum"

            def end():
                m.d.comb += self.frame.eq(1)
                m.next = "start"

            def go(state):
                def then():
                    m.next = state

                return then

            def address():
                m.d.comb += compare.strobe.eq(1)
                with m.If(count == 5):
                    m.next = "second start"

            expect("start", self.data == START, begin)
            expect("address", 1, address)
            expect("second start", self.data == START, go("control"))
            expect("control", 1, control)
            expect("length", 1, length)
            expect("data", 1, payload)
            expect("checksum", self.data == checksum, go("end"))
            expect("end", self.data == END, end)
        return m


class _AddressCompare(wiring.Component):
    """Compares an address, byte by byte, with the seal's, the meter's and the special ones.

    Shortened addressing: AA bytes stand at the high end and match anything.
    """

    start: In(1)
    strobe: In(1)
    data: In(8)
    index: In(8)
    address: Out(range(IDENTITY.size))
    byte: In(8)
    to_seal: Out(1)
    meter: Out(1)
    broadcast: Out(1)

    def elaborate(self, platform):
        m = Module()
        wildcard = Signal()
        step = Signal(2)
        index = Signal(3)
        # Step 1 addresses the seal's byte, step 2 compares it and addresses the meter's, step 3 compares.
        m.d.comb += self.address.eq(
            Mux(step == 1, IDENTITY.offsets["seal"], IDENTITY.offsets["meter"]) + index
        )
        with m.If(self.start):
            m.d.sync += [self.to_seal.eq(1), self.meter.eq(1), self.broadcast.eq(1), wildcard.eq(0)]
        with m.If(self.strobe):
            m.d.sync += [step.eq(1), index.eq(self.index)]
            with m.If(self.data != _BROADCAST):
                m.d.sync += self.broadcast.eq(0)
            with m.If(self.data == _WILDCARD):
                m.d.sync += wildcard.eq(1)
        with m.Elif(step != 0):
            m.d.sync += step.eq(step + 1)
        with m.If(step == 2):
            with m.If(wildcard):
                with m.If(self.data != _WILDCARD):
                    m.d.sync += self.to_seal.eq(0)
            with m.Elif(self.byte != self.data):
                m.d.sync += self.to_seal.eq(0)
        with m.If((step == 3) & (self.byte != self.data) & (self.byte != _WILDCARD)):
            m.d.sync += self.meter.eq(0)
        return m
