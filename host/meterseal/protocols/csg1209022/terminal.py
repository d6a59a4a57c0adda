"""Implements the terminal's side of one uplink connection, without I/O.

Login, heartbeat and every message that requests a confirmation are sent one at a time; each is repeated
after `timeout` seconds, `tries` times in all. A message that was not confirmed, or that was still waiting
when the connection ended, is returned as `Unconfirmed`: the caller keeps it and sends it again later.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from meterseal.protocols.csg1209022.codes import Afn, Ask, UplinkDi
from meterseal.protocols.csg1209022.decoder import Discarded, Received, TimedDecoder
from meterseal.protocols.csg1209022.frame import (
    DIR_UP,
    NO,
    PRM,
    TERMINAL_ITSELF,
    YES,
    Frame,
    TerminalAddress,
    single,
)
from meterseal.protocols.csg1209022.timing import ANSWER_TIME, HEARTBEAT

__all__ = [
    "Confirmed",
    "Denied",
    "Event",
    "Ignored",
    "LoggedIn",
    "Lost",
    "Requested",
    "Send",
    "TerminalLink",
    "Unconfirmed",
]

#: Version in the login, BCD, low byte first: 01.00.
PROTOCOL_VERSION = b"\x00\x01"
#: Messages that may wait after the outstanding one.
WINDOW = 16


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes have to be sent."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The master station has confirmed the login; messages are sent from now on."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The master station has confirmed that it stored the message `key`."""

    key: object


