"""The one way an event enters a system: stored, judged and alarmed in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from meterseal.alarms import Clear, Code, Raise, cleared_by, judge
from meterseal.store import alarms, events
from meterseal.store.alarms import Alarm
from meterseal.store.events import Outcome, SealEvent

__all__ = ["Recorded", "record"]


@dataclass(slots=True)
class Recorded:
    """What one event did. An alarm that a later event had ended already is in both lists."""

    outcome: Outcome
    raised: list[Alarm] = field(default_factory=list)
    cleared: list[Alarm] = field(default_factory=list)


def record(conn: Connection, event: SealEvent, stored_at: datetime) -> Recorded:
    """Store `event` and bring the alarms up to date; repeating it changes nothing.

    Events may come in any order: one that comes late is judged as if it had come in time, and so is the
    one that follows it.
    """
    done = Recorded(events.append(conn, event, stored_at))
    if done.outcome is Outcome.CONFLICT:
        _raise(conn, done, Raise(Code.EVIDENCE_CONFLICT, "two contents, both kept"), event, stored_at)
    if done.outcome is not Outcome.NEW:
        return done
    for verdict in judge(event, events.previous(conn, event.seal, event.counter)):
        if isinstance(verdict, Clear):
            done.cleared += alarms.clear(conn, verdict.codes, event.seal, stored_at, event.counter)
        else:
            _raise(conn, done, verdict, event, stored_at)
    following = events.following(conn, event.seal, event.counter)
    if following is not None:
        _judge_again(conn, done, following, event, stored_at)
    return done


def _raise(conn: Connection, done: Recorded, verdict: Raise, event: SealEvent, at: datetime) -> None:
    key = (verdict.code, event.seal, event.counter)
    if not alarms.raise_alarm(conn, *key, at, verdict.detail):
        return
    done.raised += _find(conn, *key)
    # The event that ends this alarm may have come before it.
    end = events.following(conn, event.seal, event.counter, proves_sealed=True)
    if end is not None and verdict.code in cleared_by(end):
        ended = alarms.clear_one(conn, *key, at, end.counter)
        done.cleared += [ended] if ended else []


def _judge_again(
    conn: Connection, done: Recorded, event: SealEvent, previous: SealEvent, at: datetime
) -> None:
    """`previous` came late: what it explains is withdrawn, what it shows is raised."""
    verdicts = [verdict for verdict in judge(event, previous) if isinstance(verdict, Raise)]
    for verdict in verdicts:
        _raise(conn, done, verdict, event, at)
    justified = {verdict.code for verdict in verdicts}
    for code in _DEPEND_ON_PREVIOUS - justified:
        withdrawn = alarms.clear_one(conn, code, event.seal, event.counter, at, previous.counter)
        done.cleared += [withdrawn] if withdrawn else []


#: Alarms of an event that another previous event can take away.
_DEPEND_ON_PREVIOUS = frozenset({Code.SEAL_COUNTER_GAP, Code.SEAL_OPEN_UNMATCHED})


def _find(conn: Connection, code: Code, seal: str, counter: int) -> list[Alarm]:
    return [alarm for alarm in alarms.every(conn, seal, counter) if alarm.code is code]
