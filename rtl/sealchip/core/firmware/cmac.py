"""The SM4-CMAC of a record, NIST SP 800-38B with GB/T 32907-2016, over all bytes before its MAC."""

from ...interface import RECORD
from ..assembler import at, imm, indexed
from . import sm4
from .layout import Memory, Out

__all__ = ["PADDING", "TAG_BYTES", "prepare", "sign"]

#: The message is one full block and part of another, so it is padded and only the subkey K2 is needed, clause
#: 6.2 step 4.
_MESSAGE_BYTES = RECORD.offsets["mac"]
assert sm4.BLOCK_BYTES < _MESSAGE_BYTES < 2 * sm4.BLOCK_BYTES
#: The first byte following the message; the others are zero. It is put where the MAC will stand.
PADDING = 0x80
#: Only the first bytes of the tag are used, clause 6.2 step 7.
TAG_BYTES = RECORD["mac"].width
#: The polynomial by which a carry out of the block is reduced: x^7 + x^2 + x + 1.
_POLYNOMIAL = 0x87

_CARRY, _PASS, _NUMBER, _BYTE = range(Memory.OF_RECORD + 4, Memory.OF_RECORD + 8)
_BYTES = range(sm4.BLOCK_BYTES)[::-1]


def prepare(a):
    """Make the subkey K2, clause 6.1: encrypted zeros, doubled twice."""
    with a.each(_NUMBER, _BYTES):
        a.copy(imm(0), indexed(Memory.STATE))
    a.call("sm4")  # with A = FF, which the loop leaves
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
        # Zero less the carry is a mask: all bits are the carry, so no jump depends on it.
        a.load(imm(0))
        a.subtract(at(_CARRY))
        a.and_(imm(_POLYNOMIAL))
        a.xor(at(Memory.STATE))
        a.store(at(Memory.STATE))
        a.store(at(Memory.SUBKEY))


def sign(a):
    """Put the MAC of the padded record at `Memory.RECORD` into it. The time does not depend on the data."""
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
