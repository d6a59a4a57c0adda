"""When a master may transmit on a bus that it shares with seals, meters and other masters."""

from __future__ import annotations

from meterseal.protocols.dlt645.control import ANSWER_TIMEOUT

__all__ = ["CarrierSense"]


class CarrierSense:
    """Carrier sense without I/O: it takes what was received and states when the line is free.

    A station transmits once the line has been quiet for `quiet` seconds, `gap` seconds after its own last
    exchange (which leaves the seals their turn), and not while an overheard request waits for its answer,
    which is at most `answer` seconds. Times are seconds of a steady clock.

    Guarantees: `test_dlt645_carrier_sense.py`.
    """

    def __init__(self, *, quiet: float = 0.060, gap: float = 0.150, answer: float = ANSWER_TIMEOUT) -> None:
        self._quiet = quiet
        self._gap = gap
        self._answer = answer
        self._received = self._own = self._foreign = float("-inf")

    @property
    def free_at(self) -> float:
        """Return the earliest time to transmit, as far as is known now."""
        return max(self._received, self._own, self._foreign)

    def received(self, now: float) -> None:
        """Note that bytes were received from any station."""
        self._received = now + self._quiet

    def overheard(self, now: float, *, answer: bool) -> None:
        """Note a frame between other stations: a request begins an exchange, an answer ends it."""
        self._foreign = float("-inf") if answer else now + self._answer

    def finished(self, now: float) -> None:
        """Note that the own exchange is over, answered or not."""
        self._own = now + self._gap
