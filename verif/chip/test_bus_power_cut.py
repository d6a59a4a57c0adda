"""Power fails at an SPI clock of a write of the whole compiled chip; then the chip is asked what it has kept.

Every write is first run to its end, to learn at which clocks of the flash it begins and ends. Then it is run
once for each of these clocks, and the power is cut there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterseal.domain.image import crc16, image
from meterseal.domain.layout import pack
from meterseal.domain.record import Flags, Kind, StateClass
from meterseal.protocols.dlt645.requests import write
from meterseal.sim.chip.build import SIGMA_DELTA
from sealchip.interface import ENTRY, FLASH_LOG_BASE, FLASH_SECTOR_BYTES, FLASH_SLOT_BYTES, Di
from verif.benches.chip import Bench, identity

Trigger = Callable[[Bench], None]
FAST = 19_200
IDENTITY = replace(identity(), baud=FAST)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, front_end=SIGMA_DELTA, baud=FAST, by_hand=True)
    # The flash is as fast as the model allows: while it is busy the chip only polls its status.
    bench.bus.attach_flash(0, bench.flashes[0], page_program=0.0002, sector_erase=0.002)
    yield bench
    bench.close()


def write_span(bench: Bench, trigger: Trigger, pause: float = 0.003) -> tuple[int, int]:
    """Return the first and the last flash clock, counted from `trigger` on, of the writes that it causes.

    The writes are at most `pause` seconds apart.
    """
    trigger(bench)
    before, start = bench.writes, bench.clocks
    while bench.writes == before:
        assert bench.bus.run_to_flash_clock(0, bench.clocks + 8, at_most=1.0)
    first = bench.clocks - start - 8 * (1 + 4 + ENTRY.size)  # write enable, opcode and address included
    seen = 0
    while bench.clocks > seen:
        seen = bench.clocks
        bench.bus.run(pause)
    return max(first, 1), seen - start


def cut_after(bench: Bench, trigger: Trigger, clocks: int) -> None:
    """Cause the write and cut the power after `clocks` of its flash clocks."""
    trigger(bench)
    assert bench.bus.run_to_flash_clock(0, bench.clocks + clocks, at_most=1.0)


def sample(span: tuple[int, int], number: int | None) -> range:
    """Return the clocks of a write to cut at: all, or about `number` of them, the last one included."""
    first, last = span
    step = 1 if number is None else max(1, (last - first) // number)
    return range(last, first - 1, -step)[::-1]


thin_and_whole = pytest.mark.parametrize("number", [6, pytest.param(None, marks=pytest.mark.long)])
EMPTY = image(IDENTITY)


@thin_and_whole
def test_while_an_opening_is_written(bench: Bench, number: int | None) -> None:
    def opening(bench: Bench) -> None:
        bench.restart(EMPTY)
        bench.bus.run(0.75)  # the boot event is in the flash
        bench.bus.position(0, False)

    span = write_span(bench, opening)
    lost = 0
    for clocks in sample(span, number):
        cut_after(bench, opening, clocks)
        bench.restart(closed=False)
        records = bench.collect()
        reported = [(record.counter, record.boot, record.kind, record.state) for record in records]
        known = (2, 1, Kind.OPENED, StateClass.OPEN)
        lost += known not in reported
        # In both cases the power-up after it reports that the loop was not observed, and that it is open.
        assert reported == [
            (1, 1, Kind.BOOT, StateClass.SEALED),
            *([known] if known in reported else []),
            (2 + (known in reported), 2, Kind.BOOT, StateClass.OPEN),
        ], clocks
        assert records[-1].flags & Flags.UNOBSERVED
    assert 0 < lost < len(sample(span, number))
    assert known in reported


@thin_and_whole
def test_while_an_acknowledgement_is_written(bench: Bench, number: int | None) -> None:
    def acknowledging(bench: Bench) -> None:
        bench.restart(EMPTY)
        report = bench.next_report(3.0)
        assert report is not None
        assert report.counter == 1
        bench.acknowledge()

    span = write_span(bench, acknowledging)
    again = 0
    for clocks in sample(span, number):
        cut_after(bench, acknowledging, clocks)
        bench.restart()
        reported = [(record.counter, record.boot, record.kind) for record in bench.collect()]
        again += len(reported) == 2
        # An event that the meter has already may be reported once more, unchanged; nothing else differs.
        assert reported in ([(1, 1, Kind.BOOT), (2, 2, Kind.BOOT)], [(2, 2, Kind.BOOT)]), clocks
    assert 0 < again < len(sample(span, number))
    assert len(reported) == 1


#: The kinds of entries with an even counter, and with an odd one.
KINDS = (Kind.OPENED, Kind.CLOSED)


def full_log() -> bytes:
    """Return a log whose next entry is the last of its sector; all is acknowledged, the boot count is 9."""
    flash = bytearray(EMPTY)
    slots = FLASH_SECTOR_BYTES // FLASH_SLOT_BYTES
    for counter in range(1, 2 * slots):
        raw = pack(
            ENTRY,
            {
                "boot": 9,
                "counter": counter,
                "kind": KINDS[counter % 2],
                "state": StateClass.SEALED if counter % 2 else StateClass.OPEN,
                "loop_mv": 0xFFFF,
                "flags": 0,
                "stamp": counter,
                "baseline_mv": 0xFFFF,
                "zeros": 0,
                "crc": 0,
                "acked": 0,
            },
        )
        raw = raw[:-3] + crc16(raw[:-3]).to_bytes(2, "big") + b"\0"
        # The oldest entries are in the second sector.
        slot = FLASH_LOG_BASE + (counter - 1 + slots) % (2 * slots) * FLASH_SLOT_BYTES
        flash[slot : slot + len(raw)] = raw
    return bytes(flash)


@thin_and_whole
def test_while_a_sector_is_given_up(bench: Bench, number: int | None) -> None:
    def booting(bench: Bench) -> None:
        """Power up: the boot event is the last entry of its sector, so the other sector is erased."""
        bench.restart(full_log())

    span = write_span(bench, booting)
    assert bench.bus.chip(0).flash_erases == 1
    lost = 0
    for clocks in sample(span, number):
        cut_after(bench, booting, clocks)
        bench.restart()
        reported = [(record.counter, record.boot, record.kind) for record in bench.collect()]
        lost += len(reported) == 1
        assert reported in ([(128, 10, Kind.BOOT), (129, 11, Kind.BOOT)], [(128, 10, Kind.BOOT)]), clocks
        # Entries from before are still there.
        newest = reported[-1][0]
        for nth in (0, 15):
            record = bench.history(nth)
            assert record.counter == newest - nth
            assert nth == 0 or (record.boot, record.kind) == (9, KINDS[record.counter % 2])
    assert 0 < lost < len(sample(span, number))
    assert len(reported) == 2


@thin_and_whole
def test_while_the_identity_is_changed(bench: Bench, number: int | None) -> None:
    old, new = IDENTITY.asset, "AN-OTHER-NUMBER"
    request = write(IDENTITY.seal, Di.PROVISIONING + 2, new.encode()[::-1].ljust(32, b"\0"))

    def provisioning(bench: Bench) -> None:
        bench.restart(EMPTY)
        assert bench.next_report(3.0)
        bench.acknowledge()
        assert bench.next_report() is None
        bench.bus.write(0, request.encode())

    # The keys are derived between the write of the identity and the event that reports it.
    span = write_span(bench, provisioning, 0.2)
    seen = set()
    for clocks in sample(span, number):
        cut_after(bench, provisioning, clocks)
        bench.restart()
        reported = [(record.counter, record.boot, record.kind) for record in bench.collect()]
        known = reported[:1] == [(2, 1, Kind.PROVISIONED)]
        assert reported == [*([(2, 1, Kind.PROVISIONED)] if known else []), (2 + known, 2, Kind.BOOT)], clocks
        # The identity is the old one or the new one, never missing, and is the new one before it is reported.
        asset = bench.read(Di.ASSET_NUMBER)[::-1].strip(b"\0").decode()
        assert asset in ([new] if known else [old, new])
        seen.add((asset, known))
    assert {(old, False), (new, True)} <= seen
