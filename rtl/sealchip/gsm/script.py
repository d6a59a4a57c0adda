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

from ..interface import IDENTITY, Kind, StateClass
from .text import ABOUT, AGO, AT, LOST, NOT_DELIVERED, PHRASES, SIGN

__all__ = ["ATTEMPTS", "FAILED", "SCRIPT", "Digit", "Flag", "Order", "Slot", "Token", "Unless"]

SCRIPT_WORDS = 256
#: Where an attempt that failed goes on: two words for each attempt.
FAILED = 0xF0
ATTEMPTS = 8
#: One word for each event.
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
    #: Send one digit of a data byte: `Digit` in bits 9 and 8, 1 in bit 7 for the identity, address.
    DATA = 1
    #: Bit 11 is 0: go on at bits 7 to 0, with bit 8 the event's number further on.
    #: Bit 11 is 1: leave out the next word if the data byte says so, `Unless` in bits 9 and 8, rest as DATA.
    GO = 2
    #: Set `hex` to bit 0; do what `Flag` says.
    MARK = 3


class Digit(IntEnum):
    """Which digit of a data byte is sent."""

    #: Of a phone: the low four bits, nothing if it is none.
    PHONE = 0
    HIGH = 1
    LOW = 2
    #: Not of the byte: the number of lost messages.
    LOST = 3


class Unless(IntEnum):
    """When the next word is left out."""

    #: The phone's first character is there: bit 5 of ASCII.
    PHONE = 0
    #: It is a digit, not a plus: bit 4 of ASCII.
    DIGIT = 1
    #: The event has a time.
    TIME = 2
    #: Messages got lost.
    LOST = 3


class Flag(IntEnum):
    """Bits of `Order.MARK`."""

    #: Characters are sent as four hex digits from here on, else as one byte.
    HEX = 1
    #: Wait for an event.
    AWAIT = 2
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


_PHONE = IDENTITY.offsets["phone"]
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


def _unless(condition, address=0):
    return _order(Order.GO, 1 << 11 | condition << 8 | address)


def _two_digits(slot):
    return [_order(Order.DATA, digit << 8 | slot) for digit in (Digit.HIGH, Digit.LOW)]


def _go(target):
    """A jump; the label becomes a place when the script is put together."""
    return (target,)


def _command(text, *answers):
    return [*text, "\r", *(answers or [_wait(Token.OK, _COMMAND)])]


def _phone():
    """A plus is no digit: it is sent only where there is one."""
    digits = [_identity(Digit.PHONE, _PHONE + n) for n in range(IDENTITY["phone"].width)]
    return [_unless(Unless.DIGIT, 1 << 7 | _PHONE), "+", *digits]


def _seal():
    where = IDENTITY.slice("seal")
    addresses = reversed(range(where.start, where.stop))
    return [_identity(digit, address) for address in addresses for digit in (Digit.HIGH, Digit.LOW)]


def _dialogue():
    """Characters, words, labels (`:name`) and jumps, in order."""
    phrases = [part for n, it in enumerate(PHRASES) for part in (_go("more"), f":phrase{n}", it.zh)]
    return [
        *(":start", _mark(Flag.AWAIT), ":again", _unless(Unless.PHONE, 1 << 7 | _PHONE), _go("done")),
        *("\x1b", "\r", _wait(Token.NONE, 1)),
        *_command("AT"),
        *_command("ATE0"),
        *_command("AT+CMGF=1"),
        *_command('AT+CSCS="UCS2"', _wait(Token.OK, _COMMAND, or_error=True)),
        *_command("AT+CSMP=17,167,0,8"),
        *_command("AT+CREG?", _wait(Token.REGISTERED, _COMMAND), _wait(Token.OK, _COMMAND)),
        *('AT+CMGS="', _mark(Flag.HEX), *_phone(), _mark(), *_command('"', _wait(Token.PROMPT, _COMMAND))),
        *(_mark(Flag.HEX), SIGN, *_seal(), " ", _unless(Unless.TIME, Slot.EVENT), _go("age")),
        *(AT, *_two_digits(Slot.YEAR), "-", *_two_digits(Slot.MONTH), "-", *_two_digits(Slot.DAY), " "),
        *(*_two_digits(Slot.HOUR), ":", *_two_digits(Slot.MINUTE), _go("what")),
        *(":age", ABOUT, *_two_digits(Slot.AGE), AGO),
        *(":what", " ", _order(Order.GO, 1 << 8 | _EVENTS), *phrases[1:]),
        *(":more", _unless(Unless.LOST), _go("end")),
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
    """After each attempt but the last a pause, then the script again with the same event."""
    again = [part for seconds in _PAUSES for part in (_wait(Token.NONE, seconds), _go("again"))]
    return [*again, _mark(Flag.GIVE_UP), _go("start")]


def _assemble():
    labels, words = {}, []
    for part in _dialogue():
        if isinstance(part, str) and len(part) > 1 and part.startswith(":"):
            labels[part[1:]] = len(words)
        else:
            words += part if isinstance(part, str) else [part]
    if len(words) > _EVENTS:
        raise ValueError(f"the script is {len(words) - _EVENTS} words too long")
    words += [0] * (_EVENTS - len(words)) + [*_events(), *_failures()]
    return [_word(word, labels) for word in words]


def _word(word, labels):
    if isinstance(word, str):
        return ord(word)
    return _order(Order.GO, labels[word[0]]) if isinstance(word, tuple) else word


SCRIPT = _assemble()
