"""What a GSM module says, byte by byte: answers of 3GPP TS 27.005 and 27.007 among whatever else comes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .script import Token

__all__ = ["AnswerReader"]

#: Classes of characters; what is in none of them is class 0. Never more than 16.
_CLASSES = ("", "\r\n", "O", "K", "E", "R", "C", "M", "G", "S", "+", ":", ",", " ", ">", "15")
_OTHER, _END = 0, 1
_CLASS = {character: number for number, characters in enumerate(_CLASSES) for character in characters}

#: Whole lines with what they mean. `[SE]` is one of both, `.` any one character, a space any number of them,
#: `…` any rest.
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
    """Tells a `Token` at the end of each line that is an answer, and at once at a prompt.

    A line is what stands between CR or LF; a character that was not received well makes it a foreign line.
    Echoes, unsolicited lines and garbage are foreign lines. `+CREG: 1`, which a module sends unasked, has
    one number where the answer has two, and is none.

    *Timing:* `token` strobes two cycles after `valid`; characters come at least four cycles apart.

    Members
    -------
    valid, data, error: characters, as `Receiver` tells them; `data` holds for two cycles more.
    token: what has been said, in one cycle; else `Token.NONE`.

    Guarantees: `verif/blocks/test_gsm_parts.py::test_answers_like_the_reference`,
    `test_a_character_received_badly_makes_a_foreign_line`.
    """

    valid: In(1)
    data: In(8)
    error: In(1)
    token: Out(Token)

    def elaborate(self, platform):
        m = Module()
        # Two tables: character to class, then (state, class) to the next state and what has been said.
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
    return [_CLASS.get(chr(byte), _OTHER) for byte in range(256)]


def _symbols(line):
    """What one line wants, in turn: (classes, whether it may come any number of times)."""
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
    """Next state in bits 4 to 0, token in bits 7 to 5, by state and class."""
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
