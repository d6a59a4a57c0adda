"""Implements the host's side of a GSM modem's AT dialogue, without I/O: bytes and times in, events out.

It follows 3GPP TS 27.007 (general commands, `+CME ERROR`) and TS 27.005 (`AT+CMGS` in PDU mode,
`+CMS ERROR`).

A message ends in `Sent` or in `Failed`; `Failed` without a code means that it is unknown whether the
network took it, so the caller sends the same PDU again and the network refuses the copy (`pdu`). After
such an end the dialogue starts from its beginning, and a late answer cannot be taken for the next
message's: a modem answers in order, and the answer counts only after that message's own prompt.

Guarantees: `test_gsm_at.py::test_chunks_do_not_matter`, `::test_a_late_answer_is_not_taken_for_the_next`,
`::test_memory_is_bounded`, `::test_any_bytes_are_survived`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from meterseal.octets.hexadecimal import hex_digits

__all__ = [
    "LINE_MAX",
    "AtClient",
    "Discarded",
    "Event",
    "Failed",
    "Ready",
    "Send",
    "Sent",
    "Unready",
    "Unsolicited",
    "printable",
]

#: Longest line that makes sense: the echo of the longest PDU.
LINE_MAX = 1024
_ESC, _CTRL_Z = b"\x1b", b"\x1a"
_FINAL = re.compile(r"OK|ERROR|\+CM[ES] ERROR: ?(.*)")


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes have to be sent to the modem."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The modem is registered with a network and accepts a message."""


