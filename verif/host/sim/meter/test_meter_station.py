"""The meters at one end of the bus answer each request."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.clock import CST, ManualClock
from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.octets import bcd
from meterseal.protocols.dlt645 import Frame, requests
from meterseal.protocols.dlt645.active_report import TERMINAL_COVER_OPEN, ActiveReport
from meterseal.protocols.dlt645.cover import NO_ENERGIES, CoverRecord
from meterseal.protocols.dlt645.values import clock_bytes, date_bytes, text, text_bytes, time_bytes
from meterseal.sim.meter.device import Meter
from meterseal.sim.meter.journal import SCHEMA
from meterseal.sim.meter.process import MeterStation
from meterseal.store import alarms, diagnostics, events
from meterseal.store.database import Database
from meterseal.trace import Trace
from sealchip.interface import Di

NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)
METER, OTHER = "000000000012", "000000000013"
SEAL, STRANGER = "000000000101", "000000000999"
COVER, OPEN_NOW = 0x03300E00, 1 << TERMINAL_COVER_OPEN


class Bench:
    """Holds meters on a store, a clock that the test moves, and the trace of the meters."""

    def __init__(self, store: Path | str, *meters: str, seals: list[str] | None = None) -> None:
        self.clock = ManualClock(NOON)
        self.trace_lines = io.StringIO()
        trace = Trace("meter", as_json=True, stream=self.trace_lines, clock=self.clock)
        self.database = Database(store, SCHEMA)
        self.meters = [
            Meter(address, self.database, clock=self.clock, trace=trace, seals=seals)
            for address in meters or (METER,)
        ]
        self.station = MeterStation(self.meters, self.database, clock=self.clock, trace=trace)

    def send(self, raw: bytes) -> bytes | None:
        self.clock.advance(1)
        return self.station.take(raw, self.clock.monotonic())

    def ask(self, request: Frame) -> Frame | None:
        answer = self.send(request.encode())
        return None if answer is None else Frame.decode(answer)

    def read(self, di: int, parameters: bytes = b"", meter: str = METER) -> bytes:
        answer = self.ask(requests.read(meter, di, parameters))
        assert answer is not None
        assert answer.control == 0x91, f"{di:08X} refused with {answer.data.hex()}"
        return answer.content

    def refusal(self, request: Frame) -> int:
        answer = self.ask(request)
        assert answer is not None
        assert answer.refused
        return answer.data[0]

    def report(self, record: SealRecord, meter: str = METER) -> None:
        answer = self.ask(requests.write(meter, Di.REPORT, record.encode()))
        assert answer == Frame(meter, 0x94)

    def journal(self, meter: str = METER) -> list[JournalEntry]:
        bounds = self.read(Di.JOURNAL_BOUNDS, meter=meter)
        first, last = (int.from_bytes(bounds[at : at + 4], "little") for at in (0, 4))
        numbers = range(first, last + 1) if last else []
        return [
            JournalEntry.decode(self.read(Di.JOURNAL_ENTRY, number.to_bytes(4, "little"), meter))
            for number in numbers
        ]

    def alarms(self) -> set[tuple[str, str, bool]]:
        with self.database.reading() as conn:
            return {(alarm.code, alarm.subject, alarm.cleared_at is None) for alarm in alarms.list_all(conn)}

    def diagnostics(self) -> dict[str, int]:
        with self.database.reading() as conn:
            return {diagnostic.what: diagnostic.count for diagnostic in diagnostics.list_all(conn)}

    def lines(self, what: str) -> list[dict[str, object]]:
        lines = map(json.loads, self.trace_lines.getvalue().splitlines())
        return [line for line in lines if line["what"] == what]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "meter.db")
    yield bench
    bench.database.close()


def record(counter: int, kind: Kind, state: StateClass, *, seal: str = SEAL, **more: object) -> SealRecord:
    return SealRecord(seal, 1, counter, kind, state, **more)


BOOT = record(1, Kind.BOOT, StateClass.SEALED)
OPENED = record(2, Kind.OPENED, StateClass.OPEN)
CLOSED = record(3, Kind.CLOSED, StateClass.SEALED)


def test_a_report_is_stored_with_its_time_and_acknowledged(bench: Bench) -> None:
    aged = record(2, Kind.OPENED, StateClass.OPEN, age=90)
    bench.report(aged)
    (entry,) = bench.journal()
    received = NOON + timedelta(seconds=1)
    assert entry == JournalEntry(1, received - timedelta(seconds=90), received, aged.encode())
    with bench.database.reading() as conn:
        (event,) = events.history(conn)
    assert event.occurred_at == entry.occurred_at
    assert event.meter == METER


def test_a_repeated_report_is_acknowledged_again_and_stored_once(bench: Bench) -> None:
    bench.report(OPENED)
    bench.report(record(2, Kind.OPENED, StateClass.OPEN, age=7))
    assert [entry.record for entry in bench.journal()] == [OPENED.encode()]
    assert len(bench.lines("event")) == 1


def test_a_replayed_report_is_alarmed_and_written_down_once(bench: Bench) -> None:
    """A report is a replay once a newer one was acknowledged, because the seal would not repeat it then."""
    closed, opened = record(1, Kind.CLOSED, StateClass.SEALED), OPENED
    for report in (closed, closed, opened, opened, closed, closed):
        bench.report(report)
    assert [entry.record for entry in bench.journal()] == [each.encode() for each in (closed, opened, closed)]
    assert bench.alarms() == {("SEAL_OPEN_UNMATCHED", SEAL, True), ("SEAL_REPLAY", SEAL, True)}


def verdict(report: SealRecord, password: bytes = bytes(3)) -> Frame:
    found = RecordVerdict.on(report.encode(), VerdictCode.AUTH_FAIL).encode()
    return requests.write(METER, Di.VERDICT, found, password=b"\x02" + password)


def test_a_verdict_undoes_a_forged_closing(bench: Bench) -> None:
    """Alarm and standard records are as if the forgery had never come, and the seal's own closing counts."""
    for report in (BOOT, OPENED, CLOSED):
        bench.report(report)
    assert bench.alarms() == {("SEAL_OPEN_UNMATCHED", SEAL, False)}
    for _ in range(2):
        assert bench.ask(verdict(CLOSED)) == Frame(METER, 0x94)
    assert bench.alarms() == {("SEAL_OPEN_UNMATCHED", SEAL, True), ("SEAL_AUTH_FAIL", SEAL, True)}
    assert [line["code"] for line in bench.lines("alarm") if line["raised"]] == [
        "SEAL_OPEN_UNMATCHED",
        "SEAL_AUTH_FAIL",
        "SEAL_OPEN_UNMATCHED",
    ]
    assert CoverRecord.decode(bench.read(COVER + 1)).end is None
    bench.report(record(3, Kind.CLOSED, StateClass.SEALED, loop_mv=4000))
    closed_at = bench.clock.now()
    assert bench.alarms() == {("SEAL_OPEN_UNMATCHED", SEAL, False), ("SEAL_AUTH_FAIL", SEAL, True)}
    assert CoverRecord.decode(bench.read(COVER + 1)).end == closed_at
    assert bench.read(COVER) == b"\x01\0\0"


