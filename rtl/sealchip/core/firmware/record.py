"""The seal record that is about to be sent: made of the log's entry, the identity and the time, and signed.

Without an identity that has a key a record is not signed: algorithm and MAC are zero. An entry of an earlier
power-up has no known age: *age unknown* is set, and the age counts from this power-up. Only the slave's
records echo the challenge.

A record takes 12300 instructions and a new key 19200, at most and whatever they are: 80 and 125 ms at
307.2 kHz. Power consumption is not hidden: who can measure that needs a masked S-box.

Guarantees: `verif/blocks/test_firmware_record.py::test_records_like_the_reference`,
`test_unsigned_without_a_key`, `test_age_of_a_record`, `test_key_change`, `test_a_reset_ends_everything`,
`test_takes_the_same_time_always`, `test_the_key_goes_nowhere`, `test_the_last_challenge_is_echoed`,
`test_every_carry_of_the_subkey_and_every_entry_of_the_s_box`.

Proofs: `verif/formal/firmware.py::no_time_depends_on_the_key`,
`verif/formal/firmware.py::the_record_is_of_the_entry`.
"""

from ...interface import ENTRY, IDENTITY, RECORD, RECORD_VERSION, Algorithm, Flags
from ..assembler import at, imm, indexed, port
from . import cmac, sm4
from .layout import CHALLENGE_BYTES, UPTIME_BYTES, WRITTEN, In, Memory, Out, Public, Status, StatusOut
from .main import SERVED, STATUS

__all__ = ["boot", "emit"]

#: 1 if there is a challenge, not zero if there is a key.
_CHALLENGED, _KEYED, _NUMBER = range(Memory.OF_RECORD, Memory.OF_RECORD + 3)


def boot(a):
    """A power-up forgets the challenge."""
    a.copy(imm(0), at(_CHALLENGED))


def emit(a):
    """*keys*, *record* and *challenge*, and the cipher."""
    _keys(a)
    _record(a)
    _challenge(a)
    sm4.emit(a)


def _keys(a):
    """*keys*: what the identity's key is for signing; goes on with *identity.loaded*."""
    a.label("keys")
    sm4.prepare(a, IDENTITY.offsets["key"], _KEYED)
    cmac.prepare(a)
    a.jump("identity.loaded")


def _record(a):
    """*record*: of the entry loaded; goes on with *answer*."""
    a.label("record")
    _fixed_fields(a)
    _age(a)
    _echo(a)
    a.load(at(STATUS))
    a.and_(imm(StatusOut.IDENTITY_VALID))
    a.if_zero("publish record")
    a.load(at(_KEYED))
    a.if_zero("publish record")
    a.copy(imm(Algorithm.SM4_CMAC), _of("algorithm"))
    a.copy(imm(cmac.PADDING), _of("mac"))
    cmac.sign(a)
    a.label("publish record")
    with a.each(_NUMBER, range(RECORD.size)[::-1]):
        a.load(indexed(Memory.RECORD))
        a.publish(indexed(Public.RECORD))
    a.jump("accepted")


def _fixed_fields(a):
    """What every record has; the rest is zero at first."""
    with a.each(_NUMBER, range(8)[::-1]):
        # From the boot count on an entry begins like a record; what is too much will be written over.
        a.copy(indexed(Memory.ENTRY), indexed(Memory.RECORD + RECORD.offsets["boot"]))
        a.copy(indexed(Memory.ENTRY + 8), indexed(Memory.RECORD + RECORD.offsets["boot"] + 8))
        a.load(imm(0))
        for block in (0, 24, 32):
            a.store(indexed(Memory.RECORD + block))
    a.copy(imm(RECORD_VERSION), _of("version"))
    for n in range(RECORD["seal"].width):
        a.copy(at(Memory.IDENTITY + IDENTITY.offsets["seal"] + n), _of("seal", n))


def _age(a):
    """Uptime less time stamp; or the uptime, and the flag that says so."""
    stamp = Memory.ENTRY + ENTRY.offsets["stamp"]
    boot = ENTRY.offsets["boot"]
    # The log holds some entry of each boot count between its oldest and its newest: the low byte tells.
    a.load(at(Memory.ENTRY + boot))
    a.xor(at(Memory.NEWEST + boot))
    a.if_zero("this power-up")
    a.load(imm(0))
    for n in range(UPTIME_BYTES):
        a.store(at(stamp + n))
    _flag(a, Flags.AGE_UNKNOWN)
    a.label("this power-up")
    for n in range(UPTIME_BYTES):
        a.load(at(Memory.UPTIME + n))
        a.subtract(at(stamp + n), carry=n > 0)
        a.store(_of("age", n))


def _echo(a):
    """The challenge, and the flag that says so."""
    a.load(at(SERVED))
    a.and_(at(_CHALLENGED))
    a.if_zero("no challenge")
    _flag(a, Flags.CHALLENGED)
    for n in range(CHALLENGE_BYTES):
        a.copy(at(Memory.CHALLENGE + n), _of("challenge", n))
    a.label("no challenge")


def _challenge(a):
    """*challenge*: takes the one in DATA; goes on with *answer*. If it was not there any more, the one before
    is forgotten too: whoever sent it hears nothing, and can expect neither.
    """
    a.label("challenge")
    with a.each(_NUMBER, range(CHALLENGE_BYTES)[::-1]):
        a.add(imm(WRITTEN))
        a.out(Out.X)
        a.load(imm(0))  # the byte is not there yet
        a.copy(port(In.DATA), indexed(Memory.CHALLENGE ^ WRITTEN))
    a.load(port(In.STATUS))
    a.and_(imm(Status.SPOILED))
    a.if_zero("challenge is whole")
    a.load(imm(1))
    a.label("challenge is whole")
    a.xor(imm(1))
    a.store(at(_CHALLENGED))
    a.jump("answer")


def _of(field, n=0):
    """Byte `n` of that field of the record."""
    return at(Memory.RECORD + RECORD.offsets[field] + n)


def _flag(a, flag):
    """Set a flag that the log never writes."""
    a.load(_of("flags"))
    a.xor(imm(flag))
    a.store(_of("flags"))
