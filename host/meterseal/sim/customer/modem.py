"""Simulates a GSM modem without I/O: AT commands in, answers and submitted messages out.

It behaves like common modules (3GPP TS 27.007 and 27.005). After power-up it echoes, is in text mode and
answers errors without a code; a message is a prompt, a PDU in hex or a text, Ctrl-Z. Commands are carried
out one after another: input that arrives while a message is being submitted waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from meterseal.protocols.gsm.pdu import PduError, Submit
from meterseal.protocols.gsm.text_mode import CHARACTER_SETS, TextMode

__all__ = ["BUFFER_MAX", "Answer", "Modem", "Submitted"]

#: Most bytes that wait; when more arrive the oldest are lost, as in a UART that overruns.
BUFFER_MAX = 4096
_CR, _CTRL_Z, _ESC = b"\r", b"\x1a", b"\x1b"
_OK, _PROMPT = "OK", b"\r\n> "
#: +CMS ERROR codes: operation not allowed, invalid PDU mode parameter, invalid text mode parameter.
_NOT_ALLOWED, _INVALID_PDU, _INVALID_TEXT = 302, 304, 305
#: +CME ERROR: operation not supported.
_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to transmit to the host."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message for the network; the modem waits for `accepted`, `refused` or `silent`."""

    message: Submit


class Modem:
    """Simulates one modem from its power-up on.

    With `echo` it ignores ATE0; with `unsolicited` it transmits unsolicited lines before every answer.
    """

    def __init__(self, *, echo: bool = False, unsolicited: bool = False) -> None:
        self._always_echo = echo
        self._unsolicited = unsolicited
        self._echo = True
        self._pdu_mode = False
        self._codes = False
        self._text_mode = TextMode()
        #: References of messages in text mode, where the host chooses none.
        self._reference = 0
        #: What the prompt expects: octets of a PDU, or the number to send a text to; None outside a prompt.
        self._expected: int | str | None = None
        self._waiting = False
        self._buffer = b""

    def receive(self, data: bytes) -> list[Answer | Submitted]:
        """Take bytes from the host and return what they cause."""
        self._buffer = (self._buffer + data)[-BUFFER_MAX:]
        return list(self._work())

    def accepted(self, reference: int) -> list[Answer | Submitted]:
        """Report that the network has accepted the message."""
        return self._answered(self._reply(f"+CMGS: {reference}", _OK))

    def refused(self, code: int) -> list[Answer | Submitted]:
        """Report that the network, or the modem itself, has refused the message."""
        return self._answered(self._cms_error(code))

    def silent(self) -> list[Answer | Submitted]:
        """Continue without an answer, as if it had been lost."""
        self._waiting = False
        return list(self._work())

    def _answered(self, answer: Answer) -> list[Answer | Submitted]:
        self._waiting = False
        return [answer, *self._work()]

    def _work(self) -> Iterator[Answer | Submitted]:
        while not self._waiting:
            ends = rb"[\x1a\x1b]" if self._expected is not None else rb"[\r\x1b]"
            end = re.search(ends, self._buffer)
            if end is None:
                return
            text, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            if self._echo or self._always_echo:
                yield Answer(text + end[0])
            if self._expected is not None:
                yield self._message(text, end[0])
            elif end[0] == _CR and (command := text.decode("ascii", "replace").strip()):
                yield self._command(command.upper())

    def _command(self, command: str) -> Answer:
        if command in ("ATE0", "ATE1"):
            self._echo = command == "ATE1"
        elif match := re.fullmatch(r"AT\+CMEE=([012])", command):
            self._codes = match[1] != "0"
        elif match := re.fullmatch(r"AT\+CMGF=([01])", command):
            self._pdu_mode = match[1] == "0"
        elif match := re.fullmatch(r'AT\+CSCS="(\w+)"', command):
            if not self._text_mode.choose(match[1]):
                return self._cme_error(_NOT_SUPPORTED)
        elif match := re.fullmatch(r"AT\+CSMP=([\d,]+)", command):
            if not self._text_mode.parameters(match[1]):
                return self._cms_error(_INVALID_TEXT)
        elif match := re.fullmatch(r"AT\+CMGS=(.+)", command):
            return self._prompt(match[1])
        elif command == "AT+CSCS?":
            return self._reply(f'+CSCS: "{self._text_mode.character_set}"', _OK)
        elif command in _QUERIES:
            return self._reply(_QUERIES[command], _OK)
        elif command not in ("AT", "AT&F", "ATZ"):
            return self._cme_error(_NOT_SUPPORTED)
        return self._reply(_OK)

    def _prompt(self, parameter: str) -> Answer:
        """Answer AT+CMGS; its parameter is the length of a PDU, or the destination of a text and its type."""
        wanted = r"(\d{1,3})" if self._pdu_mode else r'"(\+?\w*)"(?:,\d{1,3})?'
        found = re.fullmatch(wanted, parameter)
        if not found:
            return self._cms_error(_NOT_ALLOWED)
        try:
            self._expected = int(found[1]) if self._pdu_mode else self._text_mode.number(found[1])
        except PduError:
            return self._cms_error(_INVALID_TEXT)
        return Answer(self._noise() + _PROMPT)

    def _message(self, text: bytes, end: bytes) -> Answer | Submitted:
        """Take what was entered at the prompt; ESC cancels the message."""
        expected, self._expected = self._expected, None
        if end == _ESC:
            return self._reply(_OK)
        try:
            typed = text.decode("ascii")
            message = self._text(expected, typed) if isinstance(expected, str) else _pdu(typed, expected)
        except (UnicodeDecodeError, PduError):
            return self._cms_error(_INVALID_PDU if self._pdu_mode else _INVALID_TEXT)
        self._waiting = True
        return Submitted(message)

    def _text(self, number: str, typed: str) -> Submit:
        message = self._text_mode.message(number, typed, self._reference)
        self._reference = (self._reference + 1) % 256
        return message

    def _cme_error(self, code: int) -> Answer:
        return self._reply(f"+CME ERROR: {code}" if self._codes else "ERROR")

    def _cms_error(self, code: int) -> Answer:
        return self._reply(f"+CMS ERROR: {code}" if self._codes else "ERROR")

    def _reply(self, *lines: str) -> Answer:
        return Answer(self._noise() + b"".join(b"\r\n" + line.encode("ascii") + b"\r\n" for line in lines))

    def _noise(self) -> bytes:
        return b'\r\nRING\r\n\r\n+CREG: 1\r\n\r\n+CMTI: "SM",1\r\n' if self._unsolicited else b""


def _pdu(typed: str, octets: int | None) -> Submit:
    try:
        raw = bytes.fromhex(typed)
    except ValueError as error:
        raise PduError(f"{typed!r}: {error}") from None
    message = Submit.decode(raw)
    if len(raw) - 1 - raw[0] != octets:
        raise PduError(f"{typed!r} is not a PDU of {octets} octets")
    return message


_QUERIES = {
    "AT+CPIN?": "+CPIN: READY",
    "AT+CREG?": "+CREG: 0,1",
    "AT+CSQ": "+CSQ: 24,0",
    "AT+CSCS=?": '+CSCS: ("' + '","'.join(CHARACTER_SETS) + '")',
    "AT+CGMI": "meterseal",
}
