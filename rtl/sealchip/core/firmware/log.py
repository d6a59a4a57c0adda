"""The event log in flash: queue of unacknowledged events, history and counters in one structure.

The log is a ring of slots (`interface.ENTRY`) in two sectors. An event is programmed into the next blank slot
before anything else uses it; an acknowledgement programs one byte of that slot to 00. Nothing else is ever
written, so power may fail at any instant: a torn slot fails its CRC and is skipped, and boot count and
event counter are those of the newest valid slot plus one. When a sector is full the other one is erased,
so at least the last 64 events stay readable and no write of an event waits for an erase of its own slot.

With more unacknowledged events than the ring holds, the oldest sector is given up; the counter shows the gap.

A slot has a *number* of one byte. Its upper two bits are bits 7 and 6 of the slot's position in the ring, and
its lower bits are bits 8 and up. So the two bytes of the position come out of the number by masks alone,
without shifts, and the carry out of the upper two bits is added again at the bottom.

Proofs: `verif/formal/firmware.py::events_are_written_and_counted`,
`verif/formal/firmware.py::acknowledged_only_on_command`, `verif/formal/firmware.py::every_job_ends`.
"""

from ...interface import (
    ENTRY,
    FLASH_LOG_BASE,
    FLASH_LOG_SECTORS,
    FLASH_SECTOR_BYTES,
    FLASH_SLOT_BYTES,
    Flags,
    Kind,
)
from ..assembler import at, imm, indexed, port
from . import flash
from .flash import COMMAND, COUNT, POSITION
from .layout import In, Memory, Out, Status, StatusOut
from .main import set_status

__all__ = ["SECTOR_SLOTS", "emit"]

SECTOR_SLOTS = FLASH_SECTOR_BYTES // FLASH_SLOT_BYTES

#: Slots, by number: the next blank one; the oldest unacknowledged one, or the next blank one if there is
#: none; the one at work.
_HEAD, _TAIL, _SLOT = (Memory.OF_LOG + n for n in range(3))
#: Not zero if `_TAIL` is the slot that *log.oldest* loaded last, so that it may be acknowledged.
_LOADED = Memory.OF_LOG + 3
#: 1 if the log held an entry at power-up, else 0.
_SOME = Memory.OF_LOG + 4
# A boot that follows an entry was not observed; `_SOME` is that flag, without a jump.
assert Flags.UNOBSERVED == 1
#: Of the entry that was read: FF if all of it is FF; zero if its CRC is right.
_BLANK, _WRONG = Memory.OF_LOG + 5, Memory.OF_LOG + 6
#: How many valid entries are still to be passed.
_PASSES = Memory.OF_LOG + 7

#: The part of `Memory.NEWEST` that is copied from the entry found at power-up: all before the time stamp.
_FOUND_BYTES = ENTRY.offsets["stamp"]
#: The bits of a slot's number that are the low byte of its position.
_LOW = 0xC0
#: The bit of a FETCH's value that asks only whether an older entry exists; the bits below it are the number.
_HAS_OLDER = 0x40

# A slot fills what `_LOW` leaves free, and the log's base has no bit in common with a position in it.
assert ENTRY.size <= FLASH_SLOT_BYTES == 0x100 - _LOW
assert FLASH_LOG_BASE % (FLASH_LOG_SECTORS * FLASH_SECTOR_BYTES) == 0
# The CRC covers all before it, and the acknowledgement follows it directly.
assert ENTRY.offsets["acked"] == ENTRY.slice("crc").stop
# One loop copies the event from its kind on and, at the same X, uptime and zeros from the time stamp on.
assert ENTRY.offsets["stamp"] - ENTRY.offsets["kind"] == ENTRY["stamp"].width + ENTRY["zeros"].width == 8
assert ENTRY.offsets["kind"] % 8 == ENTRY.offsets["stamp"] % 8 == 0


class _Ring:
    """Masks of slot numbers: for all bits, for those within a sector, and for the one that is the sector."""

    def __init__(self, sector_slots):
        pages = sector_slots * FLASH_SLOT_BYTES // 0x100
        self.all = _LOW | FLASH_LOG_SECTORS * pages - 1
        self.in_sector = _LOW | pages - 1
        self.sector = pages


def _offset(block, name):
    """Return the address of a field."""
    return block + ENTRY.offsets[name]


def _bytes(block, name):
    """Return the addresses of a field's bytes, low byte first."""
    return range(_offset(block, name), _offset(block, name) + ENTRY[name].width)


