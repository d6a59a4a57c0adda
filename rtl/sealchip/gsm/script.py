"""The GSM dialogue as a program: characters to send and a few orders, 256 words of 16 bits.

The commands are those of 3GPP TS 27.007 (general commands) and TS 27.005 (text mode). A word below C000 is a
UCS-2 character; the others are orders, with the order in bits 13 and 12 and its operand below. Every attempt
plays the whole script from its beginning, so a module that lost its settings in a brown-out gets them again,
and ESC ends a prompt that an earlier attempt left open.

An error is accepted as an answer to `AT+CSCS`: a module that is in UCS-2 already may expect the name in
UCS-2, too (TS 27.007 clause 5.5). A module that is not in UCS-2 then refuses the phone's number, which is no
number for it.
"""

from __future__ import annotations

from enum import IntEnum

from ..interface import IDENTITY, Kind, StateClass
from .text import ABOUT, AGO, AT, LOST, NOT_DELIVERED, PHRASES, SIGN

__all__ = ["ATTEMPTS", "FAILED", "SCRIPT", "Digit", "Flag", "Order", "Slot", "Token", "Unless"]

SCRIPT_WORDS = 256
#: The address at which a failed attempt goes on: two words for each attempt.
FAILED = 0xF0
ATTEMPTS = 8
#: The address of a table of jumps to phrases, one word for each event number.
_EVENTS = 0xE0
# An event's number and an attempt's are joined to these addresses by *or*.
assert _EVENTS % 16 == FAILED % (2 * ATTEMPTS) == 0


class Token(IntEnum):
    """The answers of the module."""

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

    #: Wait for the `Token` in bits 10 to 8, at most the seconds in bits 6 to 0; with bit 11 an error is
    #: accepted, too. Without a token this is a pause.
    WAIT = 0
    #: Send one digit of a data byte: `Digit` in bits 9 and 8, bit 7 for the identity, address in the rest.
    DATA = 1
    #: With bit 11 clear, jump to bits 7 to 0, and with bit 8 that plus the event's number.
    #: With bit 11 set, skip the next word if `Unless` in bits 9 and 8 is true of the data byte, as in DATA.
    GO = 2
    #: Set hexadecimal sending to bit 0, and do what the other bits of `Flag` ask for.
    MARK = 3


class Digit(IntEnum):
    """The digit of a data byte that is sent."""

    #: Of a phone: the low four bits; nothing if the byte is not a digit.
    PHONE = 0
    HIGH = 1
    LOW = 2
    #: Not of the byte: the number of lost messages.
    LOST = 3


class Unless(IntEnum):
    """The condition under which the next word is left out."""

    #: The phone has a first character: bit 5 of ASCII.
    PHONE = 0
    #: That character is a digit, not a plus: bit 4 of ASCII.
    DIGIT = 1
    #: The event has a time.
    TIME = 2
    #: Messages got lost.
    LOST = 3


class Flag(IntEnum):
    """Bits of `Order.MARK`."""

    #: From here on characters are sent as four hex digits, else as one byte.
    HEX = 1
    #: Wait for an event.
    AWAIT = 2
    #: The message about the event has been sent.
    DONE = 4
    #: The event is given up.
    GIVE_UP = 8


class Slot(IntEnum):
    """The bytes of a queued event."""

    #: In bit 7 whether it has a time; below, its number.
    EVENT = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3
    MONTH = 4
    YEAR = 5
    #: Minutes since the event, BCD.
    AGE = 6


_PHONE = IDENTITY.offsets["phone"]
#: Time limits in seconds. Together with `ATTEMPTS` and the length of the queue they keep an age below 100
#: minutes, so that it has two digits.
_COMMAND, _SUBMIT = 5, 60
_PAUSES = (5, 10, 20, 40, 60, 120, 120)


def _order(order, operand):
    """Return an order."""
    return 0xC000 | order << 12 | operand


def _wait(token, seconds, *, or_error=False):
    """Return a wait for an answer."""
    return _order(Order.WAIT, or_error << 11 | token << 8 | seconds)


def _mark(*flags):
    """Return a mark with these flags."""
    return _order(Order.MARK, sum(flags))


def _identity(digit, address):
    """Return the order that sends a digit of the identity."""
    return _order(Order.DATA, digit << 8 | 1 << 7 | address)


def _unless(condition, address=0):
    """Return the order that skips the next word under a condition."""
    return _order(Order.GO, 1 << 11 | condition << 8 | address)


def _two_digits(slot):
    """Return the orders that send both digits of a byte of the event."""
    return [_order(Order.DATA, digit << 8 | slot) for digit in (Digit.HIGH, Digit.LOW)]


def _go(target):
    """Return a jump; the label becomes an address when the script is assembled."""
    return (target,)


def _command(text, *answers):
    """Return the words of a command and its answers, OK unless given."""
    return [*text, "\r", *(answers or [_wait(Token.OK, _COMMAND)])]


def _phone():
    """Return the words that send the phone's number; a plus, which is not a digit, only if it has one."""
    digits = [_identity(Digit.PHONE, _PHONE + n) for n in range(IDENTITY["phone"].width)]
    return [_unless(Unless.DIGIT, 1 << 7 | _PHONE), "+", *digits]


def _seal():
    """Return the orders that send the seal's address, high digit first."""
    where = IDENTITY.slice("seal")
    addresses = reversed(range(where.start, where.stop))
    return [_identity(digit, address) for address in addresses for digit in (Digit.HIGH, Digit.LOW)]


def _dialogue():
    """Return characters, words, labels (`:name`) and jumps, in order."""
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
    """Return the number of an event, 0 to 15: its state if it is *opened*, else 8 + its kind."""
    return state if kind == Kind.OPENED else 8 | kind


def _events():
    """Return the table of jumps to the phrase of each event."""
    labels = {}
    for n, phrase in enumerate(PHRASES):
        states = StateClass if phrase.state is None else [phrase.state]
        for state in states:
            labels[event_number(phrase.kind, state)] = f"phrase{n}"
    return [_go(labels.get(number, "phrase0")) for number in range(16)]


def _failures():
    """Return what follows each failed attempt: a pause and the same event, after the last the next one."""
    again = [part for seconds in _PAUSES for part in (_wait(Token.NONE, seconds), _go("again"))]
    return [*again, _mark(Flag.GIVE_UP), _go("start")]


def _assemble():
    """Return all words of the script."""
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
    """Return a part of the dialogue as a word."""
    if isinstance(word, str):
        return ord(word)
    return _order(Order.GO, labels[word[0]]) if isinstance(word, tuple) else word


SCRIPT = _assemble()
