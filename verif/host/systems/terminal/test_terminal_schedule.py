"""The schedule decides which meter is polled next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal.systems.terminal.schedule import LOST_AFTER, Schedule


def test_every_meter_is_polled_once_a_period() -> None:
    schedule = Schedule("ab", period=5)
    order = []
    for now in range(20):
        while (meter := schedule.due(now)) is not None:
            order.append((now, meter))
            schedule.answered(meter, now)
    assert order == [(now, meter) for now in (0, 5, 10, 15) for meter in "ab"]


def test_a_long_journal_takes_turns_with_the_neighbours() -> None:
    schedule = Schedule("ab", period=5)
    order = ""
    for now in (0.1, 0.2, 0.3, 0.4):
        meter = schedule.due(now)
        assert meter is not None
        order += meter
        schedule.answered(meter, now, more=True)
    assert order == "abab"


def test_the_third_silence_in_a_row_is_a_loss_lost_once_and_the_first_answer_a_return() -> None:
    schedule = Schedule("a", period=5)
    assert schedule.answered("a", 0)
    assert not schedule.answered("a", 0)
    lost = [schedule.silent("a", now) for now in range(5)]
    assert lost == [False, False, True, False, False]
    assert LOST_AFTER == 3
    assert schedule.answered("a", 9)
    assert [schedule.silent("a", now) for now in range(3)] == lost[:3]


def test_a_lost_meter_is_asked_less_and_less_often_but_never_given_up() -> None:
    schedule = Schedule("a", period=5, longest=60)
    now, pauses = 0.0, []
    for _ in range(10):
        schedule.silent("a", now)
        pauses.append(schedule.next_at - now)
        now = schedule.next_at
    assert pauses == [5, 5, 5, 10, 20, 40, 60, 60, 60, 60]


@given(st.lists(st.booleans(), max_size=60))
def test_a_neighbour_is_never_more_than_one_poll_late(answers: list[bool]) -> None:
    """However one meter behaves, the other is polled at once when it is due."""
    schedule = Schedule(["good", "bad"], period=5)
    now, good_at = 0.0, 0.0
    for answer in answers:
        meter = schedule.due(now)
        if meter == "good":
            assert now <= good_at + 1
            schedule.answered(meter, now)
            good_at = now + 5
        elif meter == "bad" and answer:
            schedule.answered(meter, now, more=True)
        elif meter == "bad":
            schedule.silent(meter, now)
        now += 1
