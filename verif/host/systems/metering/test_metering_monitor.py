"""Seal monitoring watches clocks, covers, silence and unknown devices; tests set its clock by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from meterseal.clock import ManualClock
from meterseal.domain.record import Kind, StateClass
from meterseal.protocols import handover
from meterseal.protocols.csg1209022.alarm import AlarmState
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import DIR_UP, PRM, Frame, TerminalAddress, point_da
from meterseal.store import alarms, diagnostics, events, outbox
from meterseal.store.database import Database
from meterseal.systems.metering import standard_alarms
from meterseal.systems.metering.intake import Intake
from meterseal.systems.metering.monitor import Monitor
from meterseal.systems.metering.registry import Device, Registry
from meterseal.systems.metering.settings import Settings
from meterseal.systems.metering.tables import MARKETING, SCHEMA
from meterseal.systems.metering.unit_of_work import UnitOfWork
from meterseal.systems.metering.verification import Verifier

START = datetime(2026, 11, 22, 5, 5, tzinfo=UTC)
TERMINAL = "440106:1"


class System:
    """Runs intake and monitor on a real store, with one transaction for each call."""

    def __init__(self, path, registry):
        self.clock = ManualClock(START)
        self.monitor = Monitor(Settings(), registry)
        self.intake = Intake(self.monitor, Verifier({}))
        self.database = Database(path, SCHEMA)
        self.login = START

    def take(self, content, *, afn, di, da):
        address = TerminalAddress("440106", 1)
        frame = Frame.of(DIR_UP | PRM | 4, address, afn, 0, da, di, content, con=True)
        with self.database.transaction() as conn:
            return self.intake.report(conn, frame, self.clock.now(), self.login)

    def report(self, content, *, point=1):
        return self.take(content, afn=Afn.USER_DEFINED, di=UplinkDi.USER_DEFINED, da=point_da(point))

    def alarm(self, content, *, di=UplinkDi.TERMINAL_COVER_OPEN, da=None):
        return self.take(content, afn=Afn.ALARM, di=di, da=da or point_da(1))

    def tick(self, seconds=0.0):
        self.clock.advance(seconds)
        with self.database.transaction() as conn:
            self.monitor.tick(UnitOfWork(conn, self.clock.now()), START)

    @property
    def active(self):
        with self.database.reading() as conn:
            return {alarm.code.value for alarm in alarms.active(conn)}

    def all(self, query):
        with self.database.reading() as conn:
            return query(conn)


@pytest.fixture
def start(tmp_path):
    systems = []

    def begin(*devices):
        systems.append(System(tmp_path / "metering.db", Registry(devices)))
        return systems[-1]

    yield begin
    for system in systems:
        system.database.close()


@pytest.fixture
def system(start):
    return start()


def test_each_event_is_handed_on_once(system, make):
    for content in (make.report(1, at=START), make.report(1, at=START), make.opened(2, at=START)):
        system.report(content)
    items = system.all(lambda conn: outbox.due(conn, MARKETING, START))
    handed = [handover.decode(item.body) for item in items]
    assert [(one.counter, one.terminal, one.meter) for one in handed] == [
        (1, TERMINAL, make.meter),
        (2, TERMINAL, make.meter),
    ]
    assert {one.stored_at for one in handed} == {START}


def test_a_conflicting_copy_is_handed_on_too(system, make):
    for _ in range(2):
        system.report(make.report(1, at=START))
        system.report(make.opened(1, at=START))
    items = system.all(lambda conn: outbox.due(conn, MARKETING, START))
    assert [handover.decode(item.body).kind for item in items] == [Kind.BOOT, Kind.OPENED]


def test_a_gap_is_seen_here_too(system, make):
    system.report(make.report(1, at=START))
    system.report(make.report(3, at=START))
    assert system.active == {"SEAL_COUNTER_GAP"}
    system.report(make.report(2, at=START))
    assert system.active == set()


@pytest.mark.parametrize("offset", [61, 86400])
def test_a_meter_clock_ahead_is_alarmed_until_it_is_right(system, make, offset):
    system.report(make.report(1, at=START + timedelta(seconds=offset)))
    assert system.active == {"CLOCK_DRIFT"}
    (alarm,) = system.all(alarms.active)
    assert alarm.detail == f"meter {make.meter}: clock +{offset} s"
    system.report(make.report(2, at=START + timedelta(seconds=offset)))
    assert len(system.all(alarms.active)) == 1
    system.report(make.report(3, at=START + timedelta(seconds=59)))
    assert system.active == set()


def test_a_record_that_waited_for_the_connection_is_not_taken_for_drift(system, make):
    system.report(make.report(1, at=START - timedelta(hours=5)))
    assert system.active == set()
    # Dated after the login, yet an hour old when it comes, this record did not wait for the connection.
    system.clock.advance(7200)
    system.report(make.report(2, at=START + timedelta(seconds=3600)))
    assert system.active == {"CLOCK_DRIFT"}


def test_a_stock_meters_cover_alarm_is_raised_at_once_and_only_once(system, make):
    system.alarm(make.cover(START))
    system.alarm(make.cover(START))
    assert system.active == {"COVER_OPEN"}
    (alarm,) = system.all(alarms.active)
    assert (alarm.subject, alarm.detail) == (
        TERMINAL,
        "point 1: E200004D at 2026-11-22T13:05:00.000+08:00, no seal record",
    )
    system.alarm(make.cover(START + timedelta(hours=1)))
    assert len(system.all(alarms.active)) == 2


def test_a_recovered_cover_clears(system, make):
    system.alarm(make.cover(START))
    system.alarm(make.cover(START), di=UplinkDi.METER_COVER_OPEN)
    system.alarm(make.cover(START + timedelta(minutes=9), state=AlarmState.RECOVERED))
    (left,) = system.all(alarms.active)
    assert "E200004E" in left.detail


@pytest.mark.parametrize("record_first", [True, False])
def test_an_opening_with_its_seal_record_is_alarmed_once(system, make, record_first):
    system.report(make.report(1, at=START))
    both = [lambda: system.report(make.opened(2, at=START)), lambda: system.alarm(make.cover(START))]
    for send in both if record_first else reversed(both):
        send()
    system.tick(3600)
    assert "COVER_OPEN" not in system.active
    assert "SEAL_OPEN_UNMATCHED" in system.active
    with system.database.reading() as conn:
        stored = standard_alarms.get(conn, 1)
    assert (stored.seal, stored.counter) == (make.seal, 2)


def test_a_cover_alarm_whose_record_stays_away_is_raised_and_a_late_record_clears_it(system, make):
    system.report(make.report(1, at=START))
    system.alarm(make.cover(START + timedelta(seconds=2)))
    system.tick(29)
    assert system.active == set()
    system.tick(2)
    assert system.active == {"COVER_OPEN"}
    system.report(make.opened(2, at=START))
    assert system.active == {"SEAL_OPEN_UNMATCHED"}


@pytest.mark.parametrize(
    ("point", "later"),
    [(2, 0), (1, 60)],
    ids=["another measured point", "another time"],
)
def test_another_opening_explains_nothing(system, make, point, later):
    system.report(make.report(1, at=START, seal="000000000102"), point=2)
    system.report(make.report(1, at=START))
    system.alarm(make.cover(START))
    seal = {1: make.seal, 2: "000000000102"}[point]
    system.report(make.opened(2, at=START + timedelta(seconds=later), seal=seal), point=point)
    system.tick(31)
    assert "COVER_OPEN" in system.active


def test_a_registered_seal_is_waited_for_before_it_ever_reported(start, make):
    system = start(Device(make.seal, make.meter, TERMINAL, 1))
    system.alarm(make.cover(START))
    assert system.active == set()
    system.tick(31)
    assert system.active == {"COVER_OPEN"}


def test_an_alarm_for_several_points_is_stored_and_raised(system, make):
    system.alarm(make.cover(START), da=b"\x03\x01")
    (alarm,) = system.all(alarms.active)
    assert alarm.detail.startswith("DA 0301: E200004D")


def test_two_openings_in_one_second_are_both_stored(system, make):
    for count in (1, 2, 2):
        system.alarm(make.cover(START, count=count))
    stored = system.all(lambda conn: [standard_alarms.get(conn, row) for row in (1, 2)])
    assert [one.content for one in stored] == [make.cover(START, count=1), make.cover(START, count=2)]


def test_other_standard_alarms_are_stored_without_an_alarm(system):
    taken = system.alarm(bytes.fromhex("01094217130824") + b"\x10\x00", di=UplinkDi.RELAY_STATE_CHANGED)
    assert taken.understood
    assert system.active == set()
    with system.database.reading() as conn:
        assert standard_alarms.get(conn, 1).content[7:] == b"\x10\x00"


def test_a_registered_terminal_that_never_connects_is_lost(start, make):
    system = start(Device(make.seal, make.meter, TERMINAL, 1))
    with system.database.transaction() as conn:
        system.monitor.start(UnitOfWork(conn, START))
    system.tick(2249)
    assert system.active == set()
    system.tick(2)
    system.tick(9999)
    (alarm,) = system.all(alarms.active)
    assert (alarm.code, alarm.subject, alarm.detail) == ("TERMINAL_LOST", TERMINAL, "never heard")


def test_each_silence_is_an_alarm_of_its_own(system, make):
    for counter in (1, 2):
        system.report(make.report(counter, at=system.clock.now()))
        assert "TERMINAL_LOST" not in system.active
        system.tick(2251)
        assert "TERMINAL_LOST" in system.active
    assert len([one for one in system.all(alarms.list_all) if one.code == "TERMINAL_LOST"]) == 2


def test_a_seal_on_another_meter_than_registered_is_unknown(start, make):
    system = start(Device(make.seal, "000000000999", TERMINAL, 1))
    system.report(make.report(1, at=START))
    system.report(make.report(2, at=START))
    assert system.active == {"UNKNOWN_DEVICE"}
    assert len(system.all(events.history)) == 2
    assert [(one.what, one.detail, one.count) for one in system.all(diagnostics.list_all)] == [
        ("unknown_seal", make.seal, 2)
    ]


def test_an_unproved_state_neither_opens_nor_closes(system, make):
    system.report(make.report(1, at=START))
    system.report(make.report(2, Kind.BOOT, StateClass.UNKNOWN, at=START))
    assert system.active == set()
