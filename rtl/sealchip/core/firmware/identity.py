"""The seal's identity, which is read from flash at power-up, kept in memory, and changed field by field.

Flash has two slots. The newer valid one is in force, by sequence numbers modulo 2^16; the other one is
written to change it, so that a power cut leaves the old identity or the new one. When neither is valid the
seal has the blank identity: all zero, any meter. Key and password leave the memory only for the flash.

Proofs: `verif/formal/firmware.py::identity_is_written_only_on_command`,
`verif/formal/firmware.py::key_and_password_are_never_public`,
`verif/formal/firmware.py::accepted_only_with_the_password`.
"""

from ...interface import BAUD_FEATURE, FLASH_IDENTITY_SLOTS, IDENTITY, PROVISIONING
from ..assembler import at, imm, indexed, port
from . import flash
from .layout import OLD_PASSWORD, Flash, In, Memory, Out, Public, Status, StatusOut
from .main import STATUS

__all__ = ["TABLES", "emit"]

_VERSION, _ANY_METER = 1, 0xAA
_FIRST, _SECOND = (position >> 8 for position in FLASH_IDENTITY_SLOTS)
#: Slots, by the high byte of their positions: the one in force, or read last; and the one that an update
#: writes, or `_NEITHER`, which is what A holds when the blank identity has been made.
_SLOT, _OTHER = Memory.OF_IDENTITY, Memory.OF_IDENTITY + 1
_NEITHER = _ANY_METER
# The first slot is tested for by zero, and an update takes the other slot by xor with the second one.
assert _FIRST == 0
assert _NEITHER not in (_FIRST, _SECOND)
#: Not zero if the second slot is valid, and then its sequence number.
_KNOWN, _SEQUENCE = Memory.OF_IDENTITY + 2, Memory.OF_IDENTITY + 3
#: Of an update: the position in DATA of its next byte, that byte, and the end of the item in the identity.
_POSITION, _BYTE, _END = (Memory.OF_IDENTITY + n for n in (5, 6, 7))
#: The bits of `StatusOut` that the identity will have.
_STATUS = Memory.OF_IDENTITY + 14
_COUNT = Memory.OF_IDENTITY + 15
#: The baud feature words.
_RATES = Memory.OF_IDENTITY + 8
#: Start and end of an item in the identity, as of a slice; 16 bytes for each item, so that item << 4 is X.
_BEGINS, _ENDS = Memory.FIELDS, Memory.FIELDS + 1
# What is published is found by masks: all up to the phone, less the key.
assert 0x100 % IDENTITY["key"].width == 0
assert IDENTITY.slice("phone").stop <= IDENTITY.offsets["password"]


def _place(name):
    """Return the address of a field in memory."""
    return Memory.IDENTITY + IDENTITY.offsets[name]


def _fields():
    """Yield the address and the bytes of each item's start and end."""
    for item, name in PROVISIONING.items():
        field = IDENTITY.slice(name)
        yield _BEGINS + 16 * item, bytes([field.start, field.stop])


#: Constants that the memory holds after configuration, by address.
TABLES = {_RATES: bytes(BAUD_FEATURE), **dict(_fields())}


def emit(a, default_baud):
    """Emit the jobs of the identity.

    *identity.load* reads it and goes on with *keys*, after which *identity.loaded* comes. *identity.check*
    compares the password, and *identity.update* writes an item.

    `default_baud` is the rate while there is no identity, or when its feature word is not in the table.
    """
    _load(a)
    _blank(a)
    _publish(a)
    _rate(a, list(BAUD_FEATURE.values()).index(default_baud))
    _seed(a)
    _loaded(a)
    _check(a)
    _update(a)
    _begin(a)