def test_every_forged_copy_goes_up_and_is_undone_again(bench: Bench) -> None:
    """An attacker who forges the same closing with another MAC each time never hides the opening for good."""
    bench.report(OPENED)
    forged = [record(3, Kind.CLOSED, StateClass.SEALED, mac=bytes([n]) * 8) for n in range(1, 5)]
    for each in forged:
        bench.report(each)
        bench.ask(verdict(each))
        assert ("SEAL_OPEN_UNMATCHED", SEAL, True) in bench.alarms()
    assert [entry.record for entry in bench.journal()] == [one.encode() for one in (OPENED, *forged)]
    bench.report(CLOSED)
    assert bench.journal()[-1].record == CLOSED.encode()
    assert ("SEAL_OPEN_UNMATCHED", SEAL, False) in bench.alarms()


def test_what_was_taken_for_a_repetition_of_a_forged_report_still_goes_up(bench: Bench) -> None:
    """The real closing is reported although an identical one with another MAC was forged in advance."""
    forged = record(3, Kind.CLOSED, StateClass.SEALED, mac=b"forgery!")
    for report in (OPENED, forged, CLOSED):
        bench.report(report)
    assert [entry.record for entry in bench.journal()] == [OPENED.encode(), forged.encode()]
    bench.ask(verdict(forged))
    assert bench.journal()[-1].record == CLOSED.encode()
    assert bench.alarms() == {("SEAL_OPEN_UNMATCHED", SEAL, False), ("SEAL_AUTH_FAIL", SEAL, True)}
    cover = CoverRecord.decode(bench.read(COVER + 1))
    assert cover.end == bench.journal()[-1].occurred_at


def test_a_verdict_needs_the_password_and_a_meaning(bench: Bench) -> None:
    bench.report(OPENED)
    before = bench.alarms()
    assert bench.refusal(verdict(OPENED, b"\1\2\3")) == 0x04
    for garbled in (b"", bytes(19)):
        assert bench.refusal(requests.write(METER, Di.VERDICT, garbled, password=b"\x02\0\0\0")) == 0x01
    assert bench.alarms() == before


