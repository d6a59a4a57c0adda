"""Implements the master station's side of one terminal's connection, without I/O."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.protocols.csg1209022.codes import Afn, Ask, UplinkDi
from meterseal.protocols.csg1209022.decoder import Discarded, Received, TimedDecoder
from meterseal.protocols.csg1209022.frame import PRM, Frame, TerminalAddress
from meterseal.protocols.csg1209022.timing import ANSWER_TIME

__all__ = [
    "Answered",
    "Event",
    "Heartbeat",
    "Ignored",
    "LoggedIn",
    "LoggedOut",
    "Reported",
    "Send",
    "SessionError",
    "StationSession",
    "TimedOut",
]

NUMBERS = 16


class SessionError(RuntimeError):
    """The session cannot take this request now; the message states why."""


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes have to be sent."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The terminal has logged in with this address; its confirmation is in the `Send` that follows."""

    address: TerminalAddress


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The terminal has sent a heartbeat."""

    address: TerminalAddress


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The terminal has logged out."""

    address: TerminalAddress


@dataclass(frozen=True, slots=True)
class Reported:
    """The terminal has reported `frame`; call `StationSession.confirm` once it is stored durably.

    The terminal repeats an unconfirmed report, so the same one may arrive several times.
    """

    frame: Frame


@dataclass(frozen=True, slots=True)
class Answered:
    """Request `key` was answered; AFN 00 in `frame` means that the terminal denied (or confirmed) it."""

    key: object
    frame: Frame


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Request `key` was not answered in time, or the connection ended before."""

    key: object


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid frame was ignored, which answers nothing or which no terminal sends."""

    frame: Frame
    reason: str


Event = Send | LoggedIn | Heartbeat | LoggedOut | Reported | Answered | TimedOut | Ignored | Discarded


@dataclass(frozen=True, slots=True)
class _Asked:
    frame: Frame
    key: object
    due: float


class StationSession:
    """One connection of one terminal; login and heartbeat are confirmed at once, reports by `confirm`.

    Up to 16 requests may be open, distinguished by their sequence number; an answer must also match in AFN,
    DA and DI. `address` is None until the terminal has logged in.

    Guarantees: `test_uplink_link.py::test_answers_find_their_requests`,
    `test_everything_is_confirmed_once_or_unconfirmed`.
    """

    def __init__(self, *, timeout: float = ANSWER_TIME, station: int = 1) -> None:
        self.address: TerminalAddress | None = None
        self._timeout = timeout
        self._station = station
        self._decoder = TimedDecoder()
        self._asked: dict[int, _Asked] = {}
        self._number = 0

    @property
    def deadline(self) -> float | None:
        """Return when `tick` must be called next."""
        times = [asked.due for asked in self._asked.values()]
        if self._decoder.deadline is not None:
            times.append(self._decoder.deadline)
        return min(times, default=None)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the connection."""
        return self._handle(self._decoder.feed(data, now))

    def tick(self, now: float) -> list[Event]:
        """Give up overdue requests and the rest of a partial frame."""
        events = self._handle(self._decoder.tick(now))
        overdue = [number for number, asked in self._asked.items() if now >= asked.due]
        return events + [TimedOut(self._asked.pop(number).key) for number in overdue]

    def disconnected(self) -> list[Event]:
        """End the connection: return what its last bytes held, then every open request as `TimedOut`."""
        events = self._handle(self._decoder.flush())
        events += [TimedOut(asked.key) for asked in self._asked.values()]
        self._asked.clear()
        return events

    def request(self, afn: int, da: bytes, di: int, content: bytes, key: object, now: float) -> bytes:
        """Return a request to the terminal, which ends in `Answered(key)` or `TimedOut(key)`."""
        if self.address is None:
            raise SessionError("the terminal has not logged in yet")
        number = next((n for n in self._numbers() if n not in self._asked), None)
        if number is None:
            raise SessionError(f"{self.address}: {NUMBERS} requests are open; wait for an answer")
        address = TerminalAddress(self.address.region, self.address.number, self._station)
        function = Ask.CLASS_1 if afn == Afn.WRITE else Ask.CLASS_2
        frame = Frame.of(PRM | function, address, afn, number, da, di, content)
        self._asked[number] = _Asked(frame, key, now + self._timeout)
        self._number = (number + 1) % NUMBERS
        return frame.encode()

    def confirm(self, frame: Frame, ok: bool = True) -> bytes:
        """Return the confirmation of a report; after `ok=False` the terminal does not send it again."""
        return frame.confirmation(ok=ok).encode()

    def _numbers(self) -> list[int]:
        return [(self._number + i) % NUMBERS for i in range(NUMBERS)]

    def _handle(self, decoded: list[Received | Discarded]) -> list[Event]:
        events: list[Event] = []
        for item in decoded:
            events += [item] if isinstance(item, Discarded) else self._take(item.frame)
        return events

    def _take(self, frame: Frame) -> list[Event]:
        if not frame.dir_up:
            return [Ignored(frame, "it comes from a master station")]
        if frame.prm:
            return self._link(frame) if frame.afn == Afn.LINK else [Reported(frame)]
        asked = self._asked.get(frame.number)
        if asked is None or not _answers(frame, asked.frame):
            return [Ignored(frame, "it answers no open request")]
        del self._asked[frame.number]
        return [Answered(asked.key, frame)]

    def _link(self, frame: Frame) -> list[Event]:
        event: Event
        if frame.di == UplinkDi.LOGIN:
            self.address = frame.address
            event = LoggedIn(frame.address)
        elif frame.di == UplinkDi.HEARTBEAT:
            event = Heartbeat(frame.address)
        elif frame.di == UplinkDi.LOGOUT:
            event = LoggedOut(frame.address)
        else:
            return [
                Ignored(frame, "AFN 02 knows login, heartbeat and logout only"),
                *self._reply(frame, False),
            ]
        return [event, *self._reply(frame, True)]

    def _reply(self, frame: Frame, ok: bool) -> list[Event]:
        return [Send(self.confirm(frame, ok))] if frame.con else []


def _answers(frame: Frame, request: Frame) -> bool:
    if not frame.address.same_terminal(request.address):
        return False
    same = frame.afn == request.afn and frame.da == request.da and frame.di == request.di
    return same or frame.afn == Afn.CONFIRM