def _load(a):
    """Read the second slot, then the first one, and the second one again if it is the newer one.

    So the slot in force is the one read last, and memory for one identity suffices. Of two sequence numbers
    the second is newer if the first less the second is negative, modulo 2^16.
    """
    a.label("identity.load")
    a.load(imm(0))
    a.store(at(_KNOWN))
    a.label("identity.second")
    a.load(imm(_SECOND))
    a.label("identity.read")
    _read(a)
    a.if_zero("identity.wrong")
    a.load(at(_place("version")))
    a.xor(imm(_VERSION))
    a.if_not_zero("identity.wrong")
    a.load(at(_SLOT))
    a.if_zero("identity.first")
    a.load(at(_KNOWN))
    a.if_not_zero("identity.take")
    for n in range(IDENTITY["sequence"].width):
        a.copy(at(_place("sequence") + n), at(_SEQUENCE + n))
    a.load(at(_SLOT))
    a.label("identity.next")
    a.store(at(_KNOWN))
    a.load(imm(_FIRST))
    a.jump("identity.read")
    a.label("identity.first")
    a.load(at(_KNOWN))
    a.if_zero("identity.take")
    a.load(at(_place("sequence")))
    a.subtract(at(_SEQUENCE))
    a.load(at(_place("sequence") + 1))
    a.subtract(at(_SEQUENCE + 1), carry=True)
    a.and_(imm(0x80))
    a.if_not_zero("identity.second")
    a.jump("identity.take")
    a.label("identity.wrong")
    a.load(at(_SLOT))
    a.if_zero("identity.first wrong")
    a.load(imm(0))
    a.jump("identity.next")
    a.label("identity.first wrong")
    a.load(at(_KNOWN))
    a.if_not_zero("identity.second")


def _read(a):
    """Read slot A into the memory; A is then not zero if its CRC is right."""
    a.store(at(_SLOT))
    a.load(imm(flash.READ))
    a.call("identity.begin")
    with a.each(_COUNT, range(IDENTITY.size)):
        a.out(Out.EXCHANGE)
        a.load(port(In.FLASH))
        a.store(indexed(Memory.IDENTITY))
    a.load(imm(Flash.SUMS))  # deselects the flash and leaves the CRC as it is
    a.out(Out.FLASH)
    a.load(port(In.STATUS))
    a.and_(imm(Status.SUM_RIGHT))


def _blank(a):
    """Make the blank identity, which is in neither slot."""
    with a.each(_COUNT, range(IDENTITY.size)[::-1]):
        a.load(imm(0))
        a.store(indexed(Memory.IDENTITY))
    a.copy(imm(_VERSION), at(_place("version")))
    a.load(imm(_ANY_METER))
    for n in range(IDENTITY["meter"].width):
        a.store(at(_place("meter") + n))
    a.store(at(_OTHER))


def _publish(a):
    """Publish the bytes up to the phone except the key; the password follows the phone.

    While the public memory changes the status reports no identity. A byte of the key is one whose number,
    less that of the first one, has no bits above those of a number within the key.
    """
    a.label("identity.take")
    a.load(at(STATUS))
    a.and_(imm(~(StatusOut.IDENTITY_READY | StatusOut.IDENTITY_VALID)))
    a.store(at(STATUS))
    a.out(Out.STATUS)
    key = IDENTITY.slice("key")
    with a.each(_COUNT, range(IDENTITY.slice("phone").stop)[::-1]):
        a.subtract(imm(key.start))
        a.and_(imm(-IDENTITY["key"].width))
        a.if_zero("identity.secret")
        a.load(indexed(Memory.IDENTITY))
        a.publish(indexed(Public.IDENTITY))
        a.label("identity.secret")


def _rate(a, default):
    """Put out the number of the baud rate, the default if the feature word is not in the table."""
    with a.each(_COUNT, range(len(BAUD_FEATURE))[::-1]):
        a.load(indexed(_RATES))
        a.xor(at(_place("baud")))
        a.if_zero("identity.rate")
    a.copy(imm(default), at(_COUNT))
    a.label("identity.rate")
    a.load(at(_COUNT))
    a.out(Out.BAUD)


