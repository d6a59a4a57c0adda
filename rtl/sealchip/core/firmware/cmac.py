"""SM4-CMAC, NIST SP 800-38B with GB/T 32907-2016, of a record: what stands before its MAC."""

from ...interface import RECORD
from ..assembler import at, imm, indexed
from . import sm4
from .layout import Memory, Out

__all__ = ["PADDING", "TAG_BYTES", "prepare", "sign"]

#: Two blocks, the second one not full: so it is padded, and only the subkey K2 is needed, clause 6.2 step 4.
_MESSAGE_BYTES = RECORD.offsets["mac"]
#: The first byte behind the message; the others are zero.
PADDING = 0x80
#: Only the first bytes of the tag are used, clause 6.2 step 7.
TAG_BYTES = RECORD["mac"].width
#: What a carry out of the block stands for: x^7 + x^2 + x + 1.
_POLYNOMIAL = 0x87

_CARRY, _PASS, _NUMBER, _BYTE = range(Memory.OF_RECORD + 4, Memory.OF_RECORD + 8)
_BYTES = range(sm4.BLOCK_BYTES)[::-1]


def prepare(a):
    """The subkey K2, clause 6.1: the encrypted zeros, doubled twice."""
    with a.each(_NUMBER, _BYTES):
        a.copy(imm(0), indexed(Memory.STATE))
    a.call("sm4")  # with A = FF behind the loop
    with a.each(_PASS, range(2)[::-1]):
        a.copy(imm(0), at(_CARRY))
        with a.each(_NUMBER, _BYTES):
            a.load(indexed(Memory.STATE + sm4.LEFT))
            a.add(indexed(Memory.STATE + sm4.LEFT))
            a.xor(at(_CARRY))
            a.store(indexed(Memory.STATE + sm4.LEFT))
            a.store(indexed(Memory.SUBKEY + sm4.LEFT))
            a.load(imm(0))
            a.add(imm(0), carry=True)
            a.store(at(_CARRY))
        a.load(imm(0))
        a.subtract(at(_CARRY))
        a.and_(imm(_POLYNOMIAL))
        a.xor(at(Memory.STATE))
        a.store(at(Memory.STATE))
        a.store(at(Memory.SUBKEY))


def sign(a):
    """The MAC of the padded record at `Memory.RECORD` into it. Takes the same time always."""
    with a.each(_NUMBER, _BYTES):
        a.copy(indexed(Memory.RECORD), indexed(Memory.STATE + sm4.GIVEN))
    a.call("sm4")
    with a.each(_NUMBER, _BYTES):
        a.load(indexed(Memory.RECORD + sm4.BLOCK_BYTES))
        for part in (Memory.STATE, Memory.SUBKEY):
            a.xor(indexed(part + sm4.LEFT))
        a.store(indexed(Memory.STATE + sm4.LEFT))
    a.load(imm(sm4.GIVEN))
    a.call("sm4")
    with a.each(_NUMBER, range(TAG_BYTES)[::-1]):
        a.copy(indexed(Memory.STATE + sm4.GIVEN), at(_BYTE))
        a.load(at(_NUMBER))
        a.add(imm(_MESSAGE_BYTES))
        a.out(Out.X)
        a.copy(at(_BYTE), indexed(Memory.RECORD))
