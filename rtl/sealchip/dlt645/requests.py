"""What the seal does with each request, as a tree of steps, and the slave's program that is made of it.

A step looks at the request or does something, and goes on to one of two others. In the program, a list of
steps, those two are neighbours, so that the result of a step is the low bit of the next address.
"""

from dataclasses import dataclass

from amaranth.lib import data, enum

from ..core.firmware.layout import CHALLENGE_BYTES, ITEMS, NEW_PASSWORD, OLD_PASSWORD, WRITTEN, Command
from ..interface import BAUD_FEATURE, IDENTITY, Di, Function
from .messages import Message

__all__ = ["PROGRAM", "Op", "Step"]

#: Where DATA has an address that is written alone.
WRITTEN_ADDRESS = 0
#: Position of SEQ, and the last record that the event log is read in.
SEQUENCE, LAST_RECORD = 4, 63


class Op(enum.Enum, shape=4):
    """An operation is what a step does, and what its result is; without one the result is 0."""

    #: Wait for a request; its function is the next address.
    IDLE = 0
    #: Whether a byte of DATA, or the length, is `Step.value`.
    COMPARE = 1
    #: Whether writes with password are locked out.
    LOCKED = 2
    #: Whether the seal has no address and it was asked at AAAAAAAAAAAA.
    UNADDRESSED = 3
    #: Take the loop as it is for sealed; whether it could be.
    SEAL = 4
    #: Send message `Step.value` & 31; with ANSWER_RATE the rate of number `Step.value` >> 5 is then in force.
    ANSWER = 5
    #: The rest is done by the core: its number there is the lower bits.
    #: Make the record whose number is DATA's byte xor `Step.value`, modulo 64; whether there is one.
    FETCH = 8 | Command.FETCH
    #: Compare the password at origin `Step.value` & 15 with the identity's; whether it is right.
    CHECK = 8 | Command.CHECK
    #: Write item `Step.value` >> 4 from origin `Step.value` & 15 on; whether the flash has taken it.
    UPDATE = 8 | Command.UPDATE
    #: Keep the challenge; whether it was still there.
    CHALLENGE = 8 | Command.CHALLENGE
    #: Set the clock; whether it was a time.
    CLOCK = 8 | Command.CLOCK


# The slave takes the number of a command from the lower bits of its step.
assert all(Op[command.name].value == 8 | command for command in Command)


class Step(data.Struct):
    """A step of the program; one of all zeros is idle."""

    #: Next address; the result is joined to its low bit.
    next: 8
    op: Op
    value: 8
    #: Of the byte of DATA.
    position: 4
    #: Compare the length, not DATA.
    of_length: 1
    #: Compare the high digit only.
    coarse: 1
    #: Only whether there is an older record than the one named.
    has_older: 1


@dataclass(frozen=True)
class _Node:
    """A step of the tree, with those that follow it; None is idle."""

    op: Op
    no: "_Node | None" = None
    yes: "_Node | None" = None
    value: int = 0
    position: int = 0
    of_length: int = 0
    coarse: int = 0
    has_older: int = 0


def _answer(message, value=0):
    return _Node(Op.ANSWER, value=message.value | value)


_DONE, _OTHER = _answer(Message.ANSWER_DONE), _answer(Message.REFUSE_OTHER)
_NO_DATA, _UNAUTHORISED = _answer(Message.REFUSE_NO_DATA), _answer(Message.REFUSE_UNAUTHORISED)


def _select(cases, otherwise, **what):
    """Go on with the first of `cases` (value, step) that is equal, or with `otherwise`."""
    for value, then in reversed(cases):
        otherwise = _Node(Op.COMPARE, otherwise, then, value=value, **what)
    return otherwise


def _length(wanted, then):
    """Go on with `then` at that length; a frame of any other length is not answered."""
    return _select([(wanted, then)], None, of_length=1)


def _identifier(high, then, otherwise=_NO_DATA):
    """Compare the three high bytes of the DI."""
    for position in (1, 2, 3):
        then = _select([(high >> 8 * (position - 1) & 0xFF, then)], otherwise, position=position)
    return then


def _fetch(value, then, **which):
    return _Node(Op.FETCH, _NO_DATA, then, value=value, **which)


def _low(di):
    return di & 0xFF


def _read():
    """11H: find out which item. FETCH takes what DATA's byte is known to be out of the record's number."""
    last, more = (
        _fetch(_low(Di.EVENT_LOG), _answer(message))
        for message in (Message.ANSWER_RECORD, Message.ANSWER_RECORD_MORE)
    )
    ours = _select(
        [
            (_low(Di.RECORD_NEWEST), _fetch(_low(Di.RECORD_NEWEST), _answer(Message.ANSWER_RECORD))),
            (_low(Di.EVENT_LOG), _Node(Op.FETCH, last, more, value=_low(Di.EVENT_LOG), has_older=1)),
            (_low(Di.DIAGNOSTICS), _answer(Message.ANSWER_DIAGNOSTICS)),
        ],
        _select(
            [(_low(Di.RECORD_HISTORY), _fetch(_low(Di.RECORD_HISTORY), _answer(Message.ANSWER_RECORD)))],
            _NO_DATA,
            coarse=1,
        ),
    )
    standard = _select(
        [
            (_low(Di.ADDRESS), _answer(Message.ANSWER_ADDRESS_ITEM)),
            (_low(Di.ASSET_NUMBER), _answer(Message.ANSWER_ASSET)),
        ],
        _NO_DATA,
    )
    item = _identifier(Di.ADDRESS >> 8, standard, _identifier(Di.EVENT_LOG >> 8, ours))
    return _select([(short, None) for short in range(4)], item, of_length=1)