def emit(a, sector_slots=SECTOR_SLOTS):
    """Emit the jobs of the log.

    *log.restore* and *log.append* go on with *main*; *log.oldest* and *log.nth* with *record* if there is
    such an entry, else with *refused*; *log.acknowledge* always with *refused*.

    `sector_slots` is a power of two, at least 4; only tests give another number than the flash has.
    """
    ring = _Ring(sector_slots)
    _restore(a, ring)
    _append(a, ring)
    _oldest(a)
    _nth(a)
    _acknowledge(a)
    _open(a)
    _read(a)
    _step(a, ring)
    _count(a)
    _put_status(a)


# -- Restoring


def _restore(a, ring):
    """Emit *log.restore*: find the newest entry, the next blank slot and the oldest unacknowledged entry."""
    a.label("log.restore")
    with a.each(COUNT, range(_FOUND_BYTES)[::-1]):
        a.load(imm(0))
        a.store(indexed(Memory.NEWEST))
        a.store(indexed(Memory.OF_LOG))
    _scan(a)
    _find_blank(a, ring)
    _walk(a)
    # From here on the boot count is this power-up's.
    a.load(imm(ENTRY.offsets["boot"]))
    a.call("log.count")
    a.call("log.status")
    a.jump("main")


def _scan(a):
    """Find the newest valid entry: itself to `Memory.NEWEST`, its slot to `_HEAD`."""
    again = a.label()
    a.call("log.open")
    a.call("log.read")
    a.if_not_zero("scanned")
    counters = zip(_bytes(Memory.NEWEST, "counter"), _bytes(Memory.ENTRY, "counter"), strict=True)
    for n, (newest, read) in enumerate(counters):
        a.load(at(newest))
        a.subtract(at(read), carry=n > 0)
    a.if_carry("scanned")
    with a.each(COUNT, range(_FOUND_BYTES)[::-1]):
        a.load(indexed(Memory.ENTRY))
        a.store(indexed(Memory.NEWEST))
    a.copy(imm(1), at(_SOME))
    a.copy(at(_SLOT), at(_HEAD))
    a.label("scanned")
    a.call("log.up")
    a.if_not_zero(again)


def _find_blank(a, ring):
    """Find the next blank slot after the newest entry, to `_HEAD`.

    In a sector whose erase was cut short the first slot may look blank although others are not, so a search
    that comes to the first slot of a sector erases that sector again.
    """
    a.copy(at(_HEAD), at(_SLOT))
    a.load(at(_SOME))
    a.if_zero("begin sector")
    for place in reversed(_bytes(Memory.NEWEST, "baseline_mv")):
        a.load(at(place))
        a.out(Out.BASELINE)
    again = a.label()
    a.call("log.up")
    a.and_(imm(ring.in_sector))
    a.if_zero("begin sector")
    a.call("log.open")
    a.call("log.read")
    _if_blank(a, otherwise=again)
    a.jump("found blank")
    a.label("begin sector")
    _erase(a)
    a.label("found blank")
    a.load(at(_SLOT))
    a.store(at(_HEAD))
    a.store(at(_TAIL))


def _walk(a):
    """Walk back to the oldest unacknowledged entry, to `_TAIL`.

    Entries are acknowledged in order, so the first acknowledged or blank slot ends the walk; torn slots are
    passed over. A walk that comes round the whole ring without a blank slot ends too: the flash has failed.
    """
    again = a.label()
    a.call("log.down")
    a.if_zero("walked")
    a.call("log.open")
    a.call("log.read")
    a.if_not_zero("walk over")
    a.load(at(_offset(Memory.ENTRY, "acked")))
    a.xor(imm(0xFF))
    a.if_not_zero("walked")
    a.copy(at(_SLOT), at(_TAIL))
    a.label("walk over")
    _if_blank(a, otherwise=again)
    a.label("walked")


def _if_blank(a, otherwise):
    """Fall through if the slot that was read is blank, else jump to `otherwise`."""
    a.load(at(_BLANK))
    a.xor(imm(0xFF))
    a.if_not_zero(otherwise)


# -- Events and commands


