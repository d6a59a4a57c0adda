"""The chip reports events to its meter until each report is acknowledged."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.domain.layout import unpack
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.signing import sign
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import BAUD_FEATURE, IDENTITY_REPORT, Di
from verif.benches.chip import (
    FIRST_REPORT,
    MAKING_SECONDS,
    REPORT_BYTES,
    REPORT_SECONDS,
    STEP,
    Bench,
    flashes_red,
    lamps,
    meter_address,
    seal_address,
    seal_key,
)


def test_power_up_reports_state_and_asset_number(bench: Bench) -> None:
    bench.power()
    bench.run(FIRST_REPORT + 1)
    report, introduction = bench.heard
    assert report.at <= FIRST_REPORT + 2 * STEP
    assert report.frame.address == meter_address(1)
    boot = SealRecord(seal=seal_address(1), boot=1, counter=1, kind=Kind.BOOT, state=StateClass.OPEN)
    assert report.record == sign(seal_key(1), boot)
    fields = unpack(IDENTITY_REPORT, introduction.frame.data[12:])
    assert introduction.frame.di == Di.REPORT_IDENTITY
    assert fields["asset"].rstrip(b"\0")[::-1] == b"GD-FY-000001"
    assert fields["seal"] == bytes.fromhex(seal_address(1))[::-1]


def test_opening_and_closing_are_reported(settled: Bench) -> None:
    for closed, kind, state in (
        (False, Kind.OPENED, StateClass.OPEN),
        (True, Kind.CLOSED, StateClass.SEALED),
    ):
        moved = settled.bus.now
        settled.bus.position(0, closed=closed)
        settled.run(1.0)
        (report,) = settled.heard
        # On an idle bus the report takes debounce time and frame; the bench checks every `STEP`.
        assert report.at - moved <= 0.020 + 0.001 + REPORT_SECONDS + STEP
        assert (report.record.kind, report.record.state) == (kind, state)
        assert lamps(settled) == (closed, not closed)
        settled.heard.clear()


@pytest.mark.parametrize("baud", BAUD_FEATURE.values())
def test_begins_ahead_only_where_the_record_is_there_in_time(tmp_path: Path, baud: int) -> None:
    """A report begins with its event, or when its record is ready, and is sent whole.

    Nothing else is on the bus.
    """
    bench, heard, frame = Bench(tmp_path, baud=baud), b"", REPORT_BYTES
    try:
        bench.bus.position(0, closed=True)
        bench.power()
        bench.run(6.0)
        moved = bench.bus.now
        bench.bus.position(0, closed=False)
        while len(heard) < frame and bench.bus.now < moved + 3.0:
            bench.bus.run(STEP)
            heard += bench.bus.read(0)
        begun = bench.bus.now - moved - frame * 11 / baud
        assert (begun < 0.021 + STEP) == (baud <= 2400)
        assert begun < 0.021 + MAKING_SECONDS + STEP
        bench.run(0.3)
        assert not bench.bus.read(0)
    finally:
        bench.close()
    (report,) = Decoder().feed(heard, 0.0)
    assert isinstance(report, Received)
    assert report.frame.di == Di.REPORT


@given(
    edges=st.lists(st.floats(0.0001, 0.015), min_size=2, max_size=15).filter(lambda times: sum(times) < 0.9),
)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
def test_bounce_is_one_event(tmp_path_factory: pytest.TempPathFactory, edges: list[float]) -> None:
    """A contact that bounces with pauses under the debounce time in any way causes one opening."""
    bench = Bench(tmp_path_factory.mktemp("bounce"))
    try:
        bench.bus.position(0, closed=True)
        bench.power()
        bench.run(3.0)
        bench.heard.clear()
        closed = True
        for pause in edges:
            closed = not closed
            bench.bus.position(0, closed=closed)
            bench.bus.run(pause)
        bench.bus.position(0, closed=False)
        bench.run(1.5)
        (record,) = bench.reports()
        assert record.kind is Kind.OPENED
        assert bool(record.flags & Flags.EXCURSIONS) == (len(edges) > 1)
    finally:
        bench.close()


def test_report_until_acknowledged(bench: Bench) -> None:
    """Without an answer a report is repeated after 0.5, 1, 2 … s, and the LED is red.

    A wrong answer does not count; the right one ends the repetitions.
    """
    bench.answering = False
    bench.bus.position(0, closed=True)
    bench.power()
    bench.run(12.0)
    times = [heard.at for heard in bench.heard]
    assert len(times) >= 4
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(later > earlier for earlier, later in pairwise(gaps))
    assert {record.counter for record in bench.reports()} == {1}
    for at, record in zip(times, bench.reports(), strict=True):
        assert record.age <= at - REPORT_SECONDS < record.age + 1 + MAKING_SECONDS
    assert flashes_red(bench)

    count = len(bench.heard)
    bench.run(40.0, until=lambda: len(bench.heard) > count)
    bench.bus.write(0, Frame(meter_address(2), 0x94).encode())  # another meter's answer
    bench.run(2.0)
    assert flashes_red(bench)
    bench.answering = True
    bench.run(70.0, until=lambda: lamps(bench) == (True, False))
    count = len(bench.reports())
    bench.run(70.0)
    assert len(bench.reports()) == count


def test_the_stored_rate_comes_back(settled: Bench) -> None:
    """After 17H to a rate that no meter follows, reports are at the old rate from the longest back-off on."""
    (answer,) = settled.ask(Frame(seal_address(1), 0x17, b"\x10"))
    assert answer.frame.control == 0x97
    settled.heard.clear()
    settled.bus.position(0, closed=False)
    moved = settled.bus.now
    settled.run(60.0)
    assert settled.heard == []
    settled.run(60.0, until=lambda: bool(settled.heard))
    (report,) = settled.reports()
    assert report.kind is Kind.OPENED
    assert report.age >= int(settled.bus.now - moved) - 2
    settled.run(1.0)
    assert settled.bus.chip(0).lamps & 1 == 0


def test_error_answer_does_not_acknowledge(bench: Bench) -> None:
    bench.answering = False
    bench.power()
    bench.run(5.0, until=lambda: bool(bench.heard))
    bench.bus.write(0, Frame(meter_address(1), 0xD4, b"\x04").encode())
    bench.run(3.0)
    assert [record.counter for record in bench.reports()][:2] == [1, 1]


def test_age(bench: Bench) -> None:
    """A report that waits for its meter states the age of its event."""
    bench.answering = False
    bench.power()
    bench.run(2.0)
    bench.bus.position(0, closed=True)
    happened = bench.bus.now
    bench.run(300.0)
    bench.answering = True
    bench.run(70.0, until=lambda: any(record.counter == 2 for record in bench.reports()))
    heard = bench.heard[-1]
    assert heard.record.counter == 2
    assert abs(heard.record.age - (heard.at - REPORT_SECONDS - happened)) <= 1


def test_a_report_that_waits_is_made_anew(settled: Bench) -> None:
    """A report that waited for seconds because the bus was busy is made anew when it is sent."""
    settled.answering = False
    settled.bus.position(0, closed=False)
    moved = settled.bus.now
    while settled.bus.now - moved < 4.5:
        settled.bus.write(0, requests.read(meter_address(7), 0x00010000).encode())
        settled.run(0.3)
    assert settled.reports() == []
    settled.run(3.0, until=lambda: bool(settled.heard))
    (heard,) = settled.heard
    begun = heard.at - REPORT_SECONDS
    assert 0 <= begun - moved - heard.record.age < 2.1