def _read_next():
    """12H: find out which record of the event log."""
    last, more = (
        _fetch(0, _answer(message), position=SEQUENCE)
        for message in (Message.ANSWER_NEXT, Message.ANSWER_NEXT_MORE)
    )
    there = _Node(Op.FETCH, last, more, position=SEQUENCE, has_older=1)
    numbered = _select(
        [(high, there) for high in range(0, LAST_RECORD, 16)], _NO_DATA, position=SEQUENCE, coarse=1
    )
    sequence = _select([(0, _NO_DATA), (LAST_RECORD, last)], numbered, position=SEQUENCE)
    of_log = _select([(_low(Di.EVENT_LOG), sequence)], _NO_DATA)
    return _length(5, _identifier(Di.EVENT_LOG >> 8, of_log))


def _with_password(then):
    """Refuse unless the password is right."""
    check = _Node(Op.CHECK, _UNAUTHORISED, then, value=ITEMS["password"] << 4 | OLD_PASSWORD)
    return _Node(Op.LOCKED, check, _UNAUTHORISED)


def _update(item, origin, otherwise=_OTHER, done=_DONE):
    """Write an item; its field must end where DATA ends."""
    update = _Node(Op.UPDATE, otherwise, done, value=ITEMS[item] << 4 | origin)
    return _select([(origin + IDENTITY[item].width, update)], otherwise, of_length=1)


def _write():
    """14H: take a challenge at once, the other items with the password only."""
    challenge = _Node(Op.CHALLENGE, None, _DONE)
    seal = _with_password(_Node(Op.SEAL, _OTHER, _DONE))

    def of_length(wanted, then):
        return _select([(wanted, then)], _NO_DATA, of_length=1)

    items = [
        (_low(Di.CHALLENGE), of_length(WRITTEN + CHALLENGE_BYTES, challenge)),
        (_low(Di.SEAL), of_length(WRITTEN, seal)),
        *(
            (_low(Di.PROVISIONING) + number, _with_password(_update(name, WRITTEN)))
            for name, number in ITEMS.items()
        ),
    ]
    item = _identifier(Di.SEAL >> 8, _select(items, _NO_DATA))
    long_enough = _select([(length, item) for length in range(WRITTEN, 16)], None, of_length=1)
    return _select([(0, long_enough)], item, of_length=1, coarse=1)


def _change_rate():
    """17H: take the byte if it is one of the feature words."""
    rates = [(word, _answer(Message.ANSWER_RATE, number << 5)) for number, word in enumerate(BAUD_FEATURE)]
    return _length(1, _select(rates, _answer(Message.REFUSE_RATE)))


#: What is done with a request, by its function.
_REQUESTS = {
    Function.BROADCAST_TIME: _length(6, _Node(Op.CLOCK)),
    Function.READ: _read(),
    Function.READ_MORE: _read_next(),
    Function.READ_ADDRESS: _length(0, _answer(Message.ANSWER_ADDRESS)),
    Function.WRITE: _write(),
    Function.WRITE_ADDRESS: _length(6, _Node(Op.UNADDRESSED, None, _update("seal", WRITTEN_ADDRESS, None))),
    Function.CHANGE_BAUD: _change_rate(),
    Function.CHANGE_PASSWORD: _length(
        NEW_PASSWORD + 3,
        _with_password(_update("password", NEW_PASSWORD, done=_answer(Message.ANSWER_PASSWORD))),
    ),
}


def _program():
    """Give the steps by their address; the first 32 are the functions."""
    addresses = dict(_REQUESTS)
    pairs = {}
    waiting = list(addresses)
    rows = {}
    while waiting:
        address = waiting.pop()
        node = addresses[address]
        if node is None:
            continue
        pair = node.no, node.yes
        if pair not in pairs:
            pairs[pair] = 32 + 2 * len(pairs)
            addresses |= {pairs[pair]: node.no, pairs[pair] + 1: node.yes}
            waiting += [pairs[pair], pairs[pair] + 1]
        fields = {
            name: getattr(node, name) for name in ("value", "position", "of_length", "coarse", "has_older")
        }
        rows[address] = {"op": node.op, "next": pairs[pair], **fields}
    return [rows.get(address, {}) for address in range(max(addresses) + 1)]


PROGRAM = _program()
