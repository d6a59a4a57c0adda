"""The GSM dialogue as a program: characters to send and a few orders, 256 words of 16 bits.

3GPP TS 27.007 (general commands) and TS 27.005 (text mode). A word below C000 is a UCS-2 character; the
others are orders, with the order in bits 13 and 12 and its operand below. Every attempt plays the whole
script from its beginning, so a module that lost its settings in a brown-out gets them again, and ESC ends a
prompt that an earlier attempt left open.

`AT+CSCS` may be answered by an error: a module that has UCS-2 already may want the name in UCS-2, too
(TS 27.007 clause 5.5). If it has not, it refuses the phone's number, for that is then none.
"""

from __future__ import annotations

from enum import IntEnum

from .gsm_text import ABOUT, AGO, AT, LOST, NOT_DELIVERED, PHRASES, SIGN
from .interface import IDENTITY, Kind, StateClass

__all__ = ["ATTEMPTS", "FAILED", "SCRIPT", "Condition", "Digit", "Flag", "Order", "Slot", "Token"]

SCRIPT_WORDS = 256
#: Where an attempt that failed goes on: two words for each attempt.
FAILED = 0xF0
ATTEMPTS = 8
#: Two words for each event: kind, or state where the kind is *opened*.
_EVENTS = 0xE0


class Token(IntEnum):
    """What the module can say."""

    NONE = 0
    OK = 1
    #: `ERROR`, `+CMS ERROR:`, `+CME ERROR:`.
    ERROR = 2
    #: `+CREG: n,1` or `n,5`: registered, at home or roaming.
    REGISTERED = 3
    #: `+CMGS:`.
    SENT = 4
    #: `>`.
    PROMPT = 5


class Order(IntEnum):
    """Bits 13 and 12 of an order."""

    #: Until `Token` (bits 10 to 8) or as many seconds as bits 7 to 0 say; bit 11: an error will do, too.
    #: Without a token: a pause.
    WAIT = 0
    #: Send one character of a data byte: `Digit` in bits 9 and 8, 1 in bit 7 for the identity, address.
    DATA = 1
    #: Go on at bits 7 to 0 on `Condition`, bits 10 to 8.
    GO = 2
    #: Set `hex` to bit 0; do what `Flag` says.
    MARK = 3


class Digit(IntEnum):
    """How a data byte is sent."""

    #: As a character; nothing for 00.
    CHARACTER = 0
    HIGH = 1
    LOW = 2
    #: Not the byte but the number of lost messages.
    LOST = 3


class Condition(IntEnum):
    """When `Order.GO` goes."""

    ALWAYS = 0
    #: The event has no time: the clock was not set.
    NO_TIME = 1
    NONE_LOST = 2
    NO_PHONE = 3
    #: Always, and the event's number is added to the target.
    BY_EVENT = 4


class Flag(IntEnum):
    """Bits of `Order.MARK`."""

    #: Characters are sent as four hex digits from here on, else as one byte.
    HEX = 1
    #: Wait for an event.
    TAKE = 2
    #: The event has been told.
    DONE = 4
    #: The event is given up.
    GIVE_UP = 8


class Slot(IntEnum):
    """Bytes of a queued event."""

    #: Bit 7: it has a time; below, its number.
    EVENT = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3
    MONTH = 4
    YEAR = 5
    #: Minutes since the event, BCD.
    AGE = 6


#: Seconds. Together with `ATTEMPTS` and the queue's length they keep an age below 100 minutes.
_COMMAND, _SUBMIT = 5, 60
_PAUSES = (5, 10, 20, 40, 60, 120, 120)


def _order(order, operand):
    return 0xC000 | order << 12 | operand


def _wait(token, seconds, *, or_error=False):
    return _order(Order.WAIT, or_error << 11 | token << 8 | seconds)


def _mark(*flags):
    return _order(Order.MARK, sum(flags))


def _identity(digit, address):
    return _order(Order.DATA, digit << 8 | 1 << 7 | address)


def _two_digits(slot):
    return [_order(Order.DATA, digit << 8 | slot) for digit in (Digit.HIGH, Digit.LOW)]


