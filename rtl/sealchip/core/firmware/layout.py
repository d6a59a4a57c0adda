"""Inputs, outputs and both memories, as the firmware and the circuit around its processor agree on them."""

from enum import IntEnum, IntFlag

from ...interface import PROVISIONING
from ..processor import Port

__all__ = [
    "CHALLENGE_BYTES",
    "CLOCK_BYTES",
    "ITEMS",
    "NEW_PASSWORD",
    "OLD_PASSWORD",
    "UPTIME_BYTES",
    "WRITTEN",
    "Command",
    "Flash",
    "In",
    "Memory",
    "Out",
    "Public",
    "Requests",
    "Status",
    "StatusOut",
]

CHALLENGE_BYTES, UPTIME_BYTES = 4, 4
#: ss mm hh DD MM YY.
CLOCK_BYTES = 6
#: Positions in DATA: of a write, the password, following its level, and the value, following the operator
#: code; of a change of the password, the new one, following its level.
OLD_PASSWORD, WRITTEN, NEW_PASSWORD = 5, 12, 9


class In(IntEnum):
    """The processor's inputs."""

    #: `Requests`.
    REQUESTS = 0
    #: The byte that came back in the last exchange with the flash; the instruction waits for it.
    FLASH = 1
    #: Byte X of the request's DATA; the instruction directly after `Out.X` is too early for it.
    DATA = 2
    #: The slave's `Command`.
    COMMAND = 3
    #: The operand of that command. `FETCH`: how many entries before the newest; with bit 6 set, only whether
    #: an older one exists, and no record is made. `CHECK`, `UPDATE`: the position in DATA, and item << 4.
    VALUE = 4
    #: `Status`.
    STATUS = 5
    #: Byte X modulo 8 of the waiting event, in the order of `interface.ENTRY` from the kind on; the low byte
    #: of the flags is 0, and their high byte is the count of excursions.
    EVENT = 6


class Requests(IntFlag):
    """Bits of `In.REQUESTS`: the jobs that wait."""

    #: A second has passed that is not counted yet and may be counted now.
    SECOND = 1 << 0
    #: An event waits.
    EVENT = 1 << 1
    #: The reporter requests the record of the oldest entry.
    OLDEST = 1 << 2
    #: The reporter requests that this entry be marked as acknowledged.
    ACKNOWLEDGE = 1 << 3
    #: The slave has a command.
    SLAVE = 1 << 4


class Status(IntFlag):
    """Bits of `In.STATUS`."""

    #: A millisecond tick has come since `Out.TICK`.
    TICK = 1 << 0
    #: The bytes read since `Flash.SUMS` was set end in their CRC.
    SUM_RIGHT = 1 << 1
    #: Another frame has begun, so DATA may no longer be the request's.
    SPOILED = 1 << 2
    #: The published time is being read and must not change.
    HOLD = 1 << 3


class Command(IntEnum):
    """The commands of the slave."""

    #: Make the record of an entry.
    FETCH = 0
    #: Compare the password.
    CHECK = 1
    #: Write an item of the identity.
    UPDATE = 2
    #: Keep a challenge.
    CHALLENGE = 3
    #: Set the clock.
    CLOCK = 4


class Out(IntEnum):
    """The processor's outputs."""

    X = Port.X.value
    RETURN = Port.RETURN.value
    #: Exchange this byte with the flash; the instruction waits for an exchange that is under way.
    EXCHANGE = 2
    #: Set the bits of `Flash`; it waits likewise.
    FLASH = 3
    #: Strobe, whatever the byte: a second has been counted.
    SECOND = 4
    #: Strobe, whatever the byte: the event has been logged.
    EVENT = 5
    #: The command is done. Bit 0: found, or accepted; bit 1: it was the slave's, not the reporter's.
    ANSWER = 6
    #: Strobe, whatever the byte: 128 seconds have passed.
    LOCK_TICK = 7
    #: `StatusOut`.
    STATUS = 8
    #: Number of the baud rate in `BAUD_FEATURE`, slowest first; the seed is zero then.
    BAUD = 9
    #: Rotate the seed left by five bits and xor this byte into it.
    SEED = 10
    #: Next byte of the voltage learned at sealing, high byte first.
    BASELINE = 11
    #: Clear the tick, whatever the byte.
    TICK = 12


class Flash(IntFlag):
    """Bits of `Out.FLASH`."""

    #: The flash is selected.
    SELECT = 1 << 0
    #: The CRC takes the bits that are exchanged; while this bit is 0 it is held at its start value.
    SUMS = 1 << 1
    #: The CRC itself goes to the flash, high byte first, in place of the bytes put out.
    APPENDS = 1 << 2
    #: The CRC takes the bits that are sent, not those received.
    WRITES = 1 << 3


class StatusOut(IntFlag):
    """Bits of `Out.STATUS`."""

    #: The identity has been read.
    IDENTITY_READY = 1 << 0
    #: One of its slots is valid, and the seal's address is not zero.
    IDENTITY_VALID = 1 << 1
    #: The log has been restored.
    LOG_READY = 1 << 2
    #: The log holds unacknowledged events.
    PENDING = 1 << 3
    #: The clock is set.
    CLOCK_SET = 1 << 4
    #: The published time is being written.
    COUNTING = 1 << 5


#: Number of each field of the identity that can be written.
ITEMS = {name: number for number, name in PROVISIONING.items()}


class Memory(IntEnum):
    """The processor's memory: the address at which each item begins.

    X is xored into an address, not added, so an item that is addressed with X begins at a multiple of its
    size.
    """

    SBOX = 0x000
    ROUND_KEYS = 0x100
    IDENTITY = 0x180
    STATE = 0x200
    SUBKEY = 0x210
    #: `sm4.TABLES`.
    FK = 0x220
    #: Scratch of the cipher, as is `ROTATED`.
    WORK = 0x230
    #: The entry that was read last, as in `interface.ENTRY`.
    ENTRY = 0x240
    #: The entry that is written next; between events it keeps this power-up's boot count and the newest
    #: counter.
    NEWEST = 0x260
    RECORD = 0x280
    ROTATED = 0x2B0
    #: Four bytes, and four zeros following them.
    UPTIME = 0x2C0
    CLOCK = 0x2C8
    NEW_CLOCK = 0x2D0
    CHALLENGE = 0x2D8
    #: `calendar.TABLES`.
    MONTHS = 0x2E0
    #: Single bytes of the parts, 16 each.
    OF_MAIN = 0x300
    OF_FLASH = 0x310
    OF_LOG = 0x320
    OF_IDENTITY = 0x330
    OF_RECORD = 0x340
    OF_CALENDAR = 0x350
    #: `calendar.TABLES`; `identity.TABLES`, 16 bytes an item.
    FEBRUARIES = 0x360
    #: Single bytes of the cipher.
    OF_CIPHER = 0x378
    FIELDS = 0x380


class Public(IntEnum):
    """The public memory, which framer, deframer and notifier read: the address at which each item begins."""

    RECORD = 0x00
    UPTIME = 0x40
    CLOCK = 0x48
    #: As in `interface.IDENTITY`; never the key or the password.
    IDENTITY = 0x80