@dataclass(frozen=True, slots=True)
class Unready:
    """The modem cannot accept messages now; the dialogue begins again after a pause."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The network took the message; `reference` as the modem reported it."""

    reference: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The message was refused with a `+CMS ERROR` code, or (None) its fate is unknown."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """A line was received that answers no command."""

    line: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """Bytes were discarded that do not make a line."""

    raw: bytes


Event = Send | Ready | Unready | Sent | Failed | Unsolicited | Discarded


class _Phase(Enum):
    #: Not started, or waiting to begin again.
    DOWN = auto()
    #: A command of the beginning awaits its answer.
    BEGIN = auto()
    READY = auto()
    #: A message is under way: PDU mode chosen again, `>` awaited, answer awaited.
    MODE = auto()
    PROMPT = auto()
    ANSWER = auto()


@dataclass(frozen=True, slots=True)
class _Command:
    line: str
    #: Answer line that has to come before OK, if any.
    answer: str = ""
    #: Pattern that the answer has to match.
    wanted: re.Pattern[str] = re.compile("")


_PDU_MODE = _Command("AT+CMGF=0")
_SUBMIT = _Command("AT+CMGS", "+CMGS:", re.compile(r"[0-9]{1,3}(,|$)"))
#: Registered at home (1) or roaming (5).
_BEGINNING = (
    _Command("ATE0"),
    _Command("AT+CMEE=1"),
    _Command("AT+CPIN?", "+CPIN:", re.compile("READY")),
    _PDU_MODE,
    _Command("AT+CREG?", "+CREG:", re.compile(r"\d, ?[15]\b")),
)


class AtClient:
    """The client runs the dialogue with one modem, with one message under way at a time.

    Times in seconds of a steady clock: `timeout` for a command, `send_timeout` for the network to take a
    message, `pause` between two beginnings.
    """

    def __init__(self, *, timeout: float = 5.0, send_timeout: float = 60.0, pause: float = 2.0) -> None:
        self._timeout = timeout
        self._send_timeout = send_timeout
        self._pause = pause
        self._phase = _Phase.DOWN
        self._step = 0
        self._command = _PDU_MODE
        self._answer = ""
        self._pdu = b""
        self._sent = ""
        self._buffer = b""
        #: When `tick` has something to do; None while nothing is awaited.
        self.deadline: float | None = None

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return self._phase is _Phase.READY

    def start(self, now: float) -> list[Event]:
        """Begin the dialogue on a port just opened. ESC ends a prompt that an earlier program left open."""
        self._buffer = b""
        self._step = 0
        return [Send(_ESC + b"\r"), *self._ask(_BEGINNING[0], _Phase.BEGIN, now)]

    def send(self, pdu: bytes, now: float) -> list[Event]:
        """Send one PDU, service centre address included. Only when `ready`."""
        if not self.ready:
            raise RuntimeError("the modem is not ready for a message: wait for Ready, Sent or Failed")
        self._pdu = pdu
        # PDU mode is set each time: a modem that restarted unnoticed is back in text mode.
        return self._ask(_PDU_MODE, _Phase.MODE, now)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Return what the modem's bytes mean."""
        events: list[Event] = []
        self._buffer += data
        while True:
            if self._phase is _Phase.PROMPT and self._buffer.lstrip().startswith(b">"):
                self._buffer = self._buffer.lstrip()[1:]
                events += self._prompted(now)
                continue
            raw, end, rest = _cut(self._buffer)
            if not end:
                break
            self._buffer = rest
            events += self._line(raw, now)
        if len(self._buffer) > LINE_MAX:
            events.append(Discarded(self._buffer))
            self._buffer = b""
        return events

    def tick(self, now: float) -> list[Event]:
        """Return what is due at `now`."""
        if self.deadline is None or now < self.deadline:
            return []
        if self._phase is _Phase.DOWN:
            return self.start(now)
        return self._give_up(f"no answer to {self._sent}", now)

    @property
    def _answered(self) -> bool:
        return self._command.wanted.match(self._answer) is not None

    def _ask(self, command: _Command, phase: _Phase, now: float) -> list[Event]:
        self._command, self._answer = command, ""
        return self._put(command.line, b"\r", phase, now + self._timeout)

    def _put(self, line: str, end: bytes, phase: _Phase, deadline: float) -> list[Event]:
        self._sent, self._phase, self.deadline = line, phase, deadline
        return [Send(line.encode("ascii") + end)]

    def _line(self, raw: bytes, now: float) -> list[Event]:
        try:
            line = raw.strip(b" \t>" + _ESC + _CTRL_Z).decode("ascii")
        except UnicodeDecodeError:
            return [Discarded(raw)]
        # An echo, where ATE0 has not arrived yet or is ignored.
        if not line or line == self._sent:
            return []
        if final := _FINAL.fullmatch(line):
            return self._final(line, final[1], now)
        asked = self._phase in (_Phase.BEGIN, _Phase.ANSWER) and self._command.answer
        if not asked or not line.startswith(asked):
            return [Unsolicited(line)]
        # An unsolicited line may look like the answer (`+CREG: 1`) and come before or after it.
        if not self._answered:
            self._answer = line.removeprefix(asked).strip()
        return []

    def _final(self, line: str, code: str | None, now: float) -> list[Event]:
        if self._phase in (_Phase.DOWN, _Phase.READY):
            return [Unsolicited(line)]
        if line != "OK":
            return self._refused(line, code, now)
        if self._phase is _Phase.BEGIN:
            return self._next(now)
        if self._phase is _Phase.MODE:
            length = len(self._pdu) - 1 - self._pdu[0]
            return self._put(f"AT+CMGS={length}", b"\r", _Phase.PROMPT, now + self._timeout)
        if self._phase is _Phase.ANSWER and self._answered:
            self._phase, self.deadline = _Phase.READY, None
            return [Sent(int(self._answer.partition(",")[0]))]
        # After a prompt, OK without the answer line is ignored: it is late, from an earlier command.
        return [Unsolicited(line)]

    def _next(self, now: float) -> list[Event]:
        """Send the next command of the beginning, if the last one's answer is as required."""
        if self._command.answer and not self._answer:
            return [Unsolicited("OK")]
        if not self._answered:
            return self._give_up(f"{self._command.answer} {self._answer}", now)
        self._step += 1
        if self._step < len(_BEGINNING):
            return self._ask(_BEGINNING[self._step], _Phase.BEGIN, now)
        self._phase, self.deadline = _Phase.READY, None
        return [Ready()]

    def _prompted(self, now: float) -> list[Event]:
        self._command, self._answer = _SUBMIT, ""
        return self._put(hex_digits(self._pdu), _CTRL_Z, _Phase.ANSWER, now + self._send_timeout)

    def _refused(self, line: str, code: str | None, now: float) -> list[Event]:
        if line.startswith("+CMS") and code and code.isdecimal() and self._phase is not _Phase.BEGIN:
            self._phase, self.deadline = _Phase.READY, None
            return [Failed(int(code), line)]
        return self._give_up(f"{line} to {self._sent}", now)

    def _give_up(self, reason: str, now: float) -> list[Event]:
        """Begin again after a pause; a message under way has failed."""
        under_way = self._phase in (_Phase.MODE, _Phase.PROMPT, _Phase.ANSWER)
        self._phase, self.deadline = _Phase.DOWN, now + self._pause
        events: list[Event] = [Failed(None, reason)] if under_way else []
        return [*events, Unready(reason)]


def _cut(buffer: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the first line, its end and the rest."""
    match = re.search(rb"[\r\n]+", buffer)
    return (buffer[: match.start()], match[0], buffer[match.end() :]) if match else (buffer, b"", b"")


def printable(raw: bytes) -> str:
    """Return bytes of the dialogue on one line, for a trace, with control characters spelled out."""
    return repr(raw)[2:-1]
