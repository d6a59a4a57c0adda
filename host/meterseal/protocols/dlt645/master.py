"""The master side, sans-IO, runs one exchange at a time.

The protocol has no sequence number. An answer is taken for the outstanding request only when address,
function and DI (for a follow-up frame SEQ too) fit; every other frame is reported as `Overheard`. The
acknowledgement of a write carries no DI, so a late one would fit the next write. After an exchange with more
requests than answers the line is therefore given the time for late answers, until `ready_at`. An answer
that is complete within twice the timeout is never taken for another request's. Other slaves need not wait.

Guarantees: `test_dlt645_master.py`; with lost, damaged and late frames `test_dlt645_exchange.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meterseal.octets import bcd
from meterseal.protocols.dlt645.addressing import BROADCAST, matches
from meterseal.protocols.dlt645.control import ANSWER_TIMEOUT, SEQ_MAX, Err, Function
from meterseal.protocols.dlt645.decoder import Decoder, Discarded, Received
from meterseal.protocols.dlt645.frame import LONGEST, Frame
from meterseal.protocols.dlt645.requests import read_more
from sealchip.interface import DEFAULT_BAUD, Di

__all__ = ["Answered", "Event", "Master", "Overheard", "Refused", "Send", "TimedOut"]

#: Bits of a character on the line: start, 8 data, even parity, stop.
_CHARACTER = 11


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes have to be sent now: a repeated request, or one for a follow-up frame."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The exchange succeeded. `frame` is the last answer; `content` is the joined data after the DI.

    Data is missing only when `frame.more` is set: the slave has more than 255 follow-up frames.
    """

    request: Frame
    frame: Frame
    content: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The slave refused the request."""

    request: Frame
    err: Err


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No try was answered."""

    request: Frame


@dataclass(frozen=True, slots=True)
class Overheard:
    """A good frame was received that does not answer the outstanding request."""

    frame: Frame


Event = Send | Answered | Refused | TimedOut | Overheard | Discarded


@dataclass(slots=True)
class _Exchange:
    """Holds the outstanding request, and the frame last sent for it (itself or one for a follow-up)."""

    request: Frame
    asking: Frame
    tries: int = 0
    unanswered: bool = False
    seq: int = 0
    parts: list[bytes] = field(default_factory=list)

    def is_answered_by(self, frame: Frame) -> bool:
        """Return whether `frame` answers the frame sent last."""
        if not frame.from_slave or frame.function != self.asking.function:
            return False
        if not _from(self.asking, frame):
            return False
        if frame.refused:
            return len(frame.data) == 1
        if frame.function == Function.READ_MORE:
            return frame.di == self.asking.di and frame.content[-1:] == bytes([self.seq])
        if frame.function == Function.READ_ADDRESS:
            return len(frame.data) == 6
        return frame.di == self.asking.di or frame.function not in (Function.READ, Function.SECURITY)


def _from(request: Frame, frame: Frame) -> bool:
    """Return whether `frame` comes from the slave addressed, possibly already under its new address."""
    if request.function == Function.WRITE_ADDRESS and frame.address == bcd.address(request.data):
        return True
    # The project's own item for a seal's address follows DI, password and operator code.
    provisions = request.function == Function.WRITE and request.di == Di.PROVISIONING
    if provisions and frame.address == bcd.address(request.data[12:]):
        return True
    return matches(request.address, frame.address)


