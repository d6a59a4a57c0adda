"""Every event enters a system here: it is stored and its alarms are derived in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import FOUND, Clear, Code, Raise, cleared_by, derive_alarms
from meterseal.domain.event import SealEvent
from meterseal.domain.verdict import RecordVerdict, VerdictCode, digest
from meterseal.store import alarms, disowned, events
from meterseal.store.alarms import Alarm
from meterseal.store.applied import Applied
from meterseal.store.events import Outcome

__all__ = ["apply", "apply_verdict"]


def apply(conn: Connection, event: SealEvent, stored_at: datetime) -> Applied:
    """Store `event` and bring the alarms up to date; repeating it changes nothing.

    Events may come in any order: alarms of a late event are derived as if it had come in time, and those of
    the event that follows it are derived anew.

    A seal reports in the order of its counter and repeats a report only until it is acknowledged. One that
    was received once more after a newer event is therefore a replay
    (`test_a_report_repeated_after_a_newer_one_is_a_replay`).
    """
    outcome, stored = events.append(conn, event, stored_at)
    done = Applied(stored, outcome)
    if done.outcome is Outcome.NEW:
        _derive(conn, done, event, stored_at)
    elif done.outcome is Outcome.CONFLICT:
        _raise(conn, done, Raise(Code.EVIDENCE_CONFLICT, "two contents, both kept"), event, stored_at)
    elif done.outcome is Outcome.KNOWN and (newer := _newer_before(conn, event)) is not None:
        detail = f"event {event.counter} came again, although event {newer} had come before"
        _raise(conn, done, Raise(Code.SEAL_REPLAY, detail), event, stored_at)
    return done


def apply_verdict(conn: Connection, verdict: RecordVerdict, detail: str, at: datetime) -> Applied:
    """Raise what a master station found. A record that is not the seal's stops being an event.

    It is kept apart from the events, and the seal's own record of that number takes its place, whether it has
    come or is still to come. The alarms that it had ended are active again, and no alarm of an opening
    ends by a verdict, so that a forged verdict can add alarms and hide none
    (`test_a_disowned_closing_brings_the_opening_back`, `test_a_verdict_ends_no_opening`).
    """
    done = Applied()
    key = (FOUND[verdict.code], verdict.seal, verdict.counter)
    done.note(raised=alarms.raise_alarm(conn, *key, at, detail))
    if verdict.code is VerdictCode.AUTH_FAIL and disowned.add(conn, verdict, at):
        forged = events.find(conn, verdict.seal, verdict.counter)
        if forged is not None and digest(forged.record) == verdict.digest:
            _withdraw(conn, done, forged, at)
    return done


def _withdraw(conn: Connection, done: Applied, forged: SealEvent, at: datetime) -> None:
    """Undo what the `forged` event did, and apply the seal's own event of that number if it has come."""
    events.withdraw(conn, forged)
    gap = alarms.clear_one(conn, Code.SEAL_COUNTER_GAP, forged.seal, forged.counter, at, forged.counter)
    done.note(cleared=gap)
    for alarm in alarms.ended_by(conn, forged.seal, forged.counter):
        if alarm.counter < forged.counter:
            _raise_again(conn, done, alarm, at)
    done.own = events.take_candidate(conn, forged.seal, forged.counter)
    if done.own is not None:
        done.include(apply(conn, done.own, at))
        return
    following = events.following(conn, forged.seal, forged.counter)
    if following is not None:
        for effect in derive_alarms(following, events.previous(conn, forged.seal, forged.counter)):
            if isinstance(effect, Raise):
                _raise(conn, done, effect, following, at)


def _derive(conn: Connection, done: Applied, event: SealEvent, at: datetime) -> None:
    for effect in derive_alarms(event, events.previous(conn, event.seal, event.counter)):
        if isinstance(effect, Clear):
            done.cleared += alarms.clear(conn, effect.codes, event.seal, at, event.counter)
        else:
            _raise(conn, done, effect, event, at)
    following = events.following(conn, event.seal, event.counter)
    if following is not None:
        _derive_again(conn, done, following, event, at)


def _raise(conn: Connection, done: Applied, effect: Raise, event: SealEvent, at: datetime) -> None:
    new = alarms.raise_alarm(conn, effect.code, event.seal, event.counter, at, effect.detail)
    if new is not None:
        done.raised.append(new)
        _end_if_ended(conn, done, new, at)


def _raise_again(conn: Connection, done: Applied, alarm: Alarm, at: datetime) -> None:
    again = alarms.reactivate(conn, alarm, at)
    done.raised.append(again)
    _end_if_ended(conn, done, again, at)


def _end_if_ended(conn: Connection, done: Applied, alarm: Alarm, at: datetime) -> None:
    """Clear an alarm at once when the event that ends it came before it."""
    end = events.following(conn, alarm.subject, alarm.counter, proves_sealed=True)
    if end is not None and alarm.code in cleared_by(end):
        ended = alarms.clear_one(conn, alarm.code, alarm.subject, alarm.counter, at, end.counter)
        done.note(cleared=ended)


def _derive_again(
    conn: Connection, done: Applied, event: SealEvent, previous: SealEvent, at: datetime
) -> None:
    """Derive the alarms of `event` anew, because `previous` came late: some end by it, others begin."""
    effects = [effect for effect in derive_alarms(event, previous) if isinstance(effect, Raise)]
    for effect in effects:
        _raise(conn, done, effect, event, at)
    justified = {effect.code for effect in effects}
    for code in _DEPEND_ON_PREVIOUS - justified:
        withdrawn = alarms.clear_one(conn, code, event.seal, event.counter, at, previous.counter)
        done.note(cleared=withdrawn)


#: Alarms that depend on the previous event, so that a late one can end them.
_DEPEND_ON_PREVIOUS = frozenset({Code.SEAL_COUNTER_GAP, Code.SEAL_OPEN_UNMATCHED})


def _newer_before(conn: Connection, event: SealEvent) -> int | None:
    """Return the counter of a newer event that came before this copy; None for a mere repetition.

    A copy that a meter received once has one time of receipt, however often it is passed on.
    """
    stored, newest = events.find(conn, event.seal, event.counter), events.newest(conn, event.seal)
    if stored is None or newest is None or newest.counter <= event.counter:
        return None
    received = (event.received_at, stored.received_at)
    return None if None in received or received[0] == received[1] else newest.counter
