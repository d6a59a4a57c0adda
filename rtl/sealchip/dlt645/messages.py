"""Every frame that the chip sends, as a table, and the framer's program that is made of it.

The program is a list of words, one for each byte of a frame. A word names the source of its byte and the word
that follows, so frames that end alike share their ends, and the framer needs no other state than its address.
"""

from dataclasses import dataclass, replace
from itertools import count

from amaranth.lib import data, enum
from amaranth.lib.wiring import Out, Signature

from ..core.firmware.layout import NEW_PASSWORD, Public
from ..interface import (
    DIAGNOSTICS,
    FROM_SLAVE,
    IDENTITY,
    IDENTITY_REPORT,
    MORE,
    RECORD,
    REFUSED,
    Di,
    Err,
    Function,
)
from ..sense.diagnostics import MEASURED_BYTES
from .deframer import ADDRESS_BYTES, END, START

__all__ = [
    "MESSAGES",
    "PREAMBLE",
    "PREAMBLE_BYTES",
    "PROGRAM",
    "SECOND_ENTRY",
    "THIRD_ENTRY",
    "Body",
    "Message",
    "Send",
    "Shape",
    "Word",
]

PREAMBLE, PREAMBLE_BYTES = 0xFE, 4


class Message(enum.Enum, shape=5):
    """A message names what to send; an answer's control code has the request's function."""

    #: 14H write of a seal record to the meter.
    REPORT_RECORD = 0
    #: 14H write of the seal's identity to the meter.
    REPORT_IDENTITY = 1
    #: A seal record.
    ANSWER_RECORD = 2
    #: A seal record, and there are follow-up frames.
    ANSWER_RECORD_MORE = 3
    #: A seal record in a follow-up frame.
    ANSWER_NEXT = 4
    #: The same, and not the last.
    ANSWER_NEXT_MORE = 5
    ANSWER_DIAGNOSTICS = 6
    #: Communication address as a data item.
    ANSWER_ADDRESS_ITEM = 7
    ANSWER_ASSET = 8
    #: Communication address alone.
    ANSWER_ADDRESS = 9
    #: Taken; no data.
    ANSWER_DONE = 10
    #: The feature word of the rate that is then in force.
    ANSWER_RATE = 11
    #: One byte of ERR each: other error, no such data, not authorised, rate cannot be had.
    REFUSE_OTHER = 12
    REFUSE_NO_DATA = 13
    REFUSE_UNAUTHORISED = 14
    REFUSE_RATE = 15
    #: Level and password that are now in force.
    ANSWER_PASSWORD = 16


#: From slave or reporter to the framer: strobe `start`, and the message, which holds until its frame ends.
Send = Signature({"start": Out(1), "message": Out(Message)})


class Body(enum.Enum):
    """The body is where the bytes that follow DI and authority come from."""

    NONE = enum.auto()
    RECORD = enum.auto()
    #: The identity's memory, from `Shape.offset` on.
    IDENTITY = enum.auto()
    DIAGNOSTICS = enum.auto()
    #: DATA of the request, from `Shape.offset` on.
    REQUEST = enum.auto()
    #: The byte `Shape.offset`.
    ERROR = enum.auto()


@dataclass(frozen=True)
class Shape:
    """The shape of one message.

    `control` is joined with the request's function in an answer; `di` None repeats the request's.
    """

    control: int
    body: Body
    size: int
    offset: int = 0
    to_meter: bool = False
    has_di: bool = True
    di: Di | None = None
    has_authority: bool = False
    #: The request's sequence number follows the body.
    has_sequence: bool = False

    @property
    def length(self):
        """Length byte L of the frame."""
        return 4 * self.has_di + 8 * self.has_authority + self.size + self.has_sequence


def _report(di, body, size, offset=0):
    return Shape(Function.WRITE, body, size, offset, to_meter=True, di=di, has_authority=True)


def _field(name):
    return {"body": Body.IDENTITY, "size": IDENTITY[name].width, "offset": IDENTITY.offsets[name]}


def _refusal(error):
    return Shape(FROM_SLAVE | REFUSED, Body.ERROR, 1, error, has_di=False)


_RECORD = Shape(FROM_SLAVE, Body.RECORD, RECORD.size)

