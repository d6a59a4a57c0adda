"""SM4-CMAC, NIST SP 800-38B with GB/T 32907-2016, of a record, as statements of the signer's program."""

from .interface import RECORD
from .microcode import Byte, Mode, Sum

__all__ = ["MESSAGE_BYTES", "TAG_BYTES", "doubled", "first", "last", "reduced", "tag", "zeros"]

#: Two blocks, the second one not full: so it is padded, and only the subkey K2 is needed, clause 6.2 step 4.
MESSAGE_BYTES = RECORD.offsets["mac"]
#: Only the first bytes of the tag are used, clause 6.2 step 7.
TAG_BYTES = RECORD["mac"].width


def zeros(state, zero):
    """All words are zero: the block that the subkey is made of."""
    yield Sum([(state + n, Mode.WORD) for n in range(4)], [Byte(zero)])


def doubled(zeros, subkey, carry):
    """A word of the encrypted zeros shifted by two bits, clause 6.1, the last word rotated. The bits that so
    come back from the top are `carry`.
    """
    for n in range(4):
        parts = Byte(zeros + n, Mode.WORD).shifted(2), Byte(zeros + n + 1, Mode.WORD).shifted(-6)
        yield Sum.of(subkey + n, *parts, mode=Mode.WORD)
    yield Sum.of(carry, Byte(zeros).shifted(-6))


def reduced(subkey, carry, shifted_carry):
    """The carry times the polynomial 87h (x^7 + x^2 + x + 1) at the bottom of the subkey; the 1 is there."""
    last = subkey + 15
    yield Sum.of(shifted_carry, Byte(carry).rotated(2))
    yield Sum.of(last - 1, Byte(last - 1), Byte(carry).shifted(-1))
    yield Sum.of(
        last, Byte(last), Byte(carry).shifted(7), Byte(shifted_carry), Byte(shifted_carry).rotated(7)
    )


def first(state, message):
    """A word of the message's first block is the state's. They lie one way, those of the state the other."""
    for n in range(4):
        yield Sum.of(state + n, Byte(message + n, Mode.TURN), mode=Mode.WORD)


def last(state, message, subkey):
    """A word of the last block, padded, and one of the subkey go into the state."""
    for n in range(4):
        parts = (Byte(address + n, Mode.WORD) for address in (state, message, subkey))
        yield Sum.of(state + n, *parts, mode=Mode.WORD)


def tag(state, mac):
    """The first bytes of the encrypted block; the last encryption leaves its words from behind."""
    for n in range(TAG_BYTES):
        yield Sum.of(mac + n, Byte(state + (12 ^ n)))
