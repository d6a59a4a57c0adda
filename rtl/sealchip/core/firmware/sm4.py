"""SM4 block encryption, GB/T 32907-2016 (also ISO/IEC 18033-3).

The block is encrypted in place: each round replaces one word in turn, so no word is ever moved. The key
schedule is an encryption too: of the key, with the constants CK in place of round keys and another linear
map; each round leaves its result, a round key, where its constant was.
"""

from ..assembler import at, imm, indexed
from .layout import Memory, Out

__all__ = ["BLOCK_BYTES", "GIVEN", "LEFT", "SBOX", "TABLES", "emit", "prepare"]

BLOCK_BYTES = 16
ROUNDS = 32
#: The number of a byte, xored with one of these, is its place in the state: where an encryption with A = FF
#: takes it and where it leaves it. One with A = `GIVEN` takes it there and leaves it where the first took it.
GIVEN, LEFT = 3, 15

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
#: Constants that the memory holds after configuration, by address.
TABLES = {Memory.SBOX: SBOX, Memory.FK: FK}

#: The word after the S-box, and the same rotated; each stands in its block where the round's word stands.
_B, _ROTATED = Memory.WORK, Memory.ROTATED
#: Places of the byte at work: among the round keys, and within its block. A word's place is that of its first
#: byte.
_PLACE, _WITHIN = Memory.OF_CIPHER, Memory.OF_CIPHER + 1
_WAY, _MAP, _TURNS, _BYTE, _NUMBER, _CK = (Memory.OF_CIPHER + n for n in range(2, 8))
#: A linear map as a row of rotations by one bit: each bit of these stands for one, the highest first, and is
#: 1 if a sum follows. The bits still to come are at `_TURNS`, shifted left; the one shifted out is the carry.
#: With the sum of an encryption the row is used up; with the last sum of the key schedule `_LAST` is left.
_ENCRYPTION, _SCHEDULE, _LAST = 0b0100_0000, 0b0100_0011, 0b1000_0000


def emit(a):
    """Emit the leaf routine *sm4*, which encrypts the block at `Memory.STATE` with the round keys.

    It takes byte k from place k xor 12 xor A, modulo 16, and leaves it at k xor A; see `GIVEN` for how it is
    called. The time does not depend on the data.
    """
    a.label("sm4")
    a.store(at(_WAY))
    with a.each(_PLACE, range(4 * ROUNDS)[::-1]):
        _substitute(a)
        a.load(at(_PLACE))
        a.and_(imm(3))
        a.if_not_zero("sm4 next")
        a.copy(at(_MAP), at(_TURNS))
        a.label("sm4 rotate")
        _rotate(a)
        a.load(at(_TURNS))
        a.add(at(_TURNS))
        a.store(at(_TURNS))
        a.if_no_carry("sm4 rotate")
        a.if_not_zero("sm4 schedule")
        _spread(a)
        a.label("sm4 next")
    a.return_()
    a.label("sm4 schedule")
    _schedule(a)
    a.jump("sm4 next")


def prepare(a, key, keyed):
    """Make the round keys of the 16 bytes at `key` in the identity; byte `keyed` is zero if all of them are.

    The time does not depend on the key.
    """
    _load_key(a, key, keyed)
    a.copy(imm(_SCHEDULE), at(_MAP))
    a.copy(imm(0), at(_CK))
    with a.each(_NUMBER, range(4 * ROUNDS)[::-1]):
        a.load(at(_CK))
        # The words of the round keys lie in reverse order, the bytes within them do not.
        a.store(indexed(Memory.ROUND_KEYS + 3))
        a.add(imm(7))
        a.store(at(_CK))
    a.call("sm4")  # with A = FF, which the loop leaves
    a.copy(imm(_ENCRYPTION), at(_MAP))


def _load_key(a, key, keyed):
    """Put the sum of key and FK into the state, clause 7.3 b."""
    a.copy(imm(0), at(keyed))
    with a.each(_NUMBER, range(BLOCK_BYTES)[::-1]):
        a.add(imm(key))
        a.out(Out.X)
        a.copy(indexed(Memory.IDENTITY), at(_BYTE))
        a.add(imm(0xFF))  # leaves a carry unless the byte is zero
        a.load(at(keyed))
        a.add(imm(0), carry=True)
        a.store(at(keyed))
        a.index(at(_NUMBER))
        a.load(at(_BYTE))
        a.xor(indexed(Memory.FK))
        a.store(indexed(Memory.STATE + GIVEN))


def _substitute(a):
    """Put a byte of the sum of the other three words and the round key through the S-box, clause 6.2 a.

    Leaves the byte's place within the block in X.
    """
    a.xor(at(_WAY))
    a.and_(imm(BLOCK_BYTES - 1))
    a.store(at(_WITHIN))
    a.copy(indexed(Memory.ROUND_KEYS), at(_BYTE))
    a.index(at(_WITHIN))
    a.load(at(_BYTE))
    for other in (4, 8, 12):
        a.xor(indexed(Memory.STATE + other))
    a.out(Out.X)
    a.copy(indexed(Memory.SBOX), at(_BYTE))
    a.index(at(_WITHIN))
    a.load(at(_BYTE))
    a.store(indexed(_B))
    a.store(indexed(_ROTATED))


def _rotate(a):
    """Rotate the word by one bit more. The first addition only makes the carry that goes in at the bottom."""
    a.load(indexed(_ROTATED))
    a.add(indexed(_ROTATED))
    for n in reversed(range(4)):
        a.load(indexed(_ROTATED + n))
        a.add(indexed(_ROTATED + n), carry=True)
        a.store(indexed(_ROTATED + n))


def _spread(a):
    """Add L, clause 6.2 b, to the round's word; the word is rotated by two bits, and A is 0.

    With r rotated, byte n of the result is b[n] + b[n-1] + r[n] + r[n+1] + r[n+2], and these last three are
    the sum of all four and r[n-1].
    """
    for n in range(4):
        a.xor(indexed(_ROTATED + n))
    a.store(at(_BYTE))
    for n in range(4):
        a.load(at(_BYTE))
        for part in (_ROTATED + (n - 1) % 4, _B + (n - 1) % 4, _B + n, Memory.STATE + n):
            a.xor(indexed(part))
        a.store(indexed(Memory.STATE + n))


def _schedule(a):
    """Take a sum of L', clause 7.3 a; the last one gives the round's word and the round key.

    L' is the sum of B and of B rotated by 13 and by 23 bits: that is B and, rotated by 13, the sum of B and B
    rotated by 10. Each sum takes the bytes one place further on, which is a rotation by 8 for nothing; so 2
    single rotations come before the first sum, and 5 before the second one.
    """
    a.load(indexed(_ROTATED))
    a.xor(indexed(_B + 3))
    a.store(at(_BYTE))
    for n in range(3):
        a.load(indexed(_ROTATED + n + 1))
        a.xor(indexed(_B + n))
        a.store(indexed(_ROTATED + n))
    a.copy(at(_BYTE), indexed(_ROTATED + 3))
    a.load(at(_TURNS))
    a.xor(imm(_LAST))
    a.if_not_zero("sm4 rotate")
    with a.each(_NUMBER, range(4)[::-1]):
        a.xor(at(_WITHIN))
        a.out(Out.X)
        a.load(indexed(_ROTATED))
        a.xor(indexed(Memory.STATE))
        a.store(indexed(Memory.STATE))
        a.store(at(_BYTE))
        a.load(at(_NUMBER))
        a.xor(at(_PLACE))
        a.out(Out.X)
        a.copy(at(_BYTE), indexed(Memory.ROUND_KEYS))