class Master:
    """Runs the exchanges of the master of one line at `baud` bit/s.

    A try ends `timeout` seconds after the request has left the line, unless an answer has begun by then:
    that may take as long as the longest frame. `tries` counts the first one. Times are seconds of a steady
    clock; call `tick` at `deadline`.
    """

    def __init__(self, *, baud: int = DEFAULT_BAUD, timeout: float = ANSWER_TIMEOUT, tries: int = 3) -> None:
        self._byte_time = _CHARACTER / baud
        self._timeout = timeout
        self._tries = tries
        self._decoder = Decoder()
        #: What was on the line before the last `start`, to be reported with the next events.
        self._before: list[Event] = []
        self._exchange: _Exchange | None = None
        self._due = 0.0
        #: Slaves that may still answer a request that is over, and until when.
        self._late: dict[str, float] = {}

    @property
    def busy(self) -> bool:
        """Whether an exchange is outstanding."""
        return self._exchange is not None

    @property
    def deadline(self) -> float | None:
        """Return when `tick` must be called next; None while nothing is awaited."""
        partial = self._decoder.deadline
        if self._exchange is None:
            return partial
        if partial is None:
            return self._due
        return min(partial, self._latest)

    @property
    def _latest(self) -> float:
        """Return when even an answer that has begun is given up."""
        return self._due + LONGEST * self._byte_time

    def ready_at(self, address: str) -> float:
        """Return the earliest time for `start` to `address`; long ago when no late answer is expected."""
        late = (at for slave, at in self._late.items() if matches(slave, address) or matches(address, slave))
        return max(late, default=float("-inf"))

    def start(self, request: Frame, now: float) -> bytes:
        """Begin an exchange and return the bytes to send.

        A broadcast has no answer and is over at once. Bytes received before are never an answer, not even a
        frame that is found only later, after the remains of a damaged one. `RuntimeError` while an exchange
        is outstanding or before `ready_at`.
        """
        if self._exchange is not None:
            raise RuntimeError(f"{self._exchange.request} is outstanding")
        if now < self.ready_at(request.address):
            raise RuntimeError(f"{request.address} may still answer late: wait until ready_at")
        self._late = {slave: at for slave, at in self._late.items() if at > now}
        self._before = self._take(self._decoder.flush(), now)
        raw = request.encode()
        if request.address != BROADCAST and request.function != Function.BROADCAST_TIME:
            self._exchange = _Exchange(request, request)
            self._sent(raw, now)
        return raw

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Return what the bytes read at `now` mean."""
        return self._take(self._decoder.feed(data, now), now)

    def tick(self, now: float) -> list[Event]:
        """Return what is due at `now`: bytes given up, a repeated request, the end of the exchange."""
        events = self._take(self._decoder.idle(now), now)
        if self._exchange is not None and now >= (self._latest if self._decoder.busy else self._due):
            events.append(self._expire(self._exchange, now))
        return events

    def _sent(self, raw: bytes, now: float) -> None:
        self._due = now + len(raw) * self._byte_time + self._timeout

    def _take(self, decoded: list[Received | Discarded], now: float) -> list[Event]:
        events, self._before = self._before, []
        for item in decoded:
            if isinstance(item, Discarded):
                events.append(item)
            elif self._exchange is not None and self._exchange.is_answered_by(item.frame):
                events.append(self._advance(self._exchange, item.frame, now))
            else:
                events.append(Overheard(item.frame))
        return events

    def _advance(self, exchange: _Exchange, frame: Frame, now: float) -> Event:
        """Take an answer; it ends the exchange, or the next follow-up frame is requested."""
        if frame.refused:
            self._finish(exchange)
            return Refused(exchange.request, Err(frame.data[0]))
        content = frame.content[:-1] if frame.function == Function.READ_MORE else frame.content
        exchange.parts.append(content)
        if frame.more and frame.di is not None and exchange.seq < SEQ_MAX:
            exchange.seq += 1
            exchange.tries = 0
            exchange.asking = read_more(frame.address, frame.di, exchange.seq)
            raw = exchange.asking.encode()
            self._sent(raw, now)
            return Send(raw)
        self._finish(exchange)
        return Answered(exchange.request, frame, b"".join(exchange.parts))

    def _finish(self, exchange: _Exchange) -> None:
        """End the exchange; after more requests than answers, late answers may arrive."""
        self._exchange = None
        if exchange.unanswered:
            self._late[exchange.asking.address] = self._due + self._timeout

    def _expire(self, exchange: _Exchange, now: float) -> Event:
        """Begin the next try, or end the exchange after the last one."""
        exchange.tries += 1
        exchange.unanswered = True
        if exchange.tries < self._tries:
            raw = exchange.asking.encode()
            self._sent(raw, now)
            return Send(raw)
        self._finish(exchange)
        return TimedOut(exchange.request)