def _go(target, condition=Condition.ALWAYS):
    """A jump; `target` is a label until the script is put together."""
    return condition, target


def _command(text, *answers):
    return [*text, "\r", *(answers or [_wait(Token.OK, _COMMAND)])]


def _phone():
    start = IDENTITY.offsets["phone"]
    return [_identity(Digit.CHARACTER, start + n) for n in range(IDENTITY["phone"].width)]


def _seal():
    where = IDENTITY.slice("seal")
    addresses = reversed(range(where.start, where.stop))
    return [_identity(digit, address) for address in addresses for digit in (Digit.HIGH, Digit.LOW)]


def _dialogue():
    """Characters, words, labels (`:name`) and jumps, in order."""
    return [
        *(":start", _mark(Flag.TAKE), _go("done", Condition.NO_PHONE)),
        *("\x1b", "\r", _wait(Token.NONE, 1)),
        *_command("AT"),
        *_command("ATE0"),
        *_command("AT+CMGF=1"),
        *_command('AT+CSCS="UCS2"', _wait(Token.OK, _COMMAND, or_error=True)),
        *_command("AT+CSMP=17,167,0,8"),
        *_command("AT+CREG?", _wait(Token.REGISTERED, _COMMAND), _wait(Token.OK, _COMMAND)),
        *('AT+CMGS="', _mark(Flag.HEX), *_phone(), _mark(), *_command('"', _wait(Token.PROMPT, _COMMAND))),
        *(_mark(Flag.HEX), SIGN, *_seal(), " ", _go("age", Condition.NO_TIME)),
        *(AT, *_two_digits(Slot.YEAR), "-", *_two_digits(Slot.MONTH), "-", *_two_digits(Slot.DAY), " "),
        *(*_two_digits(Slot.HOUR), ":", *_two_digits(Slot.MINUTE), _go("what")),
        *(":age", ABOUT, *_two_digits(Slot.AGE), AGO),
        *(":what", " ", _go(_EVENTS, Condition.BY_EVENT)),
        *(part for n, phrase in enumerate(PHRASES) for part in (f":phrase{n}", phrase.zh, _go("more"))),
        *(":more", _go("end", Condition.NONE_LOST)),
        *(LOST, _order(Order.DATA, Digit.LOST << 8), NOT_DELIVERED),
        *(":end", _mark(), "\x1a", _wait(Token.SENT, _SUBMIT)),
        *(":done", _mark(Flag.DONE), _go("start")),
    ]


def event_number(kind, state):
    """The number of an event, 0 to 15: its state where it is *opened*, else 8 + its kind."""
    return state if kind == Kind.OPENED else 8 | kind


def _events():
    """Where each event's phrase is."""
    labels = {}
    for n, phrase in enumerate(PHRASES):
        states = StateClass if phrase.state is None else [phrase.state]
        for state in states:
            labels[event_number(phrase.kind, state)] = f"phrase{n}"
    return [_go(labels.get(number, "phrase0")) for number in range(16)]


def _failures():
    """After each attempt but the last a pause, and the script from its beginning; TAKE keeps the event."""
    again = [part for seconds in _PAUSES for part in (_wait(Token.NONE, seconds), _go("again"))]
    return [*again, _mark(Flag.GIVE_UP), _go("start")]


def _assemble():
    labels, words = {}, []
    for part in _dialogue():
        if isinstance(part, str) and len(part) > 1 and part.startswith(":"):
            labels[part[1:]] = len(words)
        else:
            words += part if isinstance(part, str) else [part]
    labels["again"] = labels["start"] + 1
    if len(words) > _EVENTS:
        raise ValueError(f"the script is {len(words) - _EVENTS} words too long")
    words += [0] * (_EVENTS - len(words)) + [*_events(), *_failures()]
    return [_word(word, labels) for word in words]


def _word(word, labels):
    if isinstance(word, str):
        return ord(word)
    if isinstance(word, tuple):
        condition, target = word
        return _order(Order.GO, condition << 8 | labels.get(target, target))
    return word


SCRIPT = _assemble()