def test_an_opening_is_mirrored_into_the_standard_items(bench: Bench) -> None:
    bench.report(BOOT)
    assert bench.read(COVER) == bytes(3)
    assert CoverRecord.decode(bench.read(COVER + 1)) == CoverRecord(None, None, (0,) * 6, (0,) * 6)
    assert ActiveReport.decode(bench.read(0x04001501)) == ActiveReport({})
    bench.report(OPENED)
    opened_at = bench.clock.now()
    assert bench.read(COVER) == b"\x01\0\0"
    assert ActiveReport.decode(bench.read(0x04001501)) == ActiveReport({TERMINAL_COVER_OPEN: 1})
    still_open = CoverRecord.decode(bench.read(COVER + 1))
    assert (still_open.start, still_open.end, still_open.after) == (opened_at, None, NO_ENERGIES)
    bench.clock.advance(3600)
    bench.report(CLOSED)
    closed_at = bench.clock.now()
    closed = CoverRecord.decode(bench.read(COVER + 1))
    assert (closed.start, closed.end) == (opened_at, closed_at)
    assert closed.before == still_open.before
    assert None not in closed.after
    assert closed.after[0] > closed.before[0]


def test_the_newest_opening_is_record_1_and_the_eleventh_back_is_gone(bench: Bench) -> None:
    bench.report(BOOT)
    starts = []
    for counter in range(2, 26, 2):
        bench.report(record(counter, Kind.OPENED, StateClass.OPEN))
        starts.append(bench.clock.now())
        bench.report(record(counter + 1, Kind.CLOSED, StateClass.SEALED))
    assert bench.read(COVER) == bcd.bcd(12, 3)
    back = [CoverRecord.decode(bench.read(COVER + n)).start for n in range(1, 11)]
    assert back == starts[:1:-1]
    assert bench.refusal(requests.read(METER, COVER + 11)) == 0x02


def test_an_opening_without_power_is_mirrored_when_the_boot_finds_it(bench: Bench) -> None:
    bench.report(BOOT)
    bench.report(record(2, Kind.BOOT, StateClass.OPEN, flags=Flags.UNOBSERVED))
    assert bench.read(COVER) == b"\x01\0\0"
    assert {("SEAL_OPEN_UNMATCHED", SEAL, True), ("SEAL_UNOBSERVED", SEAL, True)} <= bench.alarms()


def test_a_closing_that_came_before_its_opening_ends_it(bench: Bench) -> None:
    bench.report(BOOT)
    bench.report(record(3, Kind.CLOSED, StateClass.SEALED, age=10))
    bench.report(record(2, Kind.OPENED, StateClass.OPEN, age=60))
    cover = CoverRecord.decode(bench.read(COVER + 1))
    assert cover.end is not None
    assert cover.start < cover.end
    assert all(not active for _, _, active in bench.alarms())


def test_the_active_report_word_is_cleared_bit_by_bit_and_the_records_stay(bench: Bench) -> None:
    bench.report(OPENED)
    password = b"\x02\0\0\0"
    keep = requests.write(METER, 0x04001503, OPEN_NOW.to_bytes(12, "little"), password=password)
    assert bench.ask(keep) == Frame(METER, 0x94)
    assert ActiveReport.decode(bench.read(0x04001501)).counts
    assert bench.ask(requests.write(METER, 0x04001503, bytes(12), password=password)) == Frame(METER, 0x94)
    assert not ActiveReport.decode(bench.read(0x04001501)).counts
    assert bench.read(COVER) == b"\x01\0\0"
    bench.report(record(4, Kind.OPENED, StateClass.OPEN))
    assert ActiveReport.decode(bench.read(0x04001501)) == ActiveReport({TERMINAL_COVER_OPEN: 1})


def test_seal_records_are_mirrored_newest_first(bench: Bench) -> None:
    assert bench.refusal(requests.read(METER, Di.RECORD_NEWEST)) == 0x02
    for report in (BOOT, OPENED, CLOSED):
        bench.report(report)
    assert bench.read(Di.RECORD_NEWEST) == CLOSED.encode()
    assert [bench.read(Di.RECORD_HISTORY + n) for n in range(3)] == [
        CLOSED.encode(),
        OPENED.encode(),
        BOOT.encode(),
    ]
    assert bench.refusal(requests.read(METER, Di.RECORD_HISTORY + 3)) == 0x02


