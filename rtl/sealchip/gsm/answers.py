"""The reader of a GSM module's answers, those of 3GPP TS 27.005 and 27.007 among whatever else it sends."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .script import Token

__all__ = ["AnswerReader"]

#: Classes of characters; all other characters are class 0. There are at most 16.
_CLASSES = ("", "\r\n", "O", "K", "E", "R", "C", "M", "G", "S", "+", ":", ",", " ", ">", "15")
_OTHER, _END = 0, 1
_CLASS = {character: number for number, characters in enumerate(_CLASSES) for character in characters}

#: Whole lines with their meaning. `[SE]` is one of the two, `.` any one character, a space any number of
#: spaces, and `…` any rest.
_LINES = {
    "OK": Token.OK,
    "ERROR": Token.ERROR,
    "+CM[SE]_ERROR:…": Token.ERROR,
    "+CMGS:…": Token.SENT,
    "+CREG: ., 1": Token.REGISTERED,
    "+CREG: ., 1,…": Token.REGISTERED,
}
_START, _FOREIGN, _STATES = 0, 1, 32


class AnswerReader(wiring.Component):
    """Reports a `Token` at the end of each line that is an answer, and a prompt at once.

    CR and LF separate lines. Echoes, unsolicited lines and garbage are foreign lines, and so is any line with
    a character that was received with an error. `+CREG: 1`, which a module sends unasked, has one number
    where the answer has two, so it is not taken for one.

    A state machine in block RAM does that: one table gives the class of a character, and another one the next
    state, by state and class. The second is a tree of all lines that are answers, so that a line is compared
    with all of them at once, character by character.

    *Timing:* `token` strobes two cycles after `valid`; characters come at least four cycles apart.

    Members
    -------
    valid, data, error : characters, as `Receiver` reports them; `data` holds for two cycles more.
    token : the answer, for one cycle; else `Token.NONE`.

    Guarantees: `verif/blocks/test_gsm_parts.py::test_answers_like_the_reference`,
    `test_a_character_received_badly_makes_a_foreign_line`.
    """

    valid: In(1)
    data: In(8)
    error: In(1)
    token: Out(Token)

    def elaborate(self, platform):
        m = Module()
        # Two tables: from character to class, then from state and class to the next state and the token.
        m.submodules.classes = classes = Memory(
            shape=4, depth=256, init=_classes(), attrs={"rom_style": "block"}
        )
        m.submodules.states = states = Memory(shape=8, depth=16 * _STATES, init=_table())
        classify, step = classes.read_port(), states.read_port()
        state = Signal(range(_STATES))
        classified = Signal()
        stepped = Signal()
        bad = Signal()
        m.d.comb += [classify.addr.eq(self.data), step.addr.eq(Cat(classify.data, state))]
        m.d.sync += [classified.eq(self.valid), stepped.eq(classified)]
        with m.If(self.valid):
            m.d.sync += bad.eq(self.error)
        with m.If(stepped):
            m.d.sync += state.eq(step.data)
            with m.If(bad):
                m.d.sync += state.eq(_FOREIGN)
            with m.Else():
                m.d.comb += self.token.eq(step.data[5:])
        return m


def _classes():
    """Return the class of each of the 256 characters."""
    return [_CLASS.get(chr(byte), _OTHER) for byte in range(256)]


def _symbols(line):
    """Return the symbols of a line in turn: the classes allowed, and whether any number of them may come."""
    symbols, characters = [], iter(line)
    for character in characters:
        if character == "[":
            symbols.append((frozenset(map(_CLASS.get, iter(characters.__next__, "]"))), False))
        elif character == ".":
            symbols.append((frozenset({_OTHER, _CLASS["1"]}), False))
        elif character == "…":
            symbols.append((frozenset(range(16)) - {_END}, True))
        else:
            symbols.append((frozenset({_CLASS[character.replace("_", " ")]}), character == " "))
    return symbols


def _table():
    """Return the next state in bits 4 to 0 and the token in bits 7 to 5, by state and class."""
    states, ends = [{}, dict.fromkeys(range(16), _FOREIGN)], {}
    for line, token in _LINES.items():
        at = _START
        for classes, repeats in _symbols(line):
            if repeats:
                states[at].update(dict.fromkeys(classes, at) | states[at])
                continue
            known = {states[at].get(class_) for class_ in classes}
            if known == {None}:
                states[at].update(dict.fromkeys(classes, len(states)))
                known = {len(states)}
                states.append({})
            (at,) = known
        ends[at] = token
    if len(states) > _STATES:
        raise ValueError(f"{len(states)} states of {_STATES}")
    words = []
    for at, follows in enumerate([*states, *[{}] * (_STATES - len(states))]):
        row = [follows.get(class_, _FOREIGN) for class_ in range(16)]
        row[_END] = _START | ends.get(at, Token.NONE) << 5
        words += row
    words[_CLASS[">"]] = _START | Token.PROMPT << 5
    return words
