"""SM4 block encryption, GB/T 32907-2016 (also ISO/IEC 18033-3).

The block is encrypted where it stands: a round replaces the word of its turn, so no word is ever moved. The
key schedule is an encryption too: of the key, with the constants CK for round keys and another linear map;
each round leaves its result, a round key, where its constant was.
"""

from ..assembler import at, imm, indexed
from .layout import Memory, Out

__all__ = ["BLOCK_BYTES", "OTHER_WAY", "SBOX", "TABLES", "emit", "prepare"]

BLOCK_BYTES = 16
ROUNDS = 32
#: Added to the place of a byte within its block where words lie the other way round.
OTHER_WAY = 12

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
#: What the memory has to have, by address.
TABLES = {Memory.SBOX: SBOX, Memory.FK: FK}

#: Two words of scratch: what goes through the S-box and comes back; the same, rotated.
_B, _ROTATED = Memory.WORK, Memory.WORK + 4
_BYTE, _NUMBER, _ROUND, _WORD, _WAY, _TURNS, _CK = range(Memory.WORK + 8, Memory.WORK + 15)
#: What the key schedule rotates within bytes: a bit for each turn, 1 if there is a sum behind it. What is
#: left of them is at `_TURNS`; none in an encryption.
_SCHEDULE_TURNS = 0b0100_0010


def emit(a):
    """The leaf routine *sm4*: encrypts the block at `Memory.STATE` with the round keys.

    A: 0 if the block's words lie the other way round; they do not when they come out. Or `OTHER_WAY`, and
    they do. Takes the same time always.
    """
    a.label("sm4")
    a.store(at(_WAY))
    with a.each(_ROUND, range(0, 4 * ROUNDS, 4)[::-1]):
        _substitute(a)
        a.label("sm4 rotate")
        _rotate(a)
        a.load(at(_TURNS))
        a.if_not_zero("sm4 schedule")
        _spread(a)
        a.label("sm4 next round")
    a.return_()
    a.label("sm4 schedule")
    _schedule(a)
    a.copy(imm(_SCHEDULE_TURNS), at(_TURNS))
    a.jump("sm4 next round")


def prepare(a, key, signs):
    """Round keys of the 16 bytes that are at `key` in the identity; byte `signs` is zero if all of them are.

    Takes the same time always.
    """
    _load_key(a, key, signs)
    a.copy(imm(0), at(_CK))
    with a.each(_NUMBER, range(4 * ROUNDS)[::-1]):
        a.load(at(_CK))
        # Their words lie the other way round, their bytes do not.
        a.store(indexed(Memory.ROUND_KEYS + 3))
        a.add(imm(7))
        a.store(at(_CK))
    a.copy(imm(_SCHEDULE_TURNS), at(_TURNS))
    a.load(imm(0))
    a.call("sm4")
    a.copy(imm(0), at(_TURNS))


def _load_key(a, key, signs):
    """Key and FK into the state, clause 7.3 b."""
    a.copy(imm(0), at(signs))
    with a.each(_NUMBER, range(BLOCK_BYTES)[::-1]):
        a.add(imm(key))
        a.out(Out.X)
        a.copy(indexed(Memory.IDENTITY), at(_BYTE))
        a.add(imm(0xFF))  # a carry unless it is zero
        a.load(at(signs))
        a.add(imm(0), carry=True)
        a.store(at(signs))
        a.index(at(_NUMBER))
        a.load(at(_BYTE))
        a.xor(indexed(Memory.FK))
        a.store(indexed(Memory.STATE + OTHER_WAY))


def _substitute(a):
    """The three words that are not the round's, and its round key, through the S-box: clause 6.2 a."""
    a.and_(imm(OTHER_WAY))
    a.xor(at(_WAY))
    a.store(at(_WORD))
    for n in range(4):
        a.copy(indexed(Memory.ROUND_KEYS + n), at(_B + n))
    for n in range(4):
        a.index(at(_WORD))
        a.load(at(_B + n))
        for other in (4, 8, 12):
            a.xor(indexed(Memory.STATE + other + n))
        a.out(Out.X)
        a.load(indexed(Memory.SBOX))
        a.store(at(_B + n))
        a.store(at(_ROTATED + n))


def _shifted(a):
    """Bytes of the rotated word, last one first, shifted by one bit: each is yielded while it is in A."""
    a.load(at(_ROTATED))
    a.add(at(_ROTATED))
    for n in reversed(range(4)):
        a.load(at(_ROTATED + n))
        a.add(at(_ROTATED + n), carry=True)
        yield n


def _rotate(a):
    """The rotated word by one bit more."""
    for n in _shifted(a):
        a.store(at(_ROTATED + n))


def _spread(a):
    """L, clause 6.2 b, with the word rotated by one bit and 0 in A: into the round's word.

    With r rotated by two bits, byte n of the result is b[n] + b[n-1] + r[n] + r[n+1] + r[n+2], and these last
    three are the sum of all four and r[n-1].
    """
    for n in range(4):
        a.xor(at(_ROTATED + n))
    a.store(at(_BYTE))
    a.add(at(_BYTE))
    a.add(imm(0), carry=True)
    a.store(at(_BYTE))
    a.index(at(_WORD))
    for n in _shifted(a):
        to = (n + 1) % 4
        for part in (at(_BYTE), at(_B + n), at(_B + to), indexed(Memory.STATE + to)):
            a.xor(part)
        a.store(indexed(Memory.STATE + to))


def _schedule(a):
    """L', clause 7.3 a, with `_TURNS` in A: into the round's word, and among the round keys.

    B, B rotated by 13 and by 23 bits: that is B and (B and B rotated by 10 bits) rotated by 13. Rotating goes
    on with *sm4 rotate*.
    """
    a.add(at(_TURNS))
    a.store(at(_TURNS))
    a.if_no_carry("sm4 rotate")
    a.load(at(_ROTATED))
    a.xor(at(_B + 3))
    a.store(at(_BYTE))
    for n in range(3):
        a.load(at(_ROTATED + n + 1))
        a.xor(at(_B + n))
        a.store(at(_ROTATED + n))
    a.copy(at(_BYTE), at(_ROTATED + 3))
    a.load(at(_TURNS))
    a.if_not_zero("sm4 rotate")
    with a.each(_NUMBER, range(4)[::-1]):
        a.copy(indexed(_ROTATED), at(_BYTE))
        _index_byte(a, _WORD)
        a.xor(indexed(Memory.STATE))
        a.store(indexed(Memory.STATE))
        a.store(at(_BYTE))
        _index_byte(a, _ROUND)
        a.store(indexed(Memory.ROUND_KEYS))


def _index_byte(a, word):
    """X = a byte of that word, and A the byte that is on its way."""
    a.load(at(word))
    a.xor(at(_NUMBER))
    a.out(Out.X)
    a.load(at(_BYTE))
