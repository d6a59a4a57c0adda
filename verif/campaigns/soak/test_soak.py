"""A short soak finds no violation, and its model accepts the reports that a seal may give, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meterseal.domain.record import Flags, Kind, StateClass
from verif.campaigns.soak.__main__ import soak
from verif.campaigns.soak.model import PowerUp, Promise, Report, explain

PROMISE = Promise(hold_min=0.018, hold_max=0.023)
MEASURING = Promise(hold_min=0.010, hold_max=0.060, measures=True)
OPEN, SEALED, MISMATCH = StateClass.OPEN, StateClass.SEALED, StateClass.MISMATCH
NOW = 1000.0


def test_a_short_soak() -> None:
    done = soak(2.0, seed=7, seals=2)
    assert done["events"] > 8
    assert done["simulated seal seconds"] > 30


def test_a_calm_soak() -> None:
    """A calm soak consists nearly only of time in which nothing happens, and which is skipped."""
    done = soak(2.0, seed=7, seals=1, front_end="comparator", calm=400.0)
    assert done["events"] > 8
    assert done["skipped of them"] > 0.9 * done["simulated seal seconds"] > 700


def power_up(start: float, *positions: tuple[float, StateClass], end: float | None = None) -> PowerUp:
    return PowerUp(start, [(start + after, state) for after, state in positions], end)


def reports(*given: tuple[Kind, StateClass, float | None], counter: int = 1, boot: int = 1) -> list[Report]:
    return [
        Report(boot, counter + index, kind, state, Flags(0), at)
        for index, (kind, state, at) in enumerate(given)
    ]


#: A seal powered up open at 10 s, closed at 12 s and opened at 15 s, with a twitch of 5 ms at 13 s.
STORY = power_up(10.0, (0, OPEN), (2, SEALED), (3, OPEN), (3.005, SEALED), (5, OPEN))
GIVEN = reports((Kind.BOOT, OPEN, 10.0), (Kind.CLOSED, SEALED, 12.0), (Kind.OPENED, OPEN, 15.0))


def test_records_that_the_model_explains() -> None:
    assert not explain([STORY], GIVEN, PROMISE, NOW)
    # A report that the meter gets only after a power cut has no known time.
    assert not explain([STORY], [replace(report, at=None) for report in GIVEN], PROMISE, NOW)


@pytest.mark.parametrize(
    "given",
    [
        GIVEN[:2],
        GIVEN[:1],
        [],
        [*GIVEN, replace(GIVEN[2], counter=4)],
        [GIVEN[0], replace(GIVEN[2], counter=2)],
        [GIVEN[0], GIVEN[2], GIVEN[1]],
        [GIVEN[0], GIVEN[1], replace(GIVEN[2], counter=4)],
        [GIVEN[0], GIVEN[1], replace(GIVEN[2], boot=2)],
        [GIVEN[0], GIVEN[1], replace(GIVEN[2], state=SEALED)],
        [GIVEN[0], GIVEN[1], replace(GIVEN[2], kind=Kind.CLOSED)],
        [GIVEN[0], GIVEN[1], replace(GIVEN[2], at=20.0)],
        reports((Kind.BOOT, SEALED, 10.0), (Kind.OPENED, OPEN, 15.0)),
    ],
)
def test_records_that_the_model_refuses(given: list[Report]) -> None:
    assert explain([STORY], given, PROMISE, NOW)


def test_a_twitch_of_nearly_the_debounce_time_may_be_reported() -> None:
    story = power_up(10.0, (0, SEALED), (5, OPEN), (5.020, SEALED))
    boot = (Kind.BOOT, SEALED, 10.0)
    assert not explain([story], reports(boot), PROMISE, NOW)
    both = reports(boot, (Kind.OPENED, OPEN, 15.0), (Kind.CLOSED, SEALED, 15.0))
    assert not explain([story], both, PROMISE, NOW)
    assert explain([story], both[:2], PROMISE, NOW)


@pytest.mark.parametrize(("after", "may_be_lost"), [(0.06, True), (0.5, False)])
def test_only_the_last_moment_before_a_power_cut_may_be_lost(after: float, may_be_lost: bool) -> None:
    cut = power_up(10.0, (0, SEALED), (5, OPEN), end=15.0 + after)
    again = power_up(20.0, (0, OPEN))
    boot = (Kind.BOOT, SEALED, 10.0)
    whole = reports(boot, (Kind.OPENED, OPEN, 15.0))
    late = reports((Kind.BOOT, OPEN, 20.0), counter=3, boot=2)
    assert not explain([cut, again], whole + late, PROMISE, NOW)
    late = reports((Kind.BOOT, OPEN, 20.0), counter=2, boot=2)
    assert bool(explain([cut, again], whole[:1] + late, PROMISE, NOW)) is not may_be_lost


def test_a_power_up_that_was_short_may_leave_nothing() -> None:
    blinks = [power_up(start, (0, OPEN), end=start + 0.1) for start in (1.0, 2.0, 3.0)]
    last = power_up(10.0, (0, OPEN))
    for boots in range(1, 5):
        given = [
            report
            for boot in range(1, boots + 1)
            for report in reports((Kind.BOOT, OPEN, None), counter=boot, boot=boot)
        ]
        assert not explain([*blinks, last], given, PROMISE, NOW)
    assert explain([*blinks, last], [], PROMISE, NOW)


def test_six_changes_within_ten_seconds_are_flapping_until_ten_seconds_without_one() -> None:
    changes = [(n, SEALED if n % 2 else OPEN) for n in range(10)]
    story = power_up(10.0, *changes)
    given = [(Kind.BOOT, OPEN, 10.0)]
    given += [(Kind.CLOSED if n % 2 else Kind.OPENED, state, 10.0 + n) for n, state in changes[1:6]]
    flapping = [*given, (Kind.FLAPPING, OPEN, 16.0)]
    assert not explain([story], reports(*flapping), PROMISE, 25.0)
    settled = reports(*flapping, (Kind.CLOSED, SEALED, 29.5))
    assert not explain([story], settled, PROMISE, NOW)
    assert explain([story], settled[:-1], PROMISE, NOW)
    each = [(Kind.CLOSED if n % 2 else Kind.OPENED, state, 10.0 + n) for n, state in changes[1:]]
    assert explain([story], reports(given[0], *each), PROMISE, NOW)


def test_a_foreign_voltage_counts_until_four_off_phases_were_clean() -> None:
    story = power_up(
        10.0, (0, SEALED), (5, MISMATCH), (6, SEALED), (6.4, OPEN), (9, SEALED), (9.005, MISMATCH)
    )
    given = [(Kind.BOOT, SEALED, 10.0), (Kind.OPENED, MISMATCH, 15.2)]
    # A movement of the head within the time that the phases take may be seen or not.
    seen = [*given, (Kind.CLOSED, SEALED, 16.3), (Kind.OPENED, OPEN, 16.5)]
    for before in seen, [*given, (Kind.OPENED, OPEN, 17.0)]:
        # A source that follows a closing within the same phase looks like the head until that phase ends.
        for after in [], [(Kind.CLOSED, SEALED, 19.1)]:
            whole = reports(*before, *after, (Kind.OPENED, MISMATCH, 19.4))
            assert not explain([story], whole, MEASURING, NOW)
    assert explain([story], reports(*given, (Kind.OPENED, OPEN, 17.0)), MEASURING, NOW)
    assert explain([story], reports(given[0], *seen[3:]), MEASURING, NOW)
