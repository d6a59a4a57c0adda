"""Work out what a seal must have reported from what was done to it, and from nothing else.

The model knows positions of the seal head, times of power, and the chip's promises: a class that holds for
the debounce time is one event, six changes within 10 s are *flapping*, what was written before the power
went is never lost. It knows no register and no clock cycle. Where a promise leaves time (a position held for
nearly the debounce time, a write that the power cut may have stopped) every outcome is allowed; each allowed
outcome is followed, and the records must be one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from meterseal.domain.record import Flags, Kind, StateClass

__all__ = ["PowerUp", "Promise", "Report", "explain", "explains"]

#: Changes, and seconds within which so many always are, and may be, *flapping*.
FLAPPING_CHANGES, FLAPPING_ALWAYS, FLAPPING_MAY = 6, 10.0, 15.0
#: Seconds without a change after which it ends at the earliest and at the latest.
STILL_MIN, STILL_MAX = 9.9, 11.1
#: Seconds by which the time of a report may be off: ages are whole seconds, a record waits for
#: the bus for up to a second, and then it is sent.
AGE_ERROR = 2.6


@dataclass(frozen=True, slots=True)
class Promise:
    """Times of a front end in seconds.

    A position is never taken over before `hold_min` and always after `hold_max`; `start` is the latest
    beginning of sensing after a power-up; `write` the latest end of a write after a change was taken over.
    `measures`: it distinguishes a jumper and a bad contact from a sealed loop that it has learned. A foreign
    voltage in the place of a sealed loop's is found within `foreign`, at the end of an off phase; once it is
    gone, the loop counts as it is after at most `clean`, four of them.
    """

    hold_min: float
    hold_max: float
    start: float = 0.75
    write: float = 0.25
    measures: bool = False
    foreign: float = 0.30
    clean: float = 1.15

    def latest(self, state: StateClass) -> float:
        """Return the seconds after which a position is always taken over, if nothing else delays it."""
        return self.hold_max + (self.foreign if state is StateClass.MISMATCH else 0.0)


@dataclass(frozen=True, slots=True)
class Report:
    """Holds a record as the meter first got it; `at` is the reported time of the event, None if unknown."""

    boot: int
    counter: int
    kind: Kind
    state: StateClass
    flags: Flags
    at: float | None


@dataclass(slots=True)
class PowerUp:
    """What was done to a seal from power-up to power cut: positions in order, each with its beginning."""

    start: float
    positions: list[tuple[float, StateClass]] = field(default_factory=list)
    end: float | None = None

    def runs(self, now: float) -> Iterator[tuple[StateClass, float, float]]:
        """Yield class, begin and end of each position."""
        last = now if self.end is None else self.end
        ends = [begin for begin, _ in self.positions[1:]] + [last]
        for (begin, state), end in zip(self.positions, ends, strict=True):
            yield state, begin, end


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One possible course of events: the filtered class, the changes that count, the records explained."""

    state: StateClass = StateClass.UNKNOWN
    #: Earliest and latest time of each change.
    changes: tuple[tuple[float, float], ...] = ()
    flapping: bool = False
    explained: int = 0
    lost: bool = False


