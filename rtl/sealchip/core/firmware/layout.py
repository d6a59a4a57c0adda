"""What the firmware and the circuit around its processor agree on: inputs, outputs, and both memories."""

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
#: Where a write's DATA has the password, behind its level, and what is written, behind the operator code;
#: where a change of the password has the new one, behind its level.
OLD_PASSWORD, WRITTEN, NEW_PASSWORD = 5, 12, 9


class In(IntEnum):
    """The processor's inputs."""

    REQUESTS = 0
    #: The byte that came back in the last exchange with the flash; whoever asks waits for it.
    FLASH = 1
    #: Byte X of the request's DATA, from the instruction after the next behind `Out.X` on.
    DATA = 2
    #: What the slave wants: `Command`.
    COMMAND = 3
    #: And of what: `FETCH`: the number before the newest; with bit 6, only whether there is one before that,
    #: and no record is made. `CHECK`, `UPDATE`: origin in DATA, and item << 4.
    VALUE = 4
    STATUS = 5
    #: Byte X modulo 8 of the event that waits, as in `interface.ENTRY` from its kind on; zero for its flags.
    EVENT = 6


class Requests(IntFlag):
    """Bits of `In.REQUESTS`: what is to be done."""

    #: A second has passed and is not counted, and it may be.
    SECOND = 1 << 0
    #: An event waits.
    EVENT = 1 << 1
    #: The reporter wants the oldest entry; it wants to acknowledge it.
    OLDEST = 1 << 2
    ACKNOWLEDGE = 1 << 3
    #: The slave has a command.
    SLAVE = 1 << 4


class Status(IntFlag):
    """Bits of `In.STATUS`."""

    #: A millisecond tick since `Out.TICK`.
    TICK = 1 << 0
    #: The bytes read since `Flash.SUMS` was set end in their CRC.
    SUM_RIGHT = 1 << 1
    #: The request's DATA may be another's by now.
    SPOILED = 1 << 2
    #: Time must not change: somebody reads it.
    HOLD = 1 << 3


class Command(IntEnum):
    """What the slave may want."""

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
    #: Exchange this byte with the flash, when the one under way has come.
    EXCHANGE = 2
    #: `Flash`, from then on too.
    FLASH = 3
    #: What follows are strobes; the byte does not matter. A second is counted; the event is taken.
    SECOND = 4
    EVENT = 5
    #: The command is done; bit 0: found, accepted; bit 1: it was the slave's, not the reporter's.
    ANSWER = 6
    #: 128 seconds have passed.
    LOCK_TICK = 7
    #: `StatusOut`.
    STATUS = 8
    #: Number of the baud rate in `BAUD_FEATURE`, slowest first; the seed is zero then.
    BAUD = 9
    #: A byte upon the seed turned left by five bits.
    SEED = 10
    #: Next byte of the voltage learned at sealing, high byte first.
    BASELINE = 11
    #: Forget the tick.
    TICK = 12


class Flash(IntFlag):
    """Bits of `Out.FLASH`."""

    #: The flash is selected.
    SELECT = 1 << 0
    #: The CRC takes the bits that are exchanged: out those written, in those read; else it begins anew.
    SUMS = 1 << 1
    #: The CRC's bytes go to the flash in place of what is exchanged.
    APPENDS = 1 << 2
    #: The bits that are sent, not those received, go into the CRC.
    WRITES = 1 << 3


class StatusOut(IntFlag):
    """Bits of `Out.STATUS`."""

    #: The identity has been read. A slot was right and the seal's address is not zero.
    IDENTITY_READY = 1 << 0
    IDENTITY_VALID = 1 << 1
    #: The log is restored.
    LOG_READY = 1 << 2
    #: There are unacknowledged events.
    PENDING = 1 << 3
    #: The clock is set.
    CLOCK_SET = 1 << 4
    #: The published time is being written.
    COUNTING = 1 << 5


#: Number of each field of the identity that can be written.
ITEMS = {name: number for number, name in PROVISIONING.items()}


class Memory(IntEnum):
    """The processor's memory: where things begin, all that is addressed with X at a multiple of its size."""

    SBOX = 0x000
    ROUND_KEYS = 0x100
    IDENTITY = 0x180
    STATE = 0x200
    SUBKEY = 0x210
    #: `sm4.TABLES`.
    FK = 0x220
    #: Scratch of the cipher, and `ROTATED`.
    WORK = 0x230
    #: The entry that was read last, as in `interface.ENTRY`. The next one that is written: this power-up's
    #: boot count and the newest counter are there in between.
    ENTRY = 0x240
    NEWEST = 0x260
    RECORD = 0x280
    ROTATED = 0x2B0
    #: And four zeros behind it.
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
    """The memory that framer, deframer and GSM read: where things begin."""

    RECORD = 0x00
    UPTIME = 0x40
    CLOCK = 0x48
    #: As in `interface.IDENTITY`; never the key or the password.
    IDENTITY = 0x80