def _append(a, ring):
    """Emit *log.append*: write the waiting event, and erase the next sector when this one is full."""
    a.label("log.append")
    a.copy(at(_HEAD), at(_SLOT))
    a.load(imm(ENTRY.offsets["counter"]))
    a.call("log.count")
    _describe(a)
    a.load(imm(flash.PROGRAM))
    a.call("log.begin")
    with a.each(COUNT, range(ENTRY.offsets["crc"])):
        flash.send(a, indexed(Memory.NEWEST))
    a.call("flash.finish with crc")
    a.call("log.up")
    a.store(at(_HEAD))
    a.and_(imm(ring.in_sector))
    a.if_not_zero("appended")
    # The next sector is needed: unacknowledged entries in it are given up.
    a.load(at(_TAIL))
    a.xor(at(_SLOT))
    a.and_(imm(ring.sector))
    a.if_not_zero("erase next")
    a.store(at(_LOADED))  # A is zero: what was loaded is no longer the tail
    a.load(at(_SLOT))
    a.xor(imm(ring.sector))
    a.store(at(_TAIL))
    a.label("erase next")
    _erase(a)
    a.label("appended")
    a.call("log.status")
    a.out(Out.EVENT)
    a.jump("main")


def _describe(a):
    """Copy the waiting event to `Memory.NEWEST`, which has boot count and counter already."""
    kind, stamp = (Memory.NEWEST + ENTRY.offsets[name] for name in ("kind", "stamp"))
    flags = _bytes(Memory.NEWEST, "flags")
    with a.each(COUNT, range(stamp - kind)[::-1]):
        a.copy(port(In.EVENT), indexed(kind))
        # Zeros follow the uptime, as they follow the time stamp.
        a.copy(indexed(Memory.UPTIME), indexed(stamp))
    a.load(at(flags[1]))
    a.if_zero("no excursions")
    a.load(imm(Flags.EXCURSIONS))
    a.label("no excursions")
    a.store(at(flags[0]))
    a.load(at(kind))
    a.xor(imm(Kind.BOOT))
    a.if_not_zero("observed")
    a.load(at(flags[0]))
    a.xor(at(_SOME))  # which is `Flags.UNOBSERVED`
    a.store(at(flags[0]))
    a.label("observed")


def _erase(a):
    """Erase the sector of the slot at work."""
    a.load(imm(flash.ERASE))
    a.call("log.begin")
    a.call("flash.finish")


def _oldest(a):
    """Emit *log.oldest*: load the oldest unacknowledged entry, passing over torn slots."""
    a.label("log.oldest")
    a.copy(at(_TAIL), at(_SLOT))
    again = a.label()
    a.store(at(_TAIL))
    a.xor(at(_HEAD))
    a.store(at(_LOADED))
    a.if_zero("nothing waits")
    a.call("log.open")
    a.call("log.read")
    a.if_zero("record")
    a.call("log.up")
    a.jump(again)  # torn


def _nth(a):
    """Emit *log.nth*: load the entry of that number before the newest, or only look for an older one."""
    a.label("log.nth")
    a.copy(at(_HEAD), at(_SLOT))
    # Pass as many entries as the number, and one more with `_HAS_OLDER`: taking that bit away leaves a carry
    # only if it was set, and the carry is added to the number.
    a.load(port(In.VALUE))
    a.add(imm(-_HAS_OLDER))
    a.add(imm(0), carry=True)
    a.and_(imm(_HAS_OLDER - 1))
    a.store(at(_PASSES))
    a.label("back")
    a.call("log.down")
    a.if_zero("refused")
    a.call("log.open")
    a.call("log.read")
    a.if_not_zero("back over")
    a.load(at(_PASSES))
    a.subtract(imm(1))
    a.store(at(_PASSES))
    a.if_carry("back")
    a.load(port(In.VALUE))
    a.and_(imm(_HAS_OLDER))
    a.if_zero("record")
    a.jump("accepted")
    a.label("back over")
    _if_blank(a, otherwise="back")
    a.jump("refused")


def _acknowledge(a):
    """Emit *log.acknowledge*: mark the entry that *log.oldest* has loaded."""
    a.label("log.acknowledge")
    a.load(at(_LOADED))
    a.if_zero("refused")
    a.copy(imm(flash.PROGRAM), at(COMMAND))
    a.copy(at(_TAIL), at(_SLOT))
    a.and_(imm(_LOW))
    a.xor(imm(ENTRY.offsets["acked"]))
    a.call("log.begin at")
    flash.send(a, imm(0))
    a.call("flash.finish")
    a.store(at(_LOADED))  # A is zero
    a.call("log.up")
    a.store(at(_TAIL))
    a.label("nothing waits")
    a.call("log.status")
    a.jump("refused")


