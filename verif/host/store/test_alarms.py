"""The alarm rules hold alone and through ingest."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.domain.alarm_rules import SEVERITY, Clear, Code, Raise, derive_alarms
from meterseal.domain.event import SealEvent
from meterseal.domain.record import NO_FLAGS, Flags, Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.store import alarms, events, ingest
from meterseal.store.database import Database
from meterseal.store.events import Outcome

SEAL = "000000000101"
NOW = datetime(2026, 11, 22, 5, 5, tzinfo=UTC)
OFTEN = "changes too often to tell each"
OPEN, SEALED, UNKNOWN = StateClass.OPEN, StateClass.SEALED, StateClass.UNKNOWN


def event(counter, kind, state, *, seal=SEAL, boot=1, **more):
    record = SealRecord(seal, boot, counter, kind, state, **more)
    at = NOW + timedelta(seconds=counter)
    return SealEvent.from_record(record.encode(), meter="000000000001", occurred_at=at, received_at=at)


def codes(effects):
    return {effect.code for effect in effects if isinstance(effect, Raise)}


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "store.db")
    yield database
    database.close()


def enter(database, *entered, at=NOW):
    with database.transaction() as conn:
        return [ingest.apply(conn, one, at) for one in entered]


def active(database):
    with database.reading() as conn:
        return {(alarm.code, alarm.counter, alarm.detail) for alarm in alarms.active(conn)}


def test_every_code_has_a_severity():
    assert set(SEVERITY) == set(Code)


@pytest.mark.parametrize("state", [OPEN, UNKNOWN, SEALED])
def test_the_first_boot_with_an_open_loop_raises_nothing(state):
    first = event(1, Kind.BOOT, state, flags=Flags.UNOBSERVED)
    assert codes(derive_alarms(first, None)) == set()


@pytest.mark.parametrize("previous", [None, event(1, Kind.BOOT, OPEN), event(1, Kind.CLOSED, SEALED)])
def test_an_opening_always_raises(previous):
    assert codes(derive_alarms(event(2, Kind.OPENED, OPEN), previous)) == {Code.SEAL_OPEN_UNMATCHED}


@pytest.mark.parametrize(
    ("before", "found", "raised"),
    [
        (SEALED, OPEN, {Code.SEAL_OPEN_UNMATCHED}),
        (SEALED, StateClass.HIGH, {Code.SEAL_OPEN_UNMATCHED, Code.SEAL_HIGH}),
        (UNKNOWN, OPEN, {Code.SEAL_OPEN_UNMATCHED}),
        (SEALED, SEALED, set()),
        (SEALED, UNKNOWN, set()),
        (OPEN, OPEN, set()),
        (StateClass.LOW, OPEN, set()),
    ],
)
def test_a_boot_that_finds_the_loop_opened_meanwhile_raises(before, found, raised):
    assert codes(derive_alarms(event(2, Kind.BOOT, found), event(1, Kind.BOOT, before))) == raised


def test_a_boot_after_an_unobserved_time_raises():
    boot = event(2, Kind.BOOT, SEALED, boot=2, flags=Flags.UNOBSERVED)
    assert codes(derive_alarms(boot, event(1, Kind.BOOT, SEALED))) == {Code.SEAL_UNOBSERVED}


@pytest.mark.parametrize("kind", Kind)
def test_only_proof_of_a_sealed_loop_clears(kind):
    for state in StateClass:
        clears = [
            verdict for verdict in derive_alarms(event(2, kind, state), None) if isinstance(verdict, Clear)
        ]
        assert bool(clears) is (state is SEALED and kind is not Kind.FLAPPING)


@pytest.mark.parametrize(
    ("kind", "code", "detail"),
    [
        (Kind.FLAPPING, Code.SEAL_FLAPPING, f"{OFTEN}; 41 excursions counted; loop sealed, 4012 mV"),
        (Kind.SEALING_REFUSED, Code.SEAL_REFUSED, "asked to seal; loop sealed, 4012 mV"),
        (Kind.LOCKED_OUT, Code.SEAL_LOCKED, "three wrong passwords; writes are refused for 24 h"),
        (Kind.PROVISIONED, Code.SEAL_PROVISIONED, "a write with the password was taken"),
    ],
)
def test_kinds_that_are_alarms_by_themselves(kind, code, detail):
    record = event(2, kind, SEALED, loop_mv=4012, excursions=41)
    raised = [one for one in derive_alarms(record, event(1, Kind.CLOSED, SEALED)) if isinstance(one, Raise)]
    assert raised == [Raise(code, detail)]


def test_a_saturated_count_is_not_shown_as_exact():
    (raised,) = derive_alarms(event(2, Kind.FLAPPING, SEALED, excursions=255), None)
    assert raised.detail.startswith(f"{OFTEN}; 255 or more excursions")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (StateClass.LOW, Code.SEAL_LOW),
        (StateClass.HIGH, Code.SEAL_HIGH),
        (StateClass.MISMATCH, Code.SEAL_MISMATCH),
    ],
)
def test_an_abnormal_loop_is_named_with_its_voltage(state, code):
    verdicts = derive_alarms(event(2, Kind.OPENED, state, loop_mv=4987), event(1, Kind.CLOSED, SEALED))
    assert Raise(code, f"loop {state.name.lower()}, 4987 mV") in verdicts


def test_an_opening_without_power_is_named_with_what_was_found():
    boot = event(2, Kind.BOOT, OPEN, boot=2, flags=Flags.UNOBSERVED, loop_mv=12)
    assert derive_alarms(boot, event(1, Kind.CLOSED, SEALED)) == [
        Raise(Code.SEAL_OPEN_UNMATCHED, "loop open, 12 mV, found by the power-up; sealed before"),
        Raise(
            Code.SEAL_UNOBSERVED,
            "no power for an unknown time, boot 1 to 2; sealed before, open after",
        ),
    ]


def test_flapping_does_not_end_an_opening_and_standing_still_ends_both(database):
    enter(
        database,
        event(1, Kind.CLOSED, SEALED),
        event(2, Kind.OPENED, OPEN),
        event(3, Kind.FLAPPING, SEALED, excursions=6),
    )
    assert {code for code, _, _ in active(database)} == {Code.SEAL_OPEN_UNMATCHED, Code.SEAL_FLAPPING}
    (ended,) = enter(database, event(4, Kind.CLOSED, SEALED))
    assert {(alarm.code, alarm.cleared_by) for alarm in ended.cleared} == {
        (Code.SEAL_OPEN_UNMATCHED, 4),
        (Code.SEAL_FLAPPING, 4),
    }
    assert active(database) == set()


def test_opening_and_closing_raise_and_clear(database):
    opened, closed = enter(
        database, event(1, Kind.BOOT, SEALED), event(2, Kind.OPENED, OPEN), event(3, Kind.CLOSED, SEALED)
    )[1:]
    assert [alarm.code for alarm in opened.raised] == [Code.SEAL_OPEN_UNMATCHED]
    assert [(alarm.code, alarm.counter, alarm.cleared_by) for alarm in closed.cleared] == [
        (Code.SEAL_OPEN_UNMATCHED, 2, 3)
    ]
    assert active(database) == set()


def test_a_gap_is_alarmed_and_disappears_once_the_missing_records_arrive(database):
    enter(database, event(1, Kind.BOOT, SEALED), event(5, Kind.CLOSED, SEALED))
    assert active(database) == {(Code.SEAL_COUNTER_GAP, 5, "counter 1 to 5, 3 missing")}
    enter(database, event(3, Kind.CLOSED, SEALED))
    assert active(database) == {
        (Code.SEAL_COUNTER_GAP, 3, "counter 1 to 3, 1 missing"),
        (Code.SEAL_COUNTER_GAP, 5, "counter 3 to 5, 1 missing"),
    }
    enter(database, event(4, Kind.OPENED, OPEN), event(2, Kind.OPENED, OPEN))
    assert active(database) == set()


def test_an_opening_that_arrives_after_its_closing_is_raised_and_cleared_at_once(database):
    enter(database, event(1, Kind.BOOT, SEALED), event(3, Kind.CLOSED, SEALED))
    (late,) = enter(database, event(2, Kind.OPENED, OPEN))
    assert [alarm.code for alarm in late.raised] == [Code.SEAL_OPEN_UNMATCHED]
    assert Code.SEAL_OPEN_UNMATCHED in {alarm.code for alarm in late.cleared}
    assert active(database) == set()


def test_an_alarm_that_late_events_explain_away_returns_when_later_ones_do_not(database):
    # The boot found the loop open: this opening has no event, until the earlier opening arrives late …
    enter(database, event(1, Kind.BOOT, SEALED), event(4, Kind.BOOT, OPEN))
    opened = (
        Code.SEAL_OPEN_UNMATCHED,
        4,
        "loop open, not measured, found by the power-up; sealed before",
    )
    assert opened in active(database)
    enter(database, event(2, Kind.OPENED, OPEN))
    assert opened not in active(database)
    # … and it has none again, once a closing between the two arrives.
    (late,) = enter(database, event(3, Kind.CLOSED, SEALED))
    assert active(database) == {opened}
    assert [(alarm.code, alarm.counter) for alarm in late.raised] == [(Code.SEAL_OPEN_UNMATCHED, 4)]


def test_conflicting_copies_are_kept_and_alarmed(database):
    first, second, again = enter(
        database, event(1, Kind.BOOT, SEALED), event(1, Kind.BOOT, OPEN), event(1, Kind.BOOT, OPEN, age=9)
    )
    assert [first.outcome, second.outcome, again.outcome] == [Outcome.NEW, Outcome.CONFLICT, Outcome.CONFLICT]
    assert active(database) == {(Code.EVIDENCE_CONFLICT, 1, "two contents, both kept")}
    assert again.raised == []
    with database.reading() as conn:
        assert [one.state for one in events.history(conn)] == [SEALED]
        assert [one.state for one in events.conflicts(conn)] == [OPEN]


def test_an_acknowledgement_belongs_to_the_first(database):
    enter(database, event(2, Kind.OPENED, OPEN))
    with database.transaction() as conn:
        (alarm,) = alarms.active(conn)
        assert alarms.acknowledge(conn, alarm.id, NOW, "3021")
        assert not alarms.acknowledge(conn, alarm.id, NOW, "3022")
        assert [one.acknowledged_by for one in alarms.list_all(conn)] == ["3021"]


def verdict(database, disowned, code=VerdictCode.AUTH_FAIL):
    with database.transaction() as conn:
        return ingest.apply_verdict(conn, RecordVerdict.on(disowned.record, code), "found", NOW)


def codes_of(database):
    return {(code, counter) for code, counter, _ in active(database)}


OPENING = (Code.SEAL_OPEN_UNMATCHED, 2)
CLOSED, BOOT, OPENED = event(3, Kind.CLOSED, SEALED), event(1, Kind.BOOT, SEALED), event(2, Kind.OPENED, OPEN)


def test_a_disowned_closing_brings_the_opening_back(database):
    enter(database, BOOT, OPENED, CLOSED)
    done = verdict(database, CLOSED)
    assert [alarm.code for alarm in done.raised] == [Code.SEAL_AUTH_FAIL, Code.SEAL_OPEN_UNMATCHED]
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 3)}
    with database.reading() as conn:
        assert [one.counter for one in events.history(conn, SEAL)] == [2, 1]
        assert [one.record for one in events.conflicts(conn)] == [CLOSED.record]
    # Neither the verdict nor the record changes anything when it comes again.
    assert verdict(database, CLOSED).raised == []
    assert [one.outcome for one in enter(database, CLOSED)] == [Outcome.KNOWN]
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 3)}
    # The seal's own record of that number counts.
    own = event(3, Kind.CLOSED, SEALED, loop_mv=4000)
    assert [one.outcome for one in enter(database, own)] == [Outcome.NEW]
    assert codes_of(database) == {(Code.SEAL_AUTH_FAIL, 3)}


def test_the_seals_own_record_that_came_after_the_forged_one_takes_its_place(database):
    own = event(3, Kind.OPENED, StateClass.HIGH, loop_mv=5400)
    enter(database, BOOT, OPENED, CLOSED, own)
    verdict(database, CLOSED)
    conflict = (Code.EVIDENCE_CONFLICT, 3)
    abnormal = {(Code.SEAL_OPEN_UNMATCHED, 3), (Code.SEAL_HIGH, 3)}
    assert codes_of(database) == {OPENING, *abnormal, conflict, (Code.SEAL_AUTH_FAIL, 3)}
    with database.reading() as conn:
        assert events.find(conn, SEAL, 3).record == own.record


def test_the_seals_own_record_counts_though_the_forged_one_claimed_the_same(database):
    enter(database, BOOT, OPENED, replace(CLOSED, record=CLOSED.record[:-8] + b"forgery!"))
    with database.transaction() as conn:
        forged = events.find(conn, SEAL, 3)
    verdict(database, forged)
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 3)}
    assert [one.outcome for one in enter(database, CLOSED)] == [Outcome.NEW]
    assert codes_of(database) == {(Code.SEAL_AUTH_FAIL, 3)}


def test_the_seals_own_record_counts_though_it_was_taken_for_a_repetition(database):
    forged = replace(CLOSED, record=CLOSED.record[:-8] + b"forgery!")
    enter(database, BOOT, OPENED, forged, CLOSED)
    assert verdict(database, forged).own == replace(CLOSED, stored_at=NOW, id=1)
    assert codes_of(database) == {(Code.SEAL_AUTH_FAIL, 3)}
    with database.reading() as conn:
        assert events.find(conn, SEAL, 3).record == CLOSED.record


def test_a_verdict_before_its_record_counts_too(database):
    enter(database, BOOT, OPENED)
    verdict(database, CLOSED)
    assert [one.outcome for one in enter(database, CLOSED)] == [Outcome.KNOWN]
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 3)}


def test_a_disowned_opening_shows_the_one_that_it_had_explained(database):
    """Once the forged opening is disowned, the power-up is unexplained again, and the gap is visible."""
    enter(database, event(1, Kind.CLOSED, SEALED), OPENED, event(3, Kind.BOOT, OPEN))
    assert codes_of(database) == {OPENING}
    verdict(database, OPENED)
    shown = {(Code.SEAL_OPEN_UNMATCHED, 3), (Code.SEAL_COUNTER_GAP, 3)}
    assert codes_of(database) == {OPENING, *shown, (Code.SEAL_AUTH_FAIL, 2)}


def test_a_verdict_ends_no_opening(database):
    enter(database, BOOT, OPENED)
    verdict(database, OPENED)
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 2)}
    enter(database, CLOSED)
    assert OPENING not in codes_of(database)


def test_a_forged_number_leaves_no_gap(database):
    far = event(999, Kind.CLOSED, SEALED)
    enter(database, BOOT, OPENED, far)
    assert codes_of(database) == {(Code.SEAL_COUNTER_GAP, 999)}
    verdict(database, far)
    assert codes_of(database) == {OPENING, (Code.SEAL_AUTH_FAIL, 999)}
    enter(database, CLOSED)
    assert codes_of(database) == {(Code.SEAL_AUTH_FAIL, 999)}


def test_a_replay_verdict_leaves_the_event_where_it_is(database):
    enter(database, BOOT, OPENED, CLOSED)
    verdict(database, CLOSED, VerdictCode.REPLAY)
    assert codes_of(database) == {(Code.SEAL_REPLAY, 3)}
    with database.reading() as conn:
        assert len(events.history(conn, SEAL)) == 3


def received(one, seconds):
    return replace(one, received_at=one.received_at + timedelta(seconds=seconds))


def test_a_report_repeated_after_a_newer_one_is_a_replay(database):
    closed, opened = event(1, Kind.CLOSED, SEALED), event(2, Kind.OPENED, OPEN)
    # Neither a newest event repeated after a lost 94H nor one that a terminal delivers twice is a replay.
    enter(database, closed, received(closed, 2), opened, received(opened, 2), closed)
    assert codes_of(database) == {OPENING}
    (again,) = enter(database, received(closed, 60))
    assert [(alarm.code, alarm.detail) for alarm in again.raised] == [
        (Code.SEAL_REPLAY, "event 1 came again, although event 2 had come before")
    ]
    assert codes_of(database) == {OPENING, (Code.SEAL_REPLAY, 1)}
    assert enter(database, received(closed, 61))[0].raised == []


#: Strategy for any history of a seal: events as (kind, state, flags), numbered from 1 in true order.
LIVES = st.lists(
    st.tuples(
        st.sampled_from(Kind), st.sampled_from(StateClass), st.sampled_from([NO_FLAGS, Flags.UNOBSERVED])
    ),
    min_size=1,
    max_size=7,
).map(lambda life: list(enumerate(life, 1)))


def arrival(life):
    """Return a strategy for any order of the events, with some missing and some repeated."""
    return st.lists(st.sampled_from(life), min_size=1, max_size=2 * len(life))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    database = Database(tmp_path_factory.mktemp("order") / "store.db")
    yield database
    database.close()


#: Each example has seals of its own in the shared store.
NUMBERS = itertools.count(1)


#: Alarms that a forgery adds by itself.
OF_FORGERY = {Code.SEAL_AUTH_FAIL, Code.EVIDENCE_CONFLICT, Code.SEAL_REPLAY}


@settings(max_examples=100, deadline=None)
@given(life=LIVES, data=st.data())
def test_a_forgery_that_was_found_out_hides_nothing(shared, life, data):
    """Whatever is forged at any time, every alarm of the true events is active after the verdict."""
    kind, state = data.draw(st.sampled_from(Kind)), data.draw(st.sampled_from(StateClass))
    number = data.draw(st.integers(1, len(life) + 2))
    at = data.draw(st.integers(0, len(life)))
    found_at = data.draw(st.integers(at, len(life)))
    alarmed = []
    for forges in (False, True):
        seal = f"{next(NUMBERS):012}"
        true = [event(n, kind, state, flags=flags, seal=seal) for n, (kind, state, flags) in life]
        forged = event(number, kind, state, seal=seal, loop_mv=1)
        enter(shared, *true[:at], *[forged] * forges, *true[at:found_at])
        if forges:
            verdict(shared, forged)
        enter(shared, *true[found_at:])
        with shared.reading() as conn:
            assert [one.record for one in reversed(events.history(conn, seal))] == [
                one.record for one in true
            ]
            alarmed.append({(one.code, one.counter) for one in alarms.active(conn, seal)})
    without, after = alarmed
    assert without <= {one for one in after if one[0] not in OF_FORGERY}


@settings(max_examples=100, deadline=None)
@given(arrived=LIVES.flatmap(arrival))
def test_active_alarms_depend_on_the_events_not_on_their_order(shared, arrived):
    seen = []
    for order in (arrived, sorted(set(arrived))):
        seal = f"{next(NUMBERS):012}"
        reported = [event(n, kind, state, flags=flags, seal=seal) for n, (kind, state, flags) in order]
        enter(shared, *reported)
        with shared.reading() as conn:
            stored = [(one.counter, one.kind, one.state, one.flags) for one in events.history(conn, seal)]
            assert events.conflicts(conn, seal) == []
            open_alarms = {(alarm.code, alarm.counter, alarm.detail) for alarm in alarms.active(conn, seal)}
        seen.append((stored, open_alarms))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) == len(set(arrived))
