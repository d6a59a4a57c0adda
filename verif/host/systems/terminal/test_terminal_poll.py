"""The terminal's poller reads real meters and stores what they answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meterseal.clock import ManualClock
from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.octets import bcd
from meterseal.protocols.csg1209022.alarm import CoverAlarm
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import point_da
from meterseal.protocols.csg1209022.user_data import SealReport
from meterseal.protocols.dlt645 import Frame, requests
from meterseal.protocols.dlt645.cover import CoverRecord
from meterseal.sim.meter.device import Meter
from meterseal.sim.meter.journal import SCHEMA as METER_SCHEMA
from meterseal.sim.meter.process import MeterStation
from meterseal.store import alarms, diagnostics, events
from meterseal.store.applied import Applied
from meterseal.store.database import Database
from meterseal.systems.terminal.bus import RefusedError, SilentError
from meterseal.systems.terminal.poll import ENTRIES, Poller
from meterseal.systems.terminal.store import SCHEMA, Message, TerminalStore
from meterseal.trace import Trace
from sealchip.interface import Di

NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)
METER, SEAL = "000000000012", "000000000101"
COVER = 0x03300E00


class World:
    """Connects a terminal's store and poller with a real meter, by call instead of by wire."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock(NOON)
        self.directory = directory
        self.applied: list[Applied] = []
        #: A function between request and meter; it may answer, raise, or return None to let the meter answer.
        self.interfere: Callable[[Frame], bytes | None] = lambda request: None
        self.asked: list[int] = []
        self.new_meter("meter")
        self.new_terminal()

    def new_meter(self, name: str) -> None:
        self.meter_database = Database(self.directory / f"{name}.db", METER_SCHEMA)
        trace = Trace("meter", stream=io.StringIO())
        meter = Meter(METER, self.meter_database, clock=self.clock, trace=trace)
        self.station = MeterStation([meter], self.meter_database, clock=self.clock, trace=trace)

    def new_terminal(self) -> None:
        """Restart the terminal, so that only what is in the file is left."""
        self.database = Database(self.directory / "terminal.db", SCHEMA)
        self.store = TerminalStore(self.database, self.clock, "440106:1", {METER: 9})
        self.poller = Poller(
            self.ask, self.store, self.clock, lambda meter, applied: self.applied.append(applied)
        )

    def close(self) -> None:
        self.database.close()
        self.meter_database.close()

    async def ask(self, request: Frame) -> bytes:
        assert request.di is not None
        self.asked.append(request.di)
        if (content := self.interfere(request)) is not None:
            return content
        raw = self.station.take(request.encode(), self.clock.monotonic())
        assert raw is not None
        answer = Frame.decode(raw)
        if answer.refused:
            raise RefusedError
        return answer.content

    def report(self, counter: int, kind: Kind, state: StateClass) -> None:
        self.clock.advance(60)
        record = SealRecord(SEAL, 1, counter, kind, state).encode()
        assert self.station.take(requests.write(METER, Di.REPORT, record).encode(), self.clock.monotonic())

    def open_and_close(self, times: int) -> None:
        for counter in range(1, 2 * times, 2):
            self.report(counter, Kind.OPENED, StateClass.OPEN)
            self.report(counter + 1, Kind.CLOSED, StateClass.SEALED)

    def turn(self) -> bool:
        self.asked.clear()
        return asyncio.run(self.poller.turn(METER))

    def poll(self) -> None:
        while self.turn():
            pass

    def messages(self) -> list[Message]:
        """Return all messages to the master station, oldest first, and confirm each."""
        messages = []
        while (message := self.store.next_message()) is not None:
            self.store.delivered(message.id)
            messages.append(message)
        return messages

    def alarms(self) -> list[tuple[str, str, int, bool]]:
        with self.database.reading() as conn:
            return [
                (alarm.code, alarm.subject, alarm.counter, alarm.cleared_at is None)
                for alarm in alarms.list_all(conn)
            ]

    def counters(self) -> list[int]:
        with self.database.reading() as conn:
            return [event.counter for event in reversed(events.history(conn))]

    def diagnostics_by_name(self) -> dict[str, int]:
        with self.database.reading() as conn:
            return {row.what: row.count for row in diagnostics.list_all(conn)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def opened_numbers(messages: list[Message]) -> list[int]:
    alarms = [message for message in messages if message.afn == Afn.ALARM]
    assert {message.di for message in alarms} <= {UplinkDi.TERMINAL_COVER_OPEN}
    return [CoverAlarm.decode(message.content).count for message in alarms]


def test_every_entry_and_every_opening_goes_up_once(world: World) -> None:
    world.poll()
    assert world.messages() == []
    world.report(1, Kind.OPENED, StateClass.OPEN)
    opened_at = world.clock.now()
    world.poll()
    report, alarm = world.messages()
    assert (report.afn, report.da, report.di) == (Afn.USER_DEFINED, point_da(9), UplinkDi.USER_DEFINED)
    assert SealReport.decode(report.content).entry.occurred_at == opened_at
    assert (alarm.afn, alarm.da, alarm.di) == (Afn.ALARM, point_da(9), UplinkDi.TERMINAL_COVER_OPEN)
    assert CoverAlarm.decode(alarm.content).at == opened_at
    assert world.alarms() == [("SEAL_OPEN_UNMATCHED", SEAL, 1, True)]
    world.report(2, Kind.CLOSED, StateClass.SEALED)
    world.poll()
    world.poll()
    assert [message.afn for message in world.messages()] == [Afn.USER_DEFINED]
    assert world.alarms() == [("SEAL_OPEN_UNMATCHED", SEAL, 1, False)]
    assert world.counters() == [1, 2]


def test_a_quiet_meter_costs_one_exchange_a_poll(world: World) -> None:
    world.poll()
    world.turn()
    assert world.asked == [Di.JOURNAL_BOUNDS]


def test_a_long_journal_is_read_in_turns(world: World) -> None:
    world.open_and_close(2 * ENTRIES)
    assert world.turn()
    assert world.counters() == list(range(1, ENTRIES + 1))
    world.poll()
    assert world.counters() == list(range(1, 4 * ENTRIES + 1))
    assert opened_numbers(world.messages()) == list(range(1, 2 * ENTRIES + 1))


def test_a_terminal_that_starts_again_goes_on_where_it_was(world: World) -> None:
    world.open_and_close(3)
    world.turn()
    sent = world.messages()
    world.database.close()
    world.new_terminal()
    world.poll()
    sent += world.messages()
    assert world.counters() == [1, 2, 3, 4, 5, 6]
    assert sorted(opened_numbers(sent)) == [1, 2, 3]
    assert len(sent) == 9


def test_a_replaced_meter_is_read_from_its_beginning_and_nothing_goes_up_twice(world: World) -> None:
    world.open_and_close(2)
    world.poll()
    assert len(world.messages()) == 6
    world.meter_database.close()
    world.new_meter("other")
    world.report(4, Kind.CLOSED, StateClass.SEALED)
    world.report(5, Kind.OPENED, StateClass.OPEN)
    world.poll()
    again = world.messages()
    assert [SealReport.decode(again[0].content).entry.number, len(again)] == [2, 2]
    assert opened_numbers(again) == [1]
    assert world.diagnostics_by_name() == {"journal_restarted": 1, "covers_restarted": 1}


def test_an_opening_between_the_records_shifts_nothing(world: World) -> None:
    world.open_and_close(1)
    surprised = []

    def surprise(request: Frame) -> bytes | None:
        if request.di == COVER + 1 and not surprised:
            surprised.append(True)
            world.report(3, Kind.OPENED, StateClass.OPEN)
        return None

    world.interfere = surprise
    world.poll()
    alarms = [CoverAlarm.decode(message.content) for message in world.messages() if message.afn == Afn.ALARM]
    assert [alarm.count for alarm in alarms] == [1, 2]
    assert alarms[0].at < alarms[1].at


def test_a_stock_meter_yields_its_cover_records(world: World) -> None:
    starts = [NOON - timedelta(hours=hours) for hours in (3, 2, 1)]

    def stock(request: Frame) -> bytes | None:
        assert request.di is not None
        if request.di == COVER:
            return bcd.bcd(len(starts), 3)
        if COVER < request.di <= COVER + len(starts):
            return CoverRecord(starts[COVER - request.di], None, (1,) * 6).encode()
        raise RefusedError

    world.interfere = stock
    world.poll()
    alarms = [CoverAlarm.decode(message.content) for message in world.messages()]
    assert [(alarm.count, alarm.at) for alarm in alarms] == list(enumerate(starts, 1))
    assert [alarm[:3] for alarm in world.alarms()] == [("COVER_OPEN", METER, number) for number in (1, 2, 3)]
    world.turn()
    assert world.asked == [COVER]
    starts.append(NOON)
    world.poll()
    assert opened_numbers(world.messages()) == [4]


def test_openings_without_a_readable_record_still_go_up(world: World) -> None:
    def stock(request: Frame) -> bytes | None:
        if request.di == COVER:
            return b"\x02\0\0"
        if request.di == COVER + 1:
            return bytes(72)
        raise RefusedError

    world.interfere = stock
    world.poll()
    alarms = [CoverAlarm.decode(message.content) for message in world.messages()]
    assert [(alarm.count, alarm.at) for alarm in alarms] == [(1, NOON), (2, NOON)]
    with world.database.reading() as conn:
        assert [kept.raw for kept in diagnostics.kept(conn)] == [bytes(72), b""]


def test_a_record_of_an_unknown_layout_goes_up_as_it_is(world: World) -> None:
    record = b"\x09" + bytes(37)
    entry = JournalEntry(1, NOON, NOON, record)

    def future(request: Frame) -> bytes | None:
        return {Di.JOURNAL_BOUNDS: b"\1\0\0\0\1\0\0\0", Di.JOURNAL_ENTRY: entry.encode()}.get(Di(request.di))

    world.interfere = lambda request: future(request) if request.di in tuple(Di) else None
    world.poll()
    (message,) = world.messages()
    assert SealReport.decode(message.content).entry == entry
    assert world.alarms() == [("RECORD_UNREADABLE", METER, 1, True)]


def test_a_disturbed_entry_is_read_again_and_a_wrong_one_hides_none_that_follows(world: World) -> None:
    world.open_and_close(1)
    disturbed = [b"\xff" * 54]

    def disturb(request: Frame) -> bytes | None:
        return disturbed.pop() if disturbed and request.di == Di.JOURNAL_ENTRY else None

    world.interfere = disturb
    with pytest.raises(SilentError):
        world.turn()
    world.poll()
    assert world.counters() == [1, 2]
    assert world.diagnostics_by_name() == {"bad_journal_entry": 1}

    world.report(3, Kind.OPENED, StateClass.OPEN)
    world.report(4, Kind.CLOSED, StateClass.SEALED)
    third = requests.read(METER, Di.JOURNAL_ENTRY, (3).to_bytes(4, "little"))
    world.interfere = lambda request: b"nonsense" if request == third else None
    for _ in range(2):
        with pytest.raises(SilentError):
            world.turn()
    world.poll()
    assert world.counters() == [1, 2, 4]
    assert ("RECORD_UNREADABLE", METER, 1, True) in world.alarms()


def test_a_contradicting_copy_goes_up_too(world: World) -> None:
    world.report(1, Kind.OPENED, StateClass.OPEN)
    world.report(1, Kind.BOOT, StateClass.SEALED)
    world.poll()
    assert len([message for message in world.messages() if message.afn == Afn.USER_DEFINED]) == 2
    assert ("EVIDENCE_CONFLICT", SEAL, 1, True) in world.alarms()


def test_a_wrong_meter_clock_is_alarmed_until_it_is_right(world: World) -> None:
    wrong = requests.broadcast_time(NOON + timedelta(seconds=37)).encode()
    world.station.take(wrong, 0.0)
    world.clock.advance(30)
    world.poll()
    assert world.alarms() == [("CLOCK_DRIFT", METER, 1, True)]
    assert world.applied[-1].raised[0].detail == "meter clock +37 s"
    world.clock.advance(3600)
    world.station.take(requests.broadcast_time(world.clock.now()).encode(), 0.0)
    world.poll()
    assert world.alarms() == [("CLOCK_DRIFT", METER, 1, False)]


def test_what_the_station_does_not_confirm_is_kept_and_what_it_denies_waits(world: World) -> None:
    world.report(1, Kind.OPENED, StateClass.OPEN)
    world.poll()
    first = world.store.next_message()
    assert first is not None
    world.store.unconfirmed(first.id)
    assert world.store.next_message() == first
    world.store.refused(first.id)
    second = world.store.next_message()
    assert second is not None
    assert second.afn == Afn.ALARM
    assert world.store.unsent_alarms() == [second]
    world.store.delivered(second.id)
    assert world.store.next_message() is None
    world.clock.advance(3601)
    assert world.store.next_message() == first