# -- Routines


def _open(a):
    """Emit the routines that begin a command at the slot at work.

    *log.open* begins to read it, *log.begin* begins command A, and *log.begin at* begins `COMMAND` with A as
    the low byte of the position.
    """
    a.label("log.open")
    a.load(imm(flash.READ))
    a.label("log.begin")
    a.store(at(COMMAND))
    a.load(at(_SLOT))
    a.and_(imm(_LOW))
    a.label("log.begin at")
    a.store(at(POSITION))
    a.load(at(_SLOT))
    a.and_(imm(~_LOW))
    a.xor(imm(FLASH_LOG_BASE >> 8))
    a.store(at(POSITION + 1))
    a.jump("flash.begin")


def _read(a):
    """Emit *log.read*, which reads the open slot to `Memory.ENTRY`; A is zero if the entry is valid.

    The CRC's last byte is not stored. Each byte is worked on while the next one is exchanged, because a
    power-up reads the whole ring.
    """
    crc, acked = ENTRY.offsets["crc"], ENTRY.offsets["acked"]
    a.label("log.read")
    a.copy(imm(0xFF), at(_BLANK))
    a.load(imm(0))
    a.out(Out.EXCHANGE)
    a.store(at(COUNT))
    a.out(Out.X)
    again = a.label()
    a.load(port(In.FLASH))
    a.out(Out.EXCHANGE)
    a.store(indexed(Memory.ENTRY))
    _still_blank(a)
    a.load(at(COUNT))
    a.add(imm(1))
    a.store(at(COUNT))
    a.out(Out.X)
    a.xor(imm(crc + 1))
    a.if_not_zero(again)
    a.load(port(In.FLASH))
    _still_blank(a)
    a.load(port(In.STATUS))
    a.and_(imm(Status.SUM_RIGHT))
    a.xor(imm(Status.SUM_RIGHT))
    a.store(at(_WRONG))
    a.out(Out.EXCHANGE)
    a.load(port(In.FLASH))
    a.store(at(Memory.ENTRY + acked))
    _still_blank(a)
    flash.deselect(a)
    for place in _bytes(Memory.ENTRY, "zeros"):
        a.load(at(place))
        a.if_not_zero("invalid")
    a.load(at(_WRONG))
    a.label("invalid")
    a.return_()


def _still_blank(a):
    """Note whether A, and so the whole entry so far, is FF."""
    a.and_(at(_BLANK))
    a.store(at(_BLANK))


def _step(a, ring):
    """Emit *log.up*, one slot up, with A its number; and *log.down*, one slot down, with A zero at `_HEAD`.

    Going up, the carry out of the upper two bits is one page more. Going down, no carry means one page less,
    which is all of the ring's pages but one more, modulo the ring.
    """
    pages = ring.all & ~_LOW
    a.label("log.up")
    a.load(at(_SLOT))
    a.add(imm(0x40))
    a.add(imm(0), carry=True)
    a.and_(imm(ring.all))
    a.store(at(_SLOT))
    a.return_()
    a.label("log.down")
    a.load(at(_SLOT))
    a.add(imm(-0x40))
    # With a carry this adds the ring's number of pages, else one less; the mask cuts off what is beyond.
    a.add(imm(pages), carry=True)
    a.and_(imm(ring.all))
    a.store(at(_SLOT))
    a.xor(at(_HEAD))
    a.return_()


def _count(a):
    """Emit *log.count*, which adds one to the number at offset A of `Memory.NEWEST`, low byte first."""
    a.label("log.count")
    a.store(at(COUNT))
    a.out(Out.X)
    a.load(indexed(Memory.NEWEST))
    a.add(imm(1))
    a.store(indexed(Memory.NEWEST))
    a.if_not_zero("counted")
    a.load(at(COUNT))
    a.add(imm(1))
    a.jump("log.count")
    a.label("counted")
    a.return_()


def _put_status(a):
    """Emit *log.status*, which puts out that the log is restored and whether events are unacknowledged."""
    a.label("log.status")
    a.load(at(_TAIL))
    a.xor(at(_HEAD))
    a.if_zero("nothing is pending")
    a.load(imm(StatusOut.PENDING))
    a.label("nothing is pending")
    a.xor(imm(StatusOut.LOG_READY))
    set_status(a, StatusOut.PENDING | StatusOut.LOG_READY)
    a.return_()
