"""The seal record that is about to be sent: made of the log's entry, the identity and the time, and signed.

Without an identity that has a key a record is unsigned: algorithm and MAC are zero. The age of an entry of an
earlier power-up is not known: *age unknown* is set, and the age counts from this power-up. Only the slave's
records echo the challenge.

A record takes at most 12300 instructions and a new key 19200, whatever the data: 80 and 125 ms at 307.2 kHz.
Power consumption does depend on the data; a masked S-box would be needed against an attacker who measures it.

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

#: 1 if there is a challenge, else 0; not zero if there is a key.
_CHALLENGED, _KEYED, _NUMBER = range(Memory.OF_RECORD, Memory.OF_RECORD + 3)

# One loop copies an entry from its boot count up to its flags: a record has the same fields in that order.
assert [*RECORD.offsets][[*RECORD.offsets].index("boot") :][:5] == [*ENTRY.offsets][:5]
assert (RECORD.offsets["boot"], ENTRY.offsets["boot"]) == (8, 0)
# X is the position in DATA of a challenge's byte; its low bits are those of the byte's place in memory.
assert WRITTEN % CHALLENGE_BYTES == 0


def boot(a):
    """Forget the challenge at reset."""
    a.copy(imm(0), at(_CHALLENGED))


def emit(a):
    """Emit *keys*, *record* and *challenge*, and the cipher."""
    _keys(a)
    _record(a)
    _challenge(a)
    sm4.emit(a)


def _keys(a):
    """Emit *keys*, which prepares the identity's key for signing and goes on with *identity.loaded*."""
    a.label("keys")
    sm4.prepare(a, IDENTITY.offsets["key"], _KEYED)
    cmac.prepare(a)
    a.jump("identity.loaded")


def _record(a):
    """Emit *record*, which makes and publishes the record of the loaded entry and goes on with *accepted*."""
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
    """Fill in the fields that every record has; the rest is zero at first."""
    with a.each(_NUMBER, range(8)[::-1]):
        # What an entry has after its flags is copied too, and then overwritten by the age.
        a.copy(indexed(Memory.ENTRY), indexed(Memory.RECORD + RECORD.offsets["boot"]))
        a.copy(indexed(Memory.ENTRY + 8), indexed(Memory.RECORD + RECORD.offsets["boot"] + 8))
        a.load(imm(0))
        for block in (0, 24, 32):
            a.store(indexed(Memory.RECORD + block))
    a.copy(imm(RECORD_VERSION), _of("version"))
    for n in range(RECORD["seal"].width):
        a.copy(at(Memory.IDENTITY + IDENTITY.offsets["seal"] + n), _of("seal", n))


def _age(a):
    """Fill in the age: uptime less time stamp; for an earlier power-up the uptime, and *age unknown*."""
    stamp = Memory.ENTRY + ENTRY.offsets["stamp"]
    boot = ENTRY.offsets["boot"]
    # The log holds some entry of each boot count between its oldest and its newest one, and fewer than 256
    # entries, so different boot counts differ in the low byte.
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
    """Fill in the challenge and its flag, if the slave is served and there is a challenge."""
    a.load(at(SERVED))
    a.and_(at(_CHALLENGED))
    a.if_zero("no challenge")
    _flag(a, Flags.CHALLENGED)
    for n in range(CHALLENGE_BYTES):
        a.copy(at(Memory.CHALLENGE + n), _of("challenge", n))
    a.label("no challenge")


def _challenge(a):
    """Emit *challenge*, which takes the one in DATA and goes on with *answer*.

    If another frame has overwritten it, the challenge before is forgotten too: its sender gets no answer, and
    can expect neither challenge in the records.
    """
    a.label("challenge")
    with a.each(_NUMBER, range(CHALLENGE_BYTES)[::-1]):
        a.add(imm(WRITTEN))
        a.out(Out.X)
        a.load(imm(0))  # only to wait for the byte
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
    """Return the operand of byte `n` of a field of the record."""
    return at(Memory.RECORD + RECORD.offsets[field] + n)


def _flag(a, flag):
    """Set a flag that the log never writes, so that it is known to be clear."""
    a.load(_of("flags"))
    a.xor(imm(flag))
    a.store(_of("flags"))
