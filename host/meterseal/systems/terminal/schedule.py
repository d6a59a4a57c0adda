"""The schedule decides which meter is polled next; its times are seconds of a monotonic clock.

A meter that does not answer is polled less and less often, so that it does not slow its neighbours.
Guarantees: `test_terminal_schedule.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LOST_AFTER", "Schedule"]

#: Polls in a row without an answer until a meter counts as lost.
LOST_AFTER = 3


@dataclass(slots=True)
class _Turn:
    due: float
    silent: int = 0
    answered: bool = False


class Schedule:
    """Each meter is polled every `period` seconds, a lost one at intervals that double up to `longest`."""

    def __init__(self, meters: Iterable[str], *, period: float, longest: float = 60.0) -> None:
        self._period = period
        self._longest = max(longest, period)
        self._turns = {meter: _Turn(float("-inf")) for meter in meters}

    @property
    def next_at(self) -> float:
        """Return when the next poll is due."""
        return min(turn.due for turn in self._turns.values())

    def due(self, now: float) -> str | None:
        """Return the meter that has waited longest for its poll; None when none is due."""
        meter = min(self._turns, key=lambda meter: self._turns[meter].due)
        return meter if self._turns[meter].due <= now else None

    def answered(self, meter: str, now: float, *, more: bool = False) -> bool:
        """Note that the poll succeeded; with `more` the meter's next turn is due at once.

        Returns True when the meter is back: it had been lost, or this is its first answer.
        """
        turn = self._turns[meter]
        back = turn.silent >= LOST_AFTER or not turn.answered
        turn.silent, turn.answered = 0, True
        turn.due = now if more else now + self._period
        return back

    def silent(self, meter: str, now: float) -> bool:
        """Note that the poll got no answer; return True when that makes the meter lost."""
        turn = self._turns[meter]
        turn.silent += 1
        doublings = min(max(turn.silent - LOST_AFTER, 0), 16)
        turn.due = now + min(self._period * 2**doublings, self._longest)
        return turn.silent == LOST_AFTER
