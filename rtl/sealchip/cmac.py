"""SM4-CMAC, NIST SP 800-38B with GB/T 32907-2016, over the part of a record before its MAC."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import RECORD
from .sm4 import BLOCK_BYTES, Sm4

__all__ = ["MESSAGE_BYTES", "TAG_BYTES", "Cmac"]

#: Two blocks, the second one not full: so it is padded, and only the subkey K2 is needed, clause 6.2 step 4.
MESSAGE_BYTES = RECORD.offsets["mac"]
#: Only the first bytes of the tag are used, clause 6.2 step 7.
TAG_BYTES = RECORD["mac"].width


class Cmac(wiring.Component):
    """Takes messages of 30 bytes from `i` and gives the first 8 bytes of the tag of each on `o`.

    The subkey is made once, when `enable` rises, and again after `enable` was low: it must be low while the
    key changes.

    *Timing:* less than 900 cycles for the subkey, then less than 1700 for each message. `i` is not ready
    before the subkey is.
    *Errors:* none. A message that has been begun must be ended; `enable` is looked at between messages.

    Members
    -------
    enable: the key can be read. i, o: message and tag, first byte first.
    key_address, key: byte of the key, one cycle later (`Sm4`).

    Guarantees
    ----------
    1. The tag is that of the reference, for any key and message, message after message:
       `verif/chip/test_cmac.py::test_tags_are_those_of_the_reference`.
    2. Both carries of the subkey: `test_subkey_of_every_kind`.
    3. A new key counts after `enable` was low: `test_key_change`.
    4. The time is as said and tells nothing of key and message: `test_takes_the_same_time_always`.
    """

    enable: In(1)
    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))
    key_address: Out(range(BLOCK_BYTES))
    key: In(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sm4 = sm4 = Sm4()
        # Lower half: what is added to the next block of the message. Upper half: the subkey.
        m.submodules.memory = memory = Memory(shape=8, depth=2 * BLOCK_BYTES, init=[])
        read, write = memory.read_port(), memory.write_port()
        index = Signal(range(BLOCK_BYTES))  # byte
        second = Signal()  # block
        last = index == BLOCK_BYTES - 1
        position = Cat(index, second)
        given = position < MESSAGE_BYTES  # this byte comes from the message, not from the padding
        fetched = Signal()  # the memory has read the byte at `index`
        advance = Signal()
        before = Signal(8)  # byte of the encrypted zeros before this one
        carries = Signal(2)  # their first two bits
        m.d.comb += [
            self.key_address.eq(sm4.key_address),
            sm4.key.eq(self.key),
            read.addr.eq(index),
            # Never both at once: see `Sm4`.
            read.en.eq(~write.en),
            write.addr.eq(index),
            self.o.payload.eq(sm4.o.payload),
        ]
        m.d.sync += fetched.eq(~advance)
        with m.If(advance):
            m.d.sync += index.eq(index + 1)

        with m.FSM(name="state"):
            with m.State("off"):
                with m.If(self.enable):
                    m.next = "zeros"
            # Subkey K2: the encrypted zeros times x squared in GF(2^128), clause 6.1, in one pass. Each byte
            # is shifted left by two bits that the next one brings, so it is written one byte late.
            with m.State("zeros"):
                m.d.comb += [sm4.i.valid.eq(1), advance.eq(sm4.i.ready)]
                with m.If(advance & last):
                    m.next = "first"
            with m.State("first"):
                m.d.comb += sm4.o.ready.eq(1)
                with m.If(sm4.o.valid):
                    m.d.sync += [before.eq(sm4.o.payload), carries.eq(sm4.o.payload[6:])]
                    m.next = "subkey"
            with m.State("subkey"):
                m.d.comb += [
                    sm4.o.ready.eq(~last),
                    advance.eq(sm4.o.valid | last),
                    write.en.eq(advance),
                    write.addr.eq(BLOCK_BYTES + index),
                ]
                with m.If(last):
                    m.d.comb += write.data.eq((before << 2) ^ _reduction(carries)[:8])
                    m.next = "message"
                with m.Else():
                    high = Mux(index == BLOCK_BYTES - 2, _reduction(carries)[8:], 0)
                    m.d.comb += write.data.eq(Cat(sm4.o.payload[6:], before[:6]) ^ high)
                    with m.If(sm4.o.valid):
                        m.d.sync += before.eq(sm4.o.payload)

            with m.State("message"):
                padding = Mux(position == MESSAGE_BYTES, 0x80, 0)
                m.d.comb += [
                    sm4.i.valid.eq(fetched & (self.i.valid | ~given)),
                    sm4.i.payload.eq(Mux(given, self.i.payload, padding) ^ Mux(second, read.data, 0)),
                    self.i.ready.eq(fetched & sm4.i.ready & given),
                    advance.eq(sm4.i.valid & sm4.i.ready),
                ]
                with m.If(advance & last):
                    m.next = "encrypted"
                with m.If((position == 0) & ~self.enable):
                    m.d.comb += [sm4.i.valid.eq(0), self.i.ready.eq(0)]
                    m.next = "off"
            with m.State("encrypted"):
                m.d.comb += [
                    read.addr.eq(BLOCK_BYTES + index),
                    write.data.eq(sm4.o.payload ^ read.data),
                    advance.eq(sm4.o.valid & sm4.o.ready),
                ]
                with m.If(~second):
                    m.d.comb += [sm4.o.ready.eq(fetched), write.en.eq(advance)]
                with m.Elif(index < TAG_BYTES):
                    m.d.comb += [self.o.valid.eq(sm4.o.valid), sm4.o.ready.eq(self.o.ready)]
                with m.Else():
                    m.d.comb += sm4.o.ready.eq(1)
                with m.If(advance & last):
                    m.d.sync += second.eq(~second)
                    m.next = "message"
        return m


def _reduction(carries):
    """What two bits that leave a number of GF(2^128) at the top add at its bottom, 9 bits."""
    polynomial = 0x87
    return Mux(carries[0], polynomial, 0) ^ Mux(carries[1], polynomial << 1, 0)
