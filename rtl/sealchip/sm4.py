"""SM4 block encryption, GB/T 32907-2016 (also ISO/IEC 18033-3), a word at a time through one S-box.

Round and key schedule have one shape, so they share everything but a linear map: four words are added
(exclusive or), the bytes of the sum go through the S-box, the result is spread by a linear map and added to a
fifth word, which it replaces. Round key and round alternate; no round key is kept longer than its round.
"""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["BLOCK_BYTES", "CK", "FK", "SBOX", "Sm4"]

BLOCK_BYTES = 16
ROUNDS = 32

#: Substitution of one byte, clause 6.2 a.
SBOX = bytes.fromhex(
    "d690e9fecce13db716b614c228fb2c052b679a762abe04c3aa441326498606999c4250f491ef987a33540b43edcfac62"
    "e4b31ca9c908e89580df94fa758f3fa64707a7fcf37317ba83593c19e6854fa8686b81b27164da8bf8eb0f4b70569d35"
    "1e240e5e6358d1a225227c3b01217887d40046579fd327524c3602e7a0c4c89eeabf8ad240c738b5a3f7f2cef96115a1"
    "e0ae5da49b341a55ad933230f58cb1e31df6e22e8266ca60c02923ab0d534e6fd5db3745defd8e2f03ff6a726d6c5b51"
    "8d1baf92bbddbc7f11d95c411f105ad80ac13188a5cd7bbd2d74d012b8e5b4b08969974a0c96777e65b9f109c56ec684"
    "18f07dec3adc4d2079ee5f3ed7cb3948"
)
#: Words added to the key, clause 7.3 b.
FK = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)
#: Words of the key schedule, clause 7.3 c: byte n of all of them is 7 n mod 256.
CK = tuple(int.from_bytes(bytes(7 * (4 * n + byte) % 256 for byte in range(4)), "big") for n in range(ROUNDS))

# Where the words are in the memory; only the first eight are ever written.
_STATE, _KEY, _FK, _ZERO, _CK = 0, 4, 8, 12, 32
_WORDS = [*[0] * _FK, *FK, *[0] * (_CK - _FK - len(FK)), *CK]

# Last steps of each part of half a round: add four words (each arrives in the step behind its address),
# substitute four bytes, replace the word.
_ADDED, _SUBSTITUTED, _REPLACED = 4, 9, 10


