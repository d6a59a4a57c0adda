"""The chip keeps its events when the power fails, and handles a damaged flash."""

from __future__ import annotations

from pathlib import Path

import pytest

from meterseal.domain.record import Flags, Kind, SealRecord
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import FLASH_IDENTITY_SLOTS, FLASH_LOG_BASE, FLASH_SLOT_BYTES, IDENTITY, Di
from verif.benches.chip import Bench, flashes_red, lamps, seal_address


def test_event_from_before_power_loss(bench: Bench) -> None:
    """No sensed event is lost with the power; its age is reported as unknown."""
    bench.answering = False
    bench.bus.position(0, closed=True)
    bench.power()
    bench.run(2.0)
    bench.bus.position(0, closed=False)
    bench.run(1.0)
    bench.power(on=False)
    bench.run(5.0)
    bench.heard.clear()
    bench.answering = True
    bench.power()
    bench.run(5.0)
    first, second, third = bench.reports()
    assert [one.counter for one in (first, second, third)] == [1, 2, 3]
    assert [one.kind for one in (first, second, third)] == [Kind.BOOT, Kind.OPENED, Kind.BOOT]
    assert [one.boot for one in (first, second, third)] == [1, 1, 2]
    assert second.flags & Flags.AGE_UNKNOWN
    assert third.flags == Flags.UNOBSERVED


@pytest.mark.parametrize("first_cut", range(0, 24, 6))
def test_power_cut_at_any_time(bench: Bench, first_cut: int) -> None:
    """Power fails again and again while events are logged and acknowledged: counters never decrease."""
    bench.bus.position(0, closed=True)
    facts: dict[int, SealRecord] = {}
    boots: list[int] = []
    for cut in range(first_cut, first_cut + 6):
        bench.power()
        bench.run(1.0 + 0.037 * cut)
        bench.bus.position(0, closed=bool(cut % 2))
        bench.bus.run(0.0203 + 0.00008 * cut)  # into the write of the log
        bench.power(on=False)
        bench.bus.run(0.1)
    bench.power()
    bench.run(8.0)
    for record in bench.reports():
        assert facts.setdefault(record.counter, record.fact) == record.fact
        boots.append(record.boot)
    assert boots == sorted(boots)
    assert sorted(facts) == list(range(1, max(facts) + 1))
    assert not lamps(bench)[1] or not bench.bus.chip(0).closed


def test_log_survives_wrapping(bench: Bench) -> None:
    """There are more events than slots in the flash: every event arrives, in order, also across power-ups.

    At most five changes follow each other: the sixth would be *flapping*.
    """
    boots, changes, closed = 23, 5, False
    for n in range(boots * (1 + changes)):
        if n % (1 + changes):
            closed = not closed
            bench.bus.position(0, closed=closed)
        else:
            bench.power(on=False)
            bench.power()
        bench.run(2.0, until=lambda n=n: sum(heard.is_report for heard in bench.heard) == n + 1)
        bench.run(0.15)
    assert [record.counter for record in bench.reports()] == list(range(1, 1 + boots * (1 + changes)))
    assert bench.reports()[-1].boot == boots


def test_unreadable_identity_is_red(tmp_path: Path, bench: Bench) -> None:
    """With both slots damaged the seal has no identity: it shows red, reports nothing and has no address."""
    path = tmp_path / "0.bin"
    damaged = bytearray(path.read_bytes())
    for slot in FLASH_IDENTITY_SLOTS:
        damaged[slot + 20] ^= 1
    path.write_bytes(damaged)
    bench.bus.position(0, closed=True)
    bench.power()
    bench.run(3.0)
    assert flashes_red(bench)
    assert bench.heard == []
    assert bench.ask(requests.read(seal_address(1), Di.ADDRESS)) == []
    (heard,) = bench.ask(requests.read_address())
    assert heard.frame == Frame("0" * 12, 0x93, bytes(6))


def test_identity_slots(tmp_path: Path, bench: Bench) -> None:
    """If the first slot is damaged, the second one is taken."""
    path = tmp_path / "0.bin"
    damaged = bytearray(path.read_bytes())
    damaged[IDENTITY.offsets["asset"]] ^= 1
    path.write_bytes(damaged)
    bench.power()
    bench.run(2.0)
    assert bench.reports()[0].seal == seal_address(1)


def test_blank_flash_is_red(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(b"\xff" * path.stat().st_size)
    bench.power()
    bench.run(2.0)
    assert flashes_red(bench)
    assert bench.heard == []


def test_torn_entry_is_skipped(tmp_path: Path, bench: Bench) -> None:
    """An entry whose write was cut short is skipped and its counter reused, since it was never reported."""
    bench.power()
    bench.run(2.0)
    bench.power(on=False)
    path = tmp_path / "0.bin"
    torn = bytearray(path.read_bytes())
    start = FLASH_LOG_BASE + FLASH_SLOT_BYTES
    torn[start : start + 5] = bytes([1, 0, 0, 0, 2])
    path.write_bytes(torn)
    bench.heard.clear()
    bench.power()
    bench.run(2.0)
    assert [(one.boot, one.counter) for one in bench.reports()] == [(2, 2)]
    (heard,) = bench.ask(requests.read(seal_address(1), Di.RECORD_HISTORY + 1))
    assert SealRecord.decode(heard.frame.content).counter == 1
