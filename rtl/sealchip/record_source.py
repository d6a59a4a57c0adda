"""The bytes of a seal record before its MAC, from the log's loaded entry, the identity and the time, as
statements of the signer's program.

An entry of an earlier power-up has no known age: *age unknown* is set and the age counts from this power-up.
"""

from .interface import ENTRY, RECORD, RECORD_VERSION, Algorithm, Flags
from .microcode import Byte, Mode, Source, Sum

__all__ = ["CONSTANTS", "UPTIME_BASE", "age", "echo", "facts", "signature", "unknown_age"]

#: Bytes that statements add, from a multiple of four on; the first four are zero.
CONSTANTS = bytes([0, 0, 0, 0, RECORD_VERSION, Algorithm.SM4_CMAC, Flags.AGE_UNKNOWN, Flags.CHALLENGED, 0x80])
_VERSION, _SIGNED, _AGE_UNKNOWN, _CHALLENGED, _PADDING = range(4, len(CONSTANTS))
_AT = RECORD.offsets
_STAMP = ENTRY.offsets["stamp"]
#: Byte 0 of the uptime is asked for together with this byte of the entry: it is wanted two rows behind that
#: of the time stamp.
UPTIME_BASE = _STAMP + 2


def facts(record, constants, seal):
    """What every record has; the rest is zero at first. `seal`: where the identity has the address."""
    later = (_AT["algorithm"], *range(_AT["challenge"], RECORD.size))
    yield Sum([(record + n, Mode.NOTHING) for n in later], [Byte(constants)])
    yield Sum.of(record + _AT["version"], Byte(constants + _VERSION))
    for n in range(RECORD["seal"].width):
        yield Sum.of(record + _AT["seal"] + n, Byte(seal + n, source=Source.SECRET))
    for name in ("boot", "counter", "kind", "state", "loop_mv", "flags"):
        for n in range(RECORD[name].width):
            yield Sum.of(record + _AT[name] + n, Byte(ENTRY.offsets[name] + n, source=Source.ENTRY))


def age(record):
    """Uptime less time stamp."""
    for n in range(RECORD["age"].width):
        yield _aged(record, n, Byte(_STAMP + n, source=Source.ENTRY))


def unknown_age(record, constants):
    """The uptime, and the flag that says so."""
    yield _flag(record, constants + _AGE_UNKNOWN)
    for n in range(RECORD["age"].width):
        yield _aged(record, n, Byte(constants + (_STAMP + n) % 4))


def echo(record, constants):
    """The challenge, and the flag that says so."""
    yield _flag(record, constants + _CHALLENGED)
    for n in range(RECORD["challenge"].width):
        yield Sum.of(record + _AT["challenge"] + n, Byte(n, source=Source.CHALLENGE))


def signature(record, constants):
    """A record with a signature says so; the MAC's place has the padding until it is made."""
    yield Sum.of(record + _AT["algorithm"], Byte(constants + _SIGNED))
    yield Sum.of(record + _AT["mac"], Byte(constants + _PADDING))


def _aged(record, n, stamp):
    return Sum.of(record + _AT["age"] + n, stamp, ages=(UPTIME_BASE + n) % 4)


def _flag(record, constant):
    flags = record + _AT["flags"]
    return Sum.of(flags, Byte(flags), Byte(constant))