def test_an_asset_number_is_kept_with_its_seal_and_readable(bench: Bench) -> None:
    bench.report(BOOT)
    identity = bcd.address_bytes(SEAL) + text_bytes("SEAL-2026-0101", 32)
    for _ in range(2):
        assert bench.ask(requests.write(METER, Di.REPORT_IDENTITY, identity)) == Frame(METER, 0x94)
    assert bench.read(Di.REPORT_IDENTITY) == identity
    assert bench.read(Di.REPORT_IDENTITY, bcd.address_bytes(SEAL)) == identity
    assert bench.refusal(requests.read(METER, Di.REPORT_IDENTITY, bcd.address_bytes(STRANGER))) == 0x02


def test_a_strange_seal_is_stored_alarmed_and_not_taken_for_an_own_one(bench: Bench) -> None:
    bench.report(BOOT)
    strange = record(7, Kind.OPENED, StateClass.OPEN, seal=STRANGER)
    bench.report(strange)
    assert [entry.record for entry in bench.journal()] == [BOOT.encode(), strange.encode()]
    assert {("UNKNOWN_DEVICE", STRANGER, True), ("SEAL_OPEN_UNMATCHED", STRANGER, True)} == bench.alarms()
    assert bench.read(Di.RECORD_NEWEST) == BOOT.encode()
    assert bench.diagnostics() == {"unknown_seal": 1}


def test_with_its_seals_named_a_meter_binds_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "meter.db", seals=[SEAL])
    bench.report(record(1, Kind.BOOT, StateClass.SEALED, seal=STRANGER))
    assert bench.alarms() == {("UNKNOWN_DEVICE", STRANGER, True)}
    bench.database.close()


def test_a_contradicting_copy_is_kept_beside_the_first(bench: Bench) -> None:
    bench.report(OPENED)
    other = record(2, Kind.CLOSED, StateClass.SEALED)
    bench.report(other)
    bench.report(other)
    assert [entry.record for entry in bench.journal()] == [OPENED.encode(), other.encode()]
    assert ("EVIDENCE_CONFLICT", SEAL, True) in bench.alarms()


def test_an_unreadable_record_is_refused_counted_and_alarmed(bench: Bench) -> None:
    future = b"\x09" + OPENED.encode()[1:]
    assert bench.refusal(requests.write(METER, Di.REPORT, future)) == 0x01
    assert bench.refusal(requests.write(METER, Di.REPORT, future[:-1])) == 0x01
    assert bench.diagnostics() == {"unreadable_record": 2}
    assert bench.alarms() == {("RECORD_UNREADABLE", METER, True)}
    assert bench.journal() == []


def test_a_seal_without_a_meter_address_reports_to_the_only_one(tmp_path: Path, bench: Bench) -> None:
    report = requests.write("A" * 12, Di.REPORT, OPENED.encode())
    assert bench.ask(report) == Frame(METER, 0x94)
    two = Bench(tmp_path / "two.db", METER, OTHER)
    assert two.ask(report) is None
    two.database.close()


def test_an_age_beyond_the_calendar_does_no_harm(bench: Bench) -> None:
    bench.report(record(1, Kind.BOOT, StateClass.SEALED, age=0xFFFFFFFF))
    assert bench.journal()[0].occurred_at == datetime(2000, 1, 1, tzinfo=CST)


@pytest.mark.parametrize("level", [2, 4])
def test_the_clock_is_read_and_set_and_stays_set(tmp_path: Path, level: int) -> None:
    bench = Bench(tmp_path / "meter.db")
    password = bytes([level, 0, 0, 0])
    to = datetime(2026, 11, 22, 12, 0, 30, tzinfo=CST)
    for di, data in (
        (0x0400010C, clock_bytes(to)),
        (0x04000102, time_bytes(to)),
        (0x04000101, date_bytes(to)),
    ):
        assert bench.ask(requests.write(METER, di, data, password=password)) == Frame(METER, 0x94)
    assert bench.read(0x0400010C)[1:] == clock_bytes(to)[1:]
    assert bench.diagnostics() == {}
    tomorrow = to + timedelta(days=1)
    bench.ask(requests.broadcast_time(tomorrow))
    assert bench.read(0x04000101) == date_bytes(tomorrow)
    assert bench.diagnostics() == {"clock_step": 1}
    bench.database.close()
    again = Bench(tmp_path / "meter.db")
    again.report(OPENED)
    assert again.journal()[0].received_at.astimezone(CST).date() == tomorrow.date()
    again.database.close()


