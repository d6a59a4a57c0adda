"""What the event log does next: its states, and for each of them and what it finds one row of a table."""

from itertools import product

from amaranth.lib import data, enum

__all__ = ["CONDITIONS", "ROWS", "Move", "Row", "State"]


class State(enum.Enum, shape=4):
    """From `SCAN` on: one operation of the flash on the present slot, and what follows from it."""

    #: Before the log may use the flash.
    OFF = 0
    IDLE = 1
    #: Is there an unacknowledged entry at the present slot, or behind it?
    OLDEST = 2
    #: On to the slot before the present one.
    NTH = 3
    SCANNED = 4
    ACKNOWLEDGED = 5
    APPENDED = 6
    DONE = 7
    SCAN = 8
    BLANK = 9
    READ_OLDEST = 10
    READ_NTH = 11
    WALK = 12
    ACKNOWLEDGE = 13
    APPEND = 14
    ERASE = 15


class Move(enum.Enum, shape=3):
    """Where the present slot goes."""

    STAY = 0
    UP = 2
    DOWN = 3
    TO_HEAD = 4
    TO_TAIL = 5


class Row(data.Struct):
    """What is done in one step."""

    next: State
    move: Move
    #: The present slot, before it moves, becomes `head`; `tail`, where nothing is loaded then.
    head: 1
    tail: 1
    #: `tail` becomes the first slot of the sector that the present slot is not in.
    give_up: 1
    #: What was read is the newest entry.
    keep: 1
    #: One more valid entry was passed.
    passes: 1
    #: What was read is found; it is that of `tail`. Nothing is found yet.
    found: 1
    loaded: 1
    clear: 1


#: Number of conditions that a step depends on; which ones says `_step`.
CONDITIONS = 4


def _go(to, move=Move.STAY, **does):
    return {"next": to, "move": move, **does}


def _step(state, *found):
    match state:
        case State.OFF:
            enabled, *_ = found
            return _go(State.SCAN if enabled else State.OFF)
        case State.IDLE:
            return _begin(*found)
        # Restore 1: the newest valid entry, which `head` remembers.
        case State.SCAN:
            valid, last, newer, _ = found
            better = valid and newer
            return _go(State.SCANNED if last else State.SCAN, Move.UP, keep=better, head=better)
        case State.SCANNED:
            return _go(State.BLANK, Move.TO_HEAD)
        # Restore 2: that one again, for its voltage, and the next blank slot behind it. The first slot of a
        # sector may look blank in a sector whose erase was cut short: there the erase is done again.
        case State.BLANK:
            _, newest, at_sector, blank = found
            if newest or not (at_sector or blank):
                return _go(State.BLANK, Move.UP)
            if at_sector:
                return _go(State.ERASE, head=1, tail=1)
            return _go(State.WALK, Move.DOWN, head=1, tail=1)
        # Restore 3: back to the oldest unacknowledged entry. They are acknowledged in order, so the first
        # acknowledged or blank slot ends the walk; torn slots are passed over. Round the whole ring without a
        # blank slot: the flash is dead.
        case State.WALK:
            valid, at_head, acked, blank = found
            if blank or (valid and acked) or at_head:
                return _go(State.IDLE)
            return _go(State.WALK, Move.DOWN, tail=valid)
        case State.OLDEST:
            _, at_head, *_ = found
            return _go(State.DONE if at_head else State.READ_OLDEST, tail=1)
        case State.READ_OLDEST:
            valid, *_ = found
            if valid:
                return _go(State.DONE, found=1, loaded=1)
            return _go(State.OLDEST, Move.UP)  # torn
        case State.NTH:
            return _go(State.READ_NTH, Move.DOWN)
        case State.READ_NTH:
            valid, at_head, reached, blank = found
            ends = blank or (valid and reached) or at_head
            return _go(State.DONE if ends else State.NTH, passes=valid, found=valid and reached)
        case State.ACKNOWLEDGE:
            return _go(State.ACKNOWLEDGED, Move.UP)
        case State.ACKNOWLEDGED:
            return _go(State.DONE, tail=1)
        case State.APPEND:
            return _go(State.APPENDED, Move.UP)
        # When the next sector is needed, unacknowledged entries in it are given up.
        case State.APPENDED:
            _, _, at_sector, oldest = found
            return _go(State.ERASE if at_sector else State.IDLE, head=1, give_up=at_sector and oldest)
        # The present slot is `head`, the first slot of the sector.
        case State.ERASE:
            _, _, restored, _ = found
            return _go(State.IDLE) if restored else _go(State.WALK, Move.DOWN)
        case State.DONE:
            return _go(State.IDLE)


def _begin(first, second, commanded, loaded):
    """Of `IDLE`: a command, whose number is the first two bits, before an event, which the first bit is."""
    if not commanded:
        return _go(State.APPEND, Move.TO_HEAD) if first else _go(State.IDLE)
    if second:
        return _go(State.ACKNOWLEDGE if loaded else State.DONE, Move.TO_TAIL, clear=1)
    return _go(State.NTH, Move.TO_HEAD, clear=1) if first else _go(State.OLDEST, Move.TO_TAIL, clear=1)


#: By the conditions, the first one lowest, and above them the state.
ROWS = [
    _step(state, *reversed(found)) for state in State for found in product((False, True), repeat=CONDITIONS)
]
