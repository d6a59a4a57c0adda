"""Seals share one bus with meters and a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from meterseal.domain.record import Kind, SealRecord
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.control import TD_MAX
from meterseal.protocols.dlt645.frame import Frame
from meterseal.sim.chip.bus import ByteSeen
from verif.benches.chip import BAUD, REPORT_SECONDS, Bench, flashes_red, lamps, meter_address


def test_waits_for_the_answer_of_others(settled: Bench) -> None:
    """After a request to another station the seal leaves 500 ms for the answer."""
    settled.answering = False
    settled.bus.write(0, requests.read(meter_address(7), 0x00010000).encode())
    settled.bus.run(16 * 11 / BAUD)
    asked = settled.bus.now
    settled.bus.position(0, closed=False)
    settled.run(3.0, until=lambda: bool(settled.heard))
    begun = settled.heard[0].at - REPORT_SECONDS
    assert begun - asked > TD_MAX


def test_transmits_soon_after_an_answer(settled: Bench) -> None:
    settled.answering = False
    settled.bus.position(0, closed=False)
    settled.bus.run(0.018)  # the debounce time of the opening ends while the bus is busy
    settled.bus.write(0, requests.read(meter_address(7), 0x00010000).encode())
    settled.bus.run(0.15)
    settled.bus.write(0, Frame(meter_address(7), 0x91, bytes(8)).encode())
    settled.bus.run(24 * 11 / BAUD)
    answered = settled.bus.now
    settled.run(3.0, until=lambda: bool(settled.heard))
    assert settled.heard[0].at - REPORT_SECONDS - answered < 0.070


def test_a_stuck_line_is_red(settled: Bench) -> None:
    """While the bus is held low the seal is red and does not transmit; afterwards it is green again."""
    settled.bus.noise(1.0, 1.0)  # every bit is inverted: the idle bus is low
    settled.run(0.1)
    assert flashes_red(settled)
    settled.bus.position(0, closed=False)
    settled.bus.tap()
    settled.run(0.8)
    assert [seen for seen in settled.bus.tap() if isinstance(seen, ByteSeen)] == []
    settled.bus.position(0, closed=True)
    settled.run(4.0)
    assert lamps(settled) == (True, False)
    assert [record.kind for record in settled.reports()] == [Kind.OPENED, Kind.CLOSED]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_many_seals(tmp_path: Path, seed: int) -> None:
    """Eight seals on one bus power up together and are all opened at once: every event arrives."""
    bench = Bench(tmp_path, 8, seed=seed)
    try:
        for chip in range(8):
            bench.bus.position(chip, closed=True)
        bench.power()
        everybody = range(8)
        bench.run(60.0, until=lambda: all(lamps(bench, chip) == (True, False) for chip in everybody))
        for chip in everybody:
            bench.bus.position(chip, closed=False)
        bench.run(60.0, until=lambda: all(len(bench.reports(chip)) >= 2 for chip in everybody))
        bench.run(3.0)
        for chip in everybody:
            assert [one.kind for one in _once(bench.reports(chip))] == [Kind.BOOT, Kind.OPENED]
    finally:
        bench.close()


def _once(records: list[SealRecord]) -> list[SealRecord]:
    """Return the reports without their repetitions: after a lost answer the seal reports the event again."""
    return list({record.counter: record for record in records}.values())