MESSAGES = {
    Message.REPORT_RECORD: _report(Di.REPORT, Body.RECORD, RECORD.size),
    Message.REPORT_IDENTITY: _report(
        Di.REPORT_IDENTITY, Body.IDENTITY, IDENTITY_REPORT.size, IDENTITY.offsets["seal"]
    ),
    Message.ANSWER_RECORD: _RECORD,
    Message.ANSWER_RECORD_MORE: replace(_RECORD, control=FROM_SLAVE | MORE),
    Message.ANSWER_NEXT: replace(_RECORD, has_sequence=True),
    Message.ANSWER_NEXT_MORE: replace(_RECORD, has_sequence=True, control=FROM_SLAVE | MORE),
    Message.ANSWER_DIAGNOSTICS: Shape(FROM_SLAVE, Body.DIAGNOSTICS, DIAGNOSTICS.size),
    Message.ANSWER_ADDRESS_ITEM: Shape(FROM_SLAVE, **_field("seal")),
    Message.ANSWER_ASSET: Shape(FROM_SLAVE, **_field("asset")),
    Message.ANSWER_ADDRESS: Shape(FROM_SLAVE, has_di=False, **_field("seal")),
    Message.ANSWER_DONE: Shape(FROM_SLAVE, Body.NONE, 0, has_di=False),
    Message.ANSWER_RATE: Shape(FROM_SLAVE, Body.REQUEST, 1, has_di=False),
    Message.ANSWER_PASSWORD: Shape(FROM_SLAVE, Body.REQUEST, 4, NEW_PASSWORD - 1, has_di=False),
    Message.REFUSE_OTHER: _refusal(Err.OTHER),
    Message.REFUSE_NO_DATA: _refusal(Err.NO_DATA),
    Message.REFUSE_UNAUTHORISED: _refusal(Err.UNAUTHORISED),
    Message.REFUSE_RATE: _refusal(Err.RATE),
}


class Word(data.Struct):
    """A word gives one byte of a frame: `constant`, or that of the flagged source at `index`."""

    constant: 8
    index: 8
    #: Of the core's public memory, where the record may not be ready.
    public: 1
    diagnostics: 1
    #: DATA of the request.
    request: 1
    #: The request's function is joined to `constant`.
    function: 1
    checksum: 1
    #: 33h is added on the wire.
    scrambled: 1
    last: 1
    #: The next word is the message's next entry, instead of `next`.
    branches: 1
    next: 8


#: A message's words begin at its number. After the address they go on at its number and the second entry, and
#: after a record, which is public memory, at its number and the third: so several messages share a record's
#: words, and the framer finds the entry from the word's `public` alone.
SECOND_ENTRY = 1 << Message.as_shape().width
THIRD_ENTRY = SECOND_ENTRY | SECOND_ENTRY << 1


def _head(shape):
    """Give the words of preamble, 68H, address and 68H."""
    whose = IDENTITY.offsets["meter" if shape.to_meter else "seal"]
    return [
        *[{"constant": PREAMBLE}] * PREAMBLE_BYTES,
        {"constant": START},
        *({"public": 1, "index": Public.IDENTITY + whose + n} for n in range(ADDRESS_BYTES)),
        {"constant": START, "branches": 1},
    ]


def _content(shape):
    """Give the words of DATA, byte by byte."""
    if shape.has_di:
        for n in range(4):
            yield {"request": 1, "index": n} if shape.di is None else {"constant": shape.di >> 8 * n & 0xFF}
    yield from [{}] * (8 * shape.has_authority)
    for n in range(shape.size):
        yield _of_body(shape, shape.offset + n)


def _of_body(shape, offset):
    """Give the word of the body's byte at `offset`."""
    if shape.body is Body.ERROR:
        return {"constant": shape.offset}
    if shape.body is Body.RECORD:
        return {"public": 1, "index": Public.RECORD + offset}
    if shape.body is Body.REQUEST:
        return {"request": 1, "index": offset}
    if shape.body is Body.IDENTITY:
        return {"public": 1, "index": Public.IDENTITY + offset}
    if offset < MEASURED_BYTES:
        return {"diagnostics": 1, "index": offset}
    if offset < DIAGNOSTICS.offsets["clock"]:
        return {"public": 1, "index": Public.UPTIME + offset - DIAGNOSTICS.offsets["uptime"]}
    return {"public": 1, "index": Public.CLOCK + offset - DIAGNOSTICS.offsets["clock"]}


def _middle(shape):
    """Give the words from the control code to the end of DATA, or of the record."""
    words = [
        {"constant": shape.control, "function": 0 if shape.to_meter else 1},
        {"constant": shape.length},
        *({"scrambled": 1, **word} for word in _content(shape)),
    ]
    if shape.body is Body.RECORD:
        return [*words[:-1], {**words[-1], "branches": 1}]
    return [*words, *_end(shape)]


def _end(shape):
    """Give the words that follow DATA, or the record."""
    sequence = [{"scrambled": 1, "request": 1, "index": 4}] if shape.has_sequence else []
    return [*sequence, {"checksum": 1}, {"constant": END, "last": 1}]


def _program():
    """Give the words by their address; those that are alike, up to the frame's end, are one."""
    entries = {message.value: _head(shape) for message, shape in MESSAGES.items()}
    entries |= {message.value + SECOND_ENTRY: _middle(shape) for message, shape in MESSAGES.items()}
    entries |= {
        message.value + THIRD_ENTRY: _end(shape)
        for message, shape in MESSAGES.items()
        if shape.body is Body.RECORD
    }
    free = (address for address in count() if address not in entries)
    shared, placed = {}, {}
    for entry, words in entries.items():
        following = 0
        for word in reversed(words[1:]):
            key = (*sorted(word.items()), following)
            if key not in shared:
                shared[key] = next(free)
                placed[shared[key]] = {**word, "next": following}
            following = shared[key]
        placed[entry] = {**words[0], "next": following}
    return [placed.get(address, {}) for address in range(max(placed) + 1)]


PROGRAM = _program()