class _Follower:
    """Follows all outcomes of one power-up against its records."""

    def __init__(self, promise: Promise, records: Sequence[Report], cut: float | None) -> None:
        self._promise, self._records, self._cut = promise, records, cut

    def change(self, before: _Outcome, state: StateClass, at: float, latest: float) -> Iterator[_Outcome]:
        """Yield the outcomes if a class is taken over between `at` and `latest`."""
        for outcome in self.wait(before, at):
            if outcome.state == state:
                yield outcome
            elif outcome.state is StateClass.UNKNOWN:
                yield from self._report(replace(outcome, state=state), Kind.BOOT, at, latest)
            else:
                yield from self._alternate(replace(outcome, state=state), at, latest)

    def wait(self, outcome: _Outcome, now: float) -> Iterator[_Outcome]:
        """Yield the outcomes if nothing changes until `now`: flapping may end."""
        last, latest = outcome.changes[-1] if outcome.changes else (now, now)
        if not outcome.flapping or now - latest < STILL_MAX:
            yield outcome
        if outcome.flapping and now - last > STILL_MIN:
            settled = replace(outcome, flapping=False, changes=())
            yield from self._report(settled, _kind(outcome.state), last + STILL_MIN, latest + STILL_MAX)

    def _alternate(self, outcome: _Outcome, at: float, latest: float) -> Iterator[_Outcome]:
        changes = (*outcome.changes, (at, latest))[-FLAPPING_CHANGES:]
        changed = replace(outcome, changes=changes)
        if outcome.flapping:
            yield changed
            return
        counted = len(changes) == FLAPPING_CHANGES
        if counted and at - changes[0][1] < FLAPPING_MAY:
            yield from self._report(replace(changed, flapping=True), Kind.FLAPPING, at, latest)
        if not counted or latest - changes[0][0] > FLAPPING_ALWAYS - 0.1:
            yield from self._report(changed, _kind(outcome.state), at, latest)

    def _report(self, outcome: _Outcome, kind: Kind, at: float, latest: float) -> Iterator[_Outcome]:
        """Yield the outcomes of an event: it is the next record, or the power failed before its write."""
        if self._cut is not None and latest + self._promise.write > self._cut:
            yield replace(outcome, lost=True)
        if outcome.lost or outcome.explained == len(self._records):
            return
        record = self._records[outcome.explained]
        in_time = record.at is None or at - AGE_ERROR <= record.at <= latest + AGE_ERROR
        if (record.kind, record.state) == (kind, outcome.state) and in_time:
            yield replace(outcome, explained=outcome.explained + 1)


def _kind(state: StateClass) -> Kind:
    return Kind.CLOSED if state is StateClass.SEALED else Kind.OPENED


def explains(power_up: PowerUp, records: Sequence[Report], promise: Promise, now: float) -> bool:
    """Return whether `records` may be all that a seal has reported of this power-up by `now`."""
    follower = _Follower(promise, records, power_up.end)
    outcomes = {_Outcome()}
    runs = list(power_up.runs(now))
    free = power_up.start + promise.start
    for (state, begin, end), (following, _, _) in zip(runs, [*runs[1:], runs[-1]], strict=True):
        after = set()
        at = begin + promise.hold_min
        latest = max(begin, free) + promise.latest(state)
        # A foreign voltage looks like a sealed loop until found, and hides the position until it is gone.
        unfound = promise.foreign if (state, following) == (StateClass.SEALED, StateClass.MISMATCH) else 0.0
        free = end + promise.clean if state is StateClass.MISMATCH else free
        for outcome in outcomes:
            if at < end + unfound:
                after.update(follower.change(outcome, state, at, latest))
            if latest > end:
                after.add(outcome)
        outcomes = {waited for outcome in after for waited in follower.wait(outcome, end)}
    return any(outcome.explained == len(records) for outcome in outcomes)


def explain(power_ups: Sequence[PowerUp], reports: Sequence[Report], promise: Promise, now: float) -> str:
    """Return what is wrong with a seal's `reports`, in order, given its `power_ups`; empty if all is well."""
    counters = [report.counter for report in reports]
    if counters and counters != list(range(counters[0], counters[0] + len(counters))):
        return f"counters {counters} are not in order without a gap"
    boots: dict[int, list[Report]] = {}
    for report in reports:
        boots.setdefault(report.boot, []).append(report)
    if boots and list(boots) != list(range(min(boots), min(boots) + len(boots))):
        return f"boot counts {list(boots)} are not in order without a gap"
    groups = list(boots.values())
    # Numbers of groups that the power-ups so far may have made: one that was short may have left nothing.
    made = {0}
    for number, power_up in enumerate(power_ups):
        after = set()
        for count in made:
            if explains(power_up, [], promise, now):
                after.add(count)
            if count < len(groups) and explains(power_up, groups[count], promise, now):
                after.add(count + 1)
        if not after:
            candidates = [groups[count] for count in made if count < len(groups)]
            return f"power-up {number} ({power_up}) does not explain {candidates or 'that nothing came'}"
        made = after
    return "" if len(groups) in made else f"{groups[max(made) :]} came of no power-up"