@dataclass(frozen=True, slots=True)
class Denied:
    """The master station has refused the message `key`; sending it again will not help."""

    key: object


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The message `key` was not confirmed on this connection and has to be kept."""

    key: object


@dataclass(frozen=True, slots=True)
class Requested:
    """The master station has sent a request; `TerminalLink.answer` makes the reply."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid frame was ignored, which is for another terminal or answers nothing that was sent."""

    frame: Frame
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is no longer usable: close it, connect again, call `connected`."""

    reason: str


Event = Send | LoggedIn | Confirmed | Denied | Unconfirmed | Requested | Ignored | Lost | Discarded


@dataclass(slots=True)
class _Outstanding:
    frame: Frame
    key: object
    due: float
    left: int


#: Keys of the link's own messages; no caller can hold them.
_LOGIN = object()
_HEARTBEAT = object()


class TerminalLink:
    """One terminal's link: it takes bytes and times, and returns what has to be sent and what happened.

    When a frame sent `tries` times stays without a confirmation the connection is given up (`Lost`): on a
    fresh connection a late confirmation can no longer be mistaken for another message's.

    Guarantees: `test_uplink_link.py::test_everything_is_confirmed_once_or_unconfirmed`,
    `test_late_confirmation_confirms_nothing_else`, `test_three_tries_then_unconfirmed`.
    """

    def __init__(
        self,
        address: TerminalAddress,
        *,
        heartbeat: float = HEARTBEAT,
        timeout: float = ANSWER_TIME,
        tries: int = 3,
    ) -> None:
        self.address = address
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._tries = tries
        self._number = 0
        self._open = False
        self._reset()

    def _reset(self) -> None:
        self.online = False
        self._decoder = TimedDecoder()
        self._outstanding: _Outstanding | None = None
        self._waiting: deque[tuple[Frame, object]] = deque()
        self._next_heartbeat: float | None = None

    @property
    def ready(self) -> bool:
        """Whether the terminal is logged in with nothing outstanding, so that a message is sent at once."""
        return self.online and self._outstanding is None

    @property
    def deadline(self) -> float | None:
        """Return when `tick` must be called next."""
        own = self._outstanding.due if self._outstanding else self._next_heartbeat
        return min((time for time in (own, self._decoder.deadline) if time is not None), default=None)

    def connected(self, now: float) -> list[Event]:
        """Log in on a new connection."""
        self._reset()
        self._open = True
        login = self._frame(Afn.LINK, TERMINAL_ITSELF, UplinkDi.LOGIN, PROTOCOL_VERSION)
        return self._start(login, _LOGIN, now)

    def disconnected(self) -> list[Event]:
        """End the connection: return everything unconfirmed, and what the last bytes held."""
        keys = [self._outstanding.key] if self._outstanding else []
        keys += [key for _, key in self._waiting]
        rest = self._decoder.flush()
        self._open = False
        self._reset()
        return [
            *(Unconfirmed(key) for key in keys if key not in (_LOGIN, _HEARTBEAT)),
            *(
                Ignored(item.frame, "the connection has ended") if isinstance(item, Received) else item
                for item in rest
            ),
        ]

    def send(self, afn: int, da: bytes, di: int, content: bytes, key: object, now: float) -> list[Event]:
        """Send a message that requests a confirmation, or queue it after those before it.

        Without a connection, or with `WINDOW` messages waiting, it is `Unconfirmed` at once.
        """
        if not self._open or len(self._waiting) >= WINDOW:
            return [Unconfirmed(key)]
        self._waiting.append((self._frame(afn, da, di, content), key))
        return self._proceed(now)

    def logout(self) -> list[Event]:
        """Log out, without waiting for a confirmation."""
        if not self.online:
            return []
        self.online = False
        logout = self._frame(Afn.LINK, TERMINAL_ITSELF, UplinkDi.LOGOUT, b"")
        return [Send(replace(logout, seq=single(self._number)).encode())]

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the connection."""
        return self._handle(self._decoder.feed(data, now), now)

    def tick(self, now: float) -> list[Event]:
        """Do what is due: repeat, give up, send a heartbeat, give up a partial frame."""
        events = self._handle(self._decoder.tick(now), now)
        if self._outstanding and now >= self._outstanding.due:
            events += self._repeat(self._outstanding, now)
        return events + self._proceed(now)

    def answer(self, request: Frame, content: bytes) -> bytes:
        """Return the answer to a request: its DA and DI, then `content`."""
        return request.answer(content).encode()

    def confirm(self, request: Frame, *, ok: bool) -> bytes:
        """Return AFN 00 to a request that has no other answer; `ok=False` denies it."""
        return request.confirmation(ok=ok).encode()

    def _frame(self, afn: int, da: bytes, di: int, content: bytes) -> Frame:
        function = Ask.LINK_TEST if afn == Afn.LINK else Ask.USER_DATA
        return Frame.of(DIR_UP | PRM | function, self.address, afn, 0, da, di, content, con=True)

    def _start(self, message: Frame, key: object, now: float) -> list[Event]:
        frame = replace(message, seq=single(self._number, con=True))
        self._number = (self._number + 1) % 16
        self._outstanding = _Outstanding(frame, key, now + self._timeout, self._tries - 1)
        return [Send(frame.encode())]

    def _proceed(self, now: float) -> list[Event]:
        if not self.ready:
            return []
        if self._next_heartbeat is not None and now >= self._next_heartbeat:
            self._next_heartbeat = now + self._heartbeat
            heartbeat = self._frame(Afn.LINK, TERMINAL_ITSELF, UplinkDi.HEARTBEAT, b"")
            return self._start(heartbeat, _HEARTBEAT, now)
        if self._waiting:
            return self._start(*self._waiting.popleft(), now)
        return []

    def _repeat(self, outstanding: _Outstanding, now: float) -> list[Event]:
        if outstanding.left:
            outstanding.left -= 1
            outstanding.due = now + self._timeout
            return [Send(outstanding.frame.encode())]
        frame = outstanding.frame
        reason = f"AFN {frame.afn:02X} DI {frame.di:08X} was sent {self._tries} times and not confirmed"
        return [*self.disconnected(), Lost(reason)]

    def _handle(self, decoded: list[Received | Discarded], now: float) -> list[Event]:
        events: list[Event] = []
        for item in decoded:
            events += [item] if isinstance(item, Discarded) else self._take(item.frame, now)
        return events

    def _take(self, frame: Frame, now: float) -> list[Event]:
        if frame.dir_up:
            return [Ignored(frame, "it comes from a terminal")]
        if not (frame.address.broadcast or frame.address.same_terminal(self.address)):
            return [Ignored(frame, f"it is for {frame.address}, this is {self.address}")]
        if frame.prm:
            return [Requested(frame)]
        outstanding = self._outstanding
        if frame.di != UplinkDi.CONFIRM or not outstanding or frame.number != outstanding.frame.number:
            return [Ignored(frame, "it answers nothing that is outstanding")]
        if frame.content not in (YES, NO):
            return [Ignored(frame, "it says neither yes (00) nor no (01)")]
        self._outstanding = None
        return self._confirmed(outstanding.key, frame.content == YES, now) + self._proceed(now)

    def _confirmed(self, key: object, ok: bool, now: float) -> list[Event]:
        if key not in (_LOGIN, _HEARTBEAT):
            return [Confirmed(key) if ok else Denied(key)]
        if not ok:
            what = "login" if key is _LOGIN else "heartbeat"
            return [*self.disconnected(), Lost(f"the master station denied the {what}")]
        if key is _HEARTBEAT:
            return []
        self.online = True
        self._next_heartbeat = now + self._heartbeat
        return [LoggedIn()]