class Sm4(wiring.Component):
    """Encrypts blocks of 16 bytes under the key that is there when the block has been taken.

    Takes a block from `i`, reads the key, encrypts, gives the encrypted block on `o`, and takes the next.
    There is no decryption: CMAC needs none.

    *Timing:* 20 cycles for the block, 728 for key and rounds, 24 for the result; the same for every block
    and key. Ready for a block after reset. S-box and constants are in block RAM, which an iCE40 reads as zero
    for about 3 µs after configuration: the first block must come later. The chip has it so: nothing is
    signed before the flash has been read, and that waits 10 ms for the flash's power-up.
    *Errors:* none. It does not hide its power consumption: who can measure that needs a masked S-box.

    Members
    -------
    i, o: bytes of a block in and out, first byte first.
    key_address, key: byte of the key, first byte first; must follow its address one cycle later.

    Guarantees
    ----------
    1. It encrypts as the standard says: `verif/chip/test_sm4.py::test_vector_of_the_standard`,
       `test_encrypts_like_the_reference`, `test_every_entry_of_the_s_box`.
    2. The time tells nothing of key and block: `test_takes_the_same_time_always`.
    3. Both streams may pause anywhere: `test_streams_wait_for_both_sides`.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))
    key_address: Out(range(BLOCK_BYTES))
    key: In(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sbox = sbox = Memory(shape=8, depth=256, init=SBOX)
        m.submodules.words = words = Memory(shape=32, depth=len(_WORDS), init=_WORDS)
        substitute, read, write = sbox.read_port(), words.read_port(), words.write_port()

        work = Signal(32)
        clear = Signal()
        add = Signal()
        shift = Signal()
        entering = Signal(8)  # what a shift brings in
        with m.If(clear):
            m.d.sync += work.eq(0)
        with m.Elif(add):
            m.d.sync += work.eq(work ^ read.data)
        with m.Elif(shift):
            m.d.sync += work.eq(Cat(entering, work[:24]))

        step = Signal(range(_REPLACED + 1))
        turn = Signal(range(ROUNDS))  # round, or in its low bits number of a word of block or key
        word = turn[:2]
        of_key = Signal()  # of the word that is written
        spread = Signal()  # of the word that is written
        m.d.comb += [
            substitute.addr.eq(work[24:]),
            entering.eq(substitute.data),
            # Never both at once: block RAM is undefined there, and synthesis would add logic to define it.
            read.en.eq(~write.en),
            write.addr.eq(Cat(word, of_key)),
            write.data.eq(work ^ read.data ^ Mux(spread, _spread(work, of_key), 0)),
            self.o.payload.eq(work[24:]),
            self.key_address.eq(Cat(step[:2], word)),
        ]
        advance = Signal()  # to the next step
        last = Signal()  # next word or round
        with m.If(advance):
            m.d.sync += step.eq(step + 1)
        with m.If(last):
            m.d.sync += [step.eq(0), turn.eq(turn + 1)]

        with m.FSM(name="state"):
            with m.State("take"):
                m.d.comb += [read.addr.eq(_ZERO), entering.eq(self.i.payload)]
                with m.If(step == 4):
                    m.d.comb += [write.en.eq(1), last.eq(1)]
                    with m.If(word == 3):
                        m.d.sync += turn.eq(0)
                        m.next = "key"
                with m.Else():
                    m.d.comb += [self.i.ready.eq(1), shift.eq(self.i.valid), advance.eq(self.i.valid)]
            # A byte arrives one step behind its address, so the first of the five that are shifted in means
            # nothing and leaves again. The substitution below works in the same way.
            with m.State("key"):
                m.d.comb += [of_key.eq(1), read.addr.eq(_FK + word), entering.eq(self.key), advance.eq(1)]
                with m.If(step == 5):
                    m.d.comb += [write.en.eq(1), last.eq(1)]
                    with m.If(word == 3):
                        m.d.sync += turn.eq(0)
                        m.next = "round key"
                with m.Else():
                    m.d.comb += shift.eq(1)

            def half(bank, fourth):
                """One half of a round, that replaces a word of `bank`; `fourth` is the last word added."""
                m.d.comb += [spread.eq(1), advance.eq(1), read.addr.eq(bank + word)]
                with m.If(step < 3):
                    m.d.comb += read.addr.eq(bank + (word + step + 1)[:2])
                with m.If(step == 3):
                    m.d.comb += read.addr.eq(fourth)
                m.d.comb += [
                    clear.eq(step == 0),
                    add.eq(step <= _ADDED),
                    shift.eq(step <= _SUBSTITUTED),
                    write.en.eq(step == _REPLACED),
                ]

            with m.State("round key"):
                m.d.comb += of_key.eq(1)
                half(_KEY, _CK + turn)
                with m.If(step == _REPLACED):
                    m.d.sync += step.eq(0)
                    m.next = "round"
            with m.State("round"):
                half(_STATE, _KEY + word)
                with m.If(step == _REPLACED):
                    m.d.comb += last.eq(1)
                    m.next = "round key"
                    with m.If(turn == ROUNDS - 1):
                        m.next = "give"
            # The last word comes first: transformation R, clause 6.1.
            with m.State("give"):
                m.d.comb += [read.addr.eq(~word), clear.eq(step == 0), add.eq(step == 1)]
                m.d.comb += [self.o.valid.eq(step > 1), advance.eq((step < 2) | self.o.ready)]
                m.d.comb += [shift.eq(self.o.ready), last.eq((step == 5) & self.o.ready)]
                with m.If(last & (word == 3)):
                    m.d.sync += turn.eq(0)
                    m.next = "take"
        return m


def _spread(word, of_key):
    """What the linear map adds to `word`: L' for a round key, L for a round, clauses 7.3 a and 6.2 b."""

    def rotated(*by):
        return reduce(xor, (word.rotate_left(bits) for bits in by))

    return Mux(of_key, rotated(13, 23), rotated(2, 10, 18, 24))