def test_the_clock_needs_the_password(bench: Bench) -> None:
    for password in (b"\x02\x01\0\0", b"\x03\0\0\0", bytes(4)):
        request = requests.write(METER, 0x04000102, bytes(3), password=password)
        assert bench.refusal(request) == 0x04
    assert bench.refusal(requests.write(METER, 0x04000102, b"\x99\0\0", password=b"\x02\0\0\0")) == 0x01
    assert bench.diagnostics() == {"wrong_password": 3}


def test_address_numbers_and_energies_are_read(bench: Bench) -> None:
    assert bench.read(0x04000401) == bench.read(0x04000402) == bcd.address_bytes(METER)
    assert text(bench.read(0x04000403)) == f"METER{METER}"
    assert bench.ask(requests.read_address()) == Frame(METER, 0x93, bcd.address_bytes(METER))
    before = bcd.number(bench.read(0x00010000))
    bench.clock.advance(86400)
    assert bcd.number(bench.read(0x00010000)) > before > 0
    assert bench.refusal(requests.read(METER, 0x04999999)) == 0x02


def test_shortened_addresses_are_answered_with_the_full_one(bench: Bench) -> None:
    answer = bench.ask(requests.read("AAAAAAAA0012", 0x04000401))
    assert answer is not None
    assert answer.address == METER


def test_two_meters_at_one_end_keep_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "meter.db", METER, OTHER)
    bench.report(OPENED)
    bench.report(record(1, Kind.BOOT, StateClass.SEALED, seal=STRANGER), OTHER)
    assert len(bench.journal()) == len(bench.journal(OTHER)) == 1
    assert bench.read(COVER, meter=OTHER) == bytes(3)
    assert bench.ask(requests.read_address()) is None
    assert bench.diagnostics() == {"answers_collide": 1}
    bench.database.close()


def test_bad_and_foreign_frames_are_counted_in_silence(bench: Bench) -> None:
    good = requests.read(METER, COVER).encode()
    assert bench.send(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:]) is None
    bench.clock.advance(1)
    assert bench.send(b"") is None
    assert bench.send(requests.read(OTHER, COVER).encode()) is None
    assert bench.send(b"\x00\xff\x13") is None
    assert bench.send(Frame(METER, 0x14, bytes(3)).encode()) is None
    assert bench.diagnostics() == {
        "bad_checksum": 1,
        "foreign_address": 1,
        "garbage": 1,
        "malformed_request": 1,
    }
    assert bench.send(Frame(OTHER, 0x91, bytes(7)).encode()) is None
    assert bench.send(b"\x55" + good) is not None


def test_of_two_requests_in_one_read_the_last_is_answered_and_both_are_stored(bench: Bench) -> None:
    both = b"".join(requests.write(METER, Di.REPORT, each.encode()).encode() for each in (BOOT, OPENED))
    answer = bench.send(both)
    assert answer is not None
    assert Frame.decode(answer) == Frame(METER, 0x94)
    assert len(bench.journal()) == 2


def test_nothing_is_cleared_by_a_master(bench: Bench) -> None:
    bench.report(OPENED)
    for request in (requests.clear_events(METER), requests.clear_meter(METER)):
        assert bench.refusal(request) == 0x04
    assert bench.read(COVER) == b"\x01\0\0"


HISTORY = [
    record(counter, *what)
    for counter, what in enumerate(
        [
            (Kind.BOOT, StateClass.SEALED),
            (Kind.OPENED, StateClass.OPEN),
            (Kind.CLOSED, StateClass.SEALED),
            (Kind.OPENED, StateClass.OPEN),
            (Kind.BOOT, StateClass.SEALED),
            (Kind.BOOT, StateClass.SEALED),
        ],
        start=1,
    )
]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(HISTORY), max_size=8), st.permutations(HISTORY))
def test_any_order_and_repetition_stores_each_event_once(
    noise: list[SealRecord], order: list[SealRecord]
) -> None:
    """Each event is stored once, and once more if it is replayed after a newer one."""
    with TemporaryDirectory() as directory:
        bench = Bench(Path(directory) / "meter.db")
        known: set[int] = set()
        replayed: set[int] = set()
        for report in (*noise, *order, *noise):
            if report.counter in known and report.counter < max(known):
                replayed.add(report.counter)
            known.add(report.counter)
            bench.report(report)
        entries = bench.journal()
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        expected = [*HISTORY, *(HISTORY[counter - 1] for counter in replayed)]
        assert Counter(entry.record for entry in entries) == Counter(map(SealRecord.encode, expected))
        assert bench.read(COVER) == bcd.bcd(2, 3)
        assert all(CoverRecord.decode(bench.read(COVER + n)).end for n in (1, 2))
        bench.database.close()
