"""SM4 block encryption, GB/T 32907-2016 (also ISO/IEC 18033-3), as statements of the signer's program.

Round and key schedule have one shape: four words are added (exclusive or), the bytes of the sum go through
the S-box, the result is spread by a linear map and added to a fifth word, which it replaces. Everything is
done byte by byte, so the rotations of words become shifts of neighbouring bytes.
"""

from .microcode import Byte, Mode, Source, Sum

__all__ = ["BLOCK_BYTES", "CK", "FK", "ROUNDS", "SBOX", "first_words", "key_round", "round_"]

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
#: Bytes added to the key, clause 7.3 b.
FK = bytes.fromhex("a3b1bac656aa3350677d9197b27022dc")
#: Bytes of the key schedule's words, clause 7.3 c.
CK = bytes(7 * n % 256 for n in range(4 * ROUNDS))


def round_(state, round_keys, work):
    """One round, clause 6.2: the word of the turn is replaced."""
    yield from _inputs(state, round_keys, work)
    for n in range(4):
        own, first, second, third = (Byte(work + (n + k) % 4, sbox=True) for k in range(4))
        # L, clause 6.2 b: rotations by 2, 10, 18 and 24 bits.
        yield Sum.of(
            state + n,
            Byte(state + n, Mode.WORD),
            own,
            own.shifted(2),
            first.rotated(2),
            second.rotated(2),
            third.shifted(-6),
            third,
            mode=Mode.WORD,
        )


def first_words(key, constants, secret):
    """A word of the key, clause 7.3 b; `secret`: where the key is."""
    for n in range(4):
        given = Byte(secret + n, Mode.WORD, Source.SECRET)
        yield Sum.of(key + n, given, Byte(constants + n, Mode.WORD), mode=Mode.WORD)


def key_round(key, constants, work, round_keys):
    """One round of the key schedule, clause 7.3: the key's word of the turn is replaced, and kept."""
    yield from _inputs(key, constants, work)
    for n in range(4):
        own, first, second, third = (Byte(work + (n + k) % 4, sbox=True) for k in range(4))
        # L', clause 7.3 a: rotations by 13 and 23 bits.
        parts = [
            Byte(key + n, Mode.WORD),
            own,
            first.shifted(5),
            second.shifted(-3),
            second.shifted(7),
            third.shifted(-1),
        ]
        yield Sum([(key + n, Mode.WORD), (round_keys + n, Mode.TURN)], parts)


def _inputs(words, fourth, work):
    """What goes through the S-box: the three words behind that of the turn, and one by its number."""
    for n in range(4):
        others = (Byte(words + 4 * k + n, Mode.WORD) for k in (1, 2, 3))
        yield Sum.of(work + n, Byte(fourth + n, Mode.TURN), *others)