def _seed(a):
    """Put out the seed, which is made of the seal's address; an address of zero is no valid identity."""
    a.copy(imm(StatusOut.IDENTITY_READY), at(_STATUS))
    seal = IDENTITY.slice("seal")
    with a.each(_COUNT, range(seal.start, seal.stop)):
        a.load(indexed(Memory.IDENTITY))
        a.out(Out.SEED)
        a.if_zero("identity.zero")
        a.copy(imm(StatusOut.IDENTITY_READY | StatusOut.IDENTITY_VALID), at(_STATUS))
        a.label("identity.zero")
    a.jump("keys")


def _loaded(a):
    """Put out the status, and restore the log the first time; later it was an update, which is answered.

    The update is accepted if the slot read last, so the one in force, is the one that was written.
    """
    a.label("identity.loaded")
    a.load(at(STATUS))
    a.xor(at(_STATUS))
    a.store(at(STATUS))
    a.out(Out.STATUS)
    a.and_(imm(StatusOut.LOG_READY))
    a.if_zero("log.restore")
    a.load(at(_SLOT))
    a.xor(at(_OTHER))
    a.if_zero("accepted")
    a.jump("refused")


def _check(a):
    """Compare the password in the same number of instructions, whatever is wrong.

    A byte's difference plus FF, and the carry so far, carries unless both are zero: so the carry gathers
    whether any byte differs, without a jump. Bytes of another frame count as a difference.
    """
    a.label("identity.check")
    for n in range(IDENTITY["password"].width):
        a.index(imm(OLD_PASSWORD + n))
        a.load(at(_place("password") + n))
        a.xor(port(In.DATA))
        a.add(imm(0xFF), carry=n > 0)
    a.load(port(In.STATUS))
    a.and_(imm(Status.SPOILED))
    a.add(imm(0xFF), carry=True)
    a.if_carry("refused")
    a.jump("accepted")


def _update(a):
    """Write the other slot, and read the newer valid one, which shows whether it was written."""
    a.label("identity.update")
    a.load(at(_SLOT))
    a.xor(imm(_SECOND))
    a.store(at(_SLOT))
    a.store(at(_OTHER))
    _patch(a)
    # Bytes of another frame are not written: loading the identity again discards them.
    a.load(port(In.STATUS))
    a.and_(imm(Status.SPOILED))
    a.if_not_zero("identity.load")
    a.load(at(_place("sequence")))
    a.add(imm(1))
    a.store(at(_place("sequence")))
    a.load(at(_place("sequence") + 1))
    a.add(imm(0), carry=True)
    a.store(at(_place("sequence") + 1))
    _write(a)
    a.jump("identity.load")


def _patch(a):
    """Replace the item by the bytes of DATA from the given position on."""
    a.load(port(In.VALUE))
    a.and_(imm(0x0F))
    a.store(at(_POSITION))
    a.load(port(In.VALUE))
    a.and_(imm(0xF0))
    a.out(Out.X)
    a.copy(indexed(_BEGINS), at(_COUNT))
    a.copy(indexed(_ENDS), at(_END))
    a.label("identity.patch")
    a.index(at(_POSITION))
    a.add(imm(1))
    a.store(at(_POSITION))
    a.copy(port(In.DATA), at(_BYTE))
    a.index(at(_COUNT))
    a.load(at(_BYTE))
    a.store(indexed(Memory.IDENTITY))
    a.load(at(_COUNT))
    a.add(imm(1))
    a.store(at(_COUNT))
    a.xor(at(_END))
    a.if_not_zero("identity.patch")


def _write(a):
    """Write the identity in memory to the slot."""
    a.load(imm(flash.ERASE))
    a.call("identity.begin")
    a.call("flash.finish")
    a.load(imm(flash.PROGRAM))
    a.call("identity.begin")
    with a.each(_COUNT, range(IDENTITY.offsets["crc"])):
        flash.send(a, indexed(Memory.IDENTITY))
    a.call("flash.finish with crc")


def _begin(a):
    """Emit *identity.begin*, which begins command A at the slot."""
    a.label("identity.begin")
    a.store(at(flash.COMMAND))
    a.copy(imm(0), at(flash.POSITION))
    a.copy(at(_SLOT), at(flash.POSITION + 1))
    a.jump("flash.begin")
