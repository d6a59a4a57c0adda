"""A GSM module that misbehaves, written from 3GPP TS 27.005 and 27.007, not from chip or host.

It takes and gives characters. After power-up it echoes, is in PDU mode, has the character set IRA and data
coding 0, as the standards specify; a brown-out restores these settings. A list of `Manner` determines what it
does with each command; after the end of the list it behaves well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = ["Manner", "Module", "Received"]

CR, ESC, SUBSTITUTE = 0x0D, 0x1B, 0x1A
#: Unsolicited lines, some of which resemble answers.
UNASKED = ("RING", '+CMTI: "SM",1', "+CREG: 1", '+CREG: 5,"00C3","7D42"', "Call Ready", "+CPIN: READY", "RDY")
GARBAGE = bytes([0x00, 0xFF, 0x4F, 0x80, 0x2B])


class Manner(Enum):
    """How the module treats one command, or one text after the prompt."""

    WELL = auto()
    #: Refused in one of three forms.
    ERROR = auto()
    CME_ERROR = auto()
    CMS_ERROR = auto()
    #: Carried out without an answer.
    SILENT = auto()
    #: A text is accepted, but answered much later; a command is carried out at once.
    SLOW = auto()
    #: Ignored.
    DEAF = auto()
    #: Carried out, with unsolicited lines before and after the answer.
    CHATTER = auto()
    #: Carried out, with garbage before the answer.
    GARBAGE = auto()
    #: The module restarts instead.
    BROWN_OUT = auto()
    #: The module restarts in the middle of the answer.
    BROWN_OUT_LATER = auto()


@dataclass(frozen=True)
class Received:
    """A message as the phone shows it."""

    number: str
    text: str


@dataclass
class Module:
    """A module; `output` has the characters to send now, `late` those to send after a time.

    It finds no network for the first `unregistered` queries.
    """

    manners: list[Manner] = field(default_factory=list)
    unregistered: int = 0
    echoes_always: bool = False
    output: bytearray = field(default_factory=bytearray)
    late: bytearray = field(default_factory=bytearray)
    messages: list[Received] = field(default_factory=list)
    #: All received commands and texts, for the diagnosis of a failed test.
    received: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def receive(self, byte: int) -> None:
        """Take one character from the host."""
        if self.echo or self.echoes_always:
            self.output.append(byte)
        if self.number is not None:
            self._text(byte)
        elif byte in (CR, ESC):
            line, self.line = bytes(self.line).decode("latin-1"), bytearray()
            if byte == CR and line:
                self.received.append(line)
                self._do(self._next_manner(), line)
        else:
            self.line.append(byte)

    def restart(self) -> None:
        """Return to the state after power-up."""
        self.echo, self.text_mode, self.ucs2, self.coding = True, False, False, 0
        self.line, self.number = bytearray(), None

    def _next_manner(self) -> Manner:
        return self.manners.pop(0) if self.manners else Manner.WELL

    def _answer(self, *lines: str) -> None:
        for line in lines:
            self.output += f"\r\n{line}\r\n".encode()

    def _do(self, manner: Manner, line: str) -> None:
        """Carry out a command in the given `manner`."""
        errors = {
            Manner.ERROR: "ERROR",
            Manner.CME_ERROR: "+CME ERROR: 10",
            Manner.CMS_ERROR: "+CMS ERROR: 500",
        }
        if manner in errors:
            self._answer(errors[manner])
        elif manner is Manner.BROWN_OUT:
            self._brown_out()
        elif manner is not Manner.DEAF:
            before = len(self.output)
            if manner is Manner.CHATTER:
                self._answer(*UNASKED)
            if manner is Manner.GARBAGE:
                self.output += GARBAGE
            self._command(line)
            if manner is Manner.CHATTER and self.number is None:
                self._answer(*UNASKED)
            if manner is Manner.SILENT:
                del self.output[before:]
            if manner is Manner.BROWN_OUT_LATER:
                del self.output[(before + len(self.output)) // 2 :]
                self._brown_out()

    def _brown_out(self) -> None:
        self.restart()
        self.output += GARBAGE
        self._answer("RDY")

    def _command(self, line: str) -> None:
        if line in ("ATE0", "ATE1"):
            self.echo = line == "ATE1"
        elif line in ("AT+CMGF=0", "AT+CMGF=1"):
            self.text_mode = line.endswith("1")
        elif line == 'AT+CSCS="UCS2"':
            # A strict module expects the name in the present character set.
            if self.ucs2:
                return self._answer("ERROR")
            self.ucs2 = True
        elif found := re.fullmatch(r"AT\+CSMP=17,167,0,(\d+)", line):
            self.coding = int(found[1])
        elif line == "AT+CREG?":
            self.unregistered -= 1
            self._answer(f"+CREG: 0,{2 if self.unregistered >= 0 else 1}")
        elif found := re.fullmatch(r'AT\+CMGS="([0-9A-F]*)"', line):
            number = self._string(found[1])
            if not self.text_mode or not re.fullmatch(r"\+?[0-9]{1,20}", number):
                return self._answer("+CMS ERROR: 302")
            self.number, self.line = number, bytearray()
            self.output += b"\r\n> "
            return None
        elif line != "AT":
            return self._answer("ERROR")
        return self._answer("OK")

    def _string(self, raw: str) -> str:
        """Decode a string parameter from the present character set."""
        return bytes.fromhex(raw).decode("utf-16-be") if self.ucs2 else raw

    def _text(self, byte: int) -> None:
        if byte == ESC:
            self.number = None
            self._answer("OK")
        elif byte == SUBSTITUTE:
            self._submit(self._next_manner())
        else:
            self.line.append(byte)

    def _submit(self, manner: Manner) -> None:
        text, number = bytes(self.line).decode("latin-1"), self.number
        self.line, self.number = bytearray(), None
        self.received.append(text)
        if manner in (Manner.DEAF, Manner.ERROR, Manner.CME_ERROR, Manner.CMS_ERROR):
            return self._do(manner, "")
        if manner is Manner.BROWN_OUT:
            return self._brown_out()
        # The text is in hex digits only with data coding 8.
        text = bytes.fromhex(text).decode("utf-16-be") if self.coding == 8 else text
        self.messages.append(Received(number, text))
        if manner is Manner.SILENT:
            return None
        if manner is Manner.CHATTER:
            self._answer(*UNASKED)
        self._answer(f"+CMGS: {len(self.messages)}")
        if manner is Manner.SLOW:
            self.output, self.late = bytearray(), self.output
        if manner is Manner.BROWN_OUT_LATER:
            return self._brown_out()
        return self._answer("OK")
