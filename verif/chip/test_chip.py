"""The whole chip, compiled by Verilator, on the simulated pair, against the host's own codec."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.chip.build import chip_library
from meterseal.chip.flash_file import FlashFile
from meterseal.chip.pair import Pair
from meterseal.dlt645 import requests
from meterseal.dlt645.control import TD_MAX, TD_MIN
from meterseal.dlt645.decoder import Decoder, Received
from meterseal.dlt645.frame import Frame
from meterseal.seal.image import NO_KEY, Identity, image
from meterseal.seal.layout import unpack
from meterseal.seal.record import Algorithm, Flags, Kind, SealRecord, StateClass
from meterseal.seal.signing import sign, verify
from sealchip.interface import (
    DIAGNOSTICS,
    FLASH_IDENTITY_SLOTS,
    FLASH_LOG_BASE,
    FLASH_SLOT_BYTES,
    IDENTITY,
    IDENTITY_REPORT,
    Di,
)

CLOCK_HZ, BAUD = 307_200, 2400
STEP = 0.005
#: A report on the wire: 4 FE and 62 bytes.
REPORT_SECONDS = 66 * 11 / BAUD
#: From power-up: no answer can be due any more, then the slowest slot.
FIRST_REPORT = 0.520 + 0.130 + REPORT_SECONDS


def seal_address(n: int) -> str:
    return f"8104{n:08d}"


def meter_address(n: int) -> str:
    return f"4401{n:08d}"


def seal_key(n: int) -> bytes:
    return bytes(range(n, n + 16))


def identity(n: int = 1) -> Identity:
    return Identity(
        seal=seal_address(n),
        asset=f"GD-FY-{n:06d}",
        meter=meter_address(n),
        key=seal_key(n),
        baud=BAUD,
    )


@dataclass
class Heard:
    """A frame on the pair, when it was complete."""

    at: float
    frame: Frame

    @property
    def record(self) -> SealRecord:
        """The record reported; every one that these chips send is signed."""
        raw = self.frame.data[12:]
        record = SealRecord.decode(raw)
        assert verify(seal_key(int(record.seal[4:])), raw)
        return record

    @property
    def is_report(self) -> bool:
        return self.frame.control == 0x14 and self.frame.di == Di.REPORT


class Bench:
    """Chips on a pair, and one host end that can be the meters of all of them."""

    def __init__(self, folder: Path, chips: int = 1, *, seed: int = 1) -> None:
        self.pair = Pair(
            chip_library(clock_hz=CLOCK_HZ),
            chips=chips,
            ends=1,
            clock_hz=CLOCK_HZ,
            baud=BAUD,
            seed=seed,
        )
        self.pair.open(0)
        self.flashes: list[FlashFile] = []
        for chip in range(chips):
            path = folder / f"{chip}.bin"
            path.write_bytes(image(identity(chip + 1)))
            self.flashes.append(FlashFile(path))
            self.pair.attach_flash(chip, self.flashes[chip])
        self.decoder = Decoder()
        self.heard: list[Heard] = []
        self.answering = True
        self._answers: list[tuple[float, bytes]] = []

    def close(self) -> None:
        self.pair.close()
        for flash in self.flashes:
            flash.close()

    def power(self, *, on: bool = True, chip: int | None = None) -> None:
        for each in range(self.pair.chips) if chip is None else [chip]:
            self.pair.power(each, on)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass; stop early when `until` holds."""
        end = self.pair.now + seconds
        while self.pair.now < end and not (until and until()):
            self.pair.run(STEP)
            self._listen()

    def ask(self, request: Frame, seconds: float = 1.0) -> list[Heard]:
        """Send a request as the terminal would; what is heard until the answer's time is over."""
        before = len(self.heard)
        self.pair.write(0, request.encode())
        self.run(seconds)
        return self.heard[before:]

    def reports(self, chip: int | None = None) -> list[SealRecord]:
        records = [heard.record for heard in self.heard if heard.is_report]
        return [one for one in records if chip is None or one.seal == seal_address(chip + 1)]

    def _listen(self) -> None:
        now = self.pair.now
        for event in self.decoder.feed(self.pair.read(0), now):
            if isinstance(event, Received):
                self.heard.append(Heard(now, event.frame))
                if self.answering and event.frame.control == 0x14:
                    self._answers.append((now + 0.025, Frame(event.frame.address, 0x94).encode()))
        while self._answers and self._answers[0][0] <= now:
            self.pair.write(0, self._answers.pop(0)[1])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.close()


@pytest.fixture
def settled(bench: Bench) -> Bench:
    """A seal that has been powered up closed and has told everything."""
    bench.pair.position(0, closed=True)
    bench.power()
    bench.run(3.0)
    assert lamps(bench) == (True, False)
    bench.heard.clear()
    return bench


def lamps(bench: Bench, chip: int = 0) -> tuple[bool, bool]:
    bits = bench.pair.chip(chip).lamps
    return bool(bits & 1), bool(bits & 2)


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
        moved = settled.pair.now
        settled.pair.position(0, closed=closed)
        settled.run(1.0)
        (report,) = settled.heard
        # Idle pair: debounce, the log's write, the slot, the frame.
        assert report.at - moved <= 0.020 + 0.130 + REPORT_SECONDS + 0.010
        assert (report.record.kind, report.record.state) == (kind, state)
        assert lamps(settled) == (closed, not closed)
        settled.heard.clear()


@given(
    edges=st.lists(st.floats(0.0001, 0.015), min_size=2, max_size=15).filter(lambda times: sum(times) < 0.9),
)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
def test_bounce_is_one_event(tmp_path_factory: pytest.TempPathFactory, edges: list[float]) -> None:
    """However a contact bounces with pauses under the debounce time, it is one opening."""
    bench = Bench(tmp_path_factory.mktemp("bounce"))
    try:
        bench.pair.position(0, closed=True)
        bench.power()
        bench.run(3.0)
        bench.heard.clear()
        closed = True
        for pause in edges:
            closed = not closed
            bench.pair.position(0, closed=closed)
            bench.pair.run(pause)
        bench.pair.position(0, closed=False)
        bench.run(1.5)
        (record,) = bench.reports()
        assert record.kind is Kind.OPENED
        assert bool(record.flags & Flags.EXCURSIONS) == (len(edges) > 1)
    finally:
        bench.close()


def test_report_until_acknowledged(bench: Bench) -> None:
    """No answer: again after 0.5, 1, 2 … s, red; a wrong answer does not count; the right one ends it."""
    bench.answering = False
    bench.pair.position(0, closed=True)
    bench.power()
    bench.run(12.0)
    times = [heard.at for heard in bench.heard]
    assert len(times) >= 4
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(later > earlier for earlier, later in pairwise(gaps))
    assert {record.counter for record in bench.reports()} == {1}
    assert [record.age for record in bench.reports()] == [int(at - REPORT_SECONDS) for at in times]
    assert lamps(bench) == (False, True)

    count = len(bench.heard)
    bench.run(40.0, until=lambda: len(bench.heard) > count)
    bench.pair.write(0, Frame(meter_address(2), 0x94).encode())  # another meter's answer
    bench.run(2.0)
    assert lamps(bench) == (False, True)
    bench.answering = True
    bench.run(70.0, until=lambda: lamps(bench) == (True, False))
    count = len(bench.reports())
    bench.run(70.0)
    assert len(bench.reports()) == count


def test_error_answer_is_no_acknowledgement(bench: Bench) -> None:
    bench.answering = False
    bench.power()
    bench.run(5.0, until=lambda: bool(bench.heard))
    bench.pair.write(0, Frame(meter_address(1), 0xD4, b"\x04").encode())
    bench.run(3.0)
    assert [record.counter for record in bench.reports()][:2] == [1, 1]


def test_age(bench: Bench) -> None:
    """A report that waits for its meter says how old its event is."""
    bench.answering = False
    bench.power()
    bench.run(2.0)
    bench.pair.position(0, closed=True)
    happened = bench.pair.now
    bench.run(300.0)
    bench.answering = True
    bench.run(70.0, until=lambda: any(record.counter == 2 for record in bench.reports()))
    heard = bench.heard[-1]
    assert heard.record.counter == 2
    assert abs(heard.record.age - (heard.at - REPORT_SECONDS - happened)) <= 1


def test_event_from_before_power_loss(bench: Bench) -> None:
    """Nothing that was sensed is lost with the power; its age is unknown and says so."""
    bench.answering = False
    bench.pair.position(0, closed=True)
    bench.power()
    bench.run(2.0)
    bench.pair.position(0, closed=False)
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
    """Power fails again and again while events are logged and acknowledged: counters never go back."""
    bench.pair.position(0, closed=True)
    facts: dict[int, SealRecord] = {}
    boots: list[int] = []
    for cut in range(first_cut, first_cut + 6):
        bench.power()
        bench.run(1.0 + 0.037 * cut)
        bench.pair.position(0, closed=bool(cut % 2))
        bench.pair.run(0.0203 + 0.00008 * cut)  # into the write of the log
        bench.power(on=False)
        bench.pair.run(0.1)
    bench.power()
    bench.run(8.0)
    for record in bench.reports():
        assert facts.setdefault(record.counter, record.fact) == record.fact
        boots.append(record.boot)
    assert boots == sorted(boots)
    assert sorted(facts) == list(range(1, max(facts) + 1))
    assert not lamps(bench)[1] or not bench.pair.chip(0).closed


def test_log_survives_wrapping(bench: Bench) -> None:
    """More events than the flash has slots: every one arrives, in order, and across a power-up too."""
    bench.power()
    bench.run(2.0)
    for n in range(135):
        bench.pair.position(0, closed=n % 2 == 0)
        bench.run(1.0, until=lambda n=n: len(bench.reports()) == n + 2)
        bench.run(0.15)
    assert [record.counter for record in bench.reports()] == list(range(1, 137))
    bench.power(on=False)
    bench.run(0.2)
    bench.power()
    bench.run(3.0)
    assert bench.reports()[-1].counter == 137
    assert bench.reports()[-1].boot == 2


def test_reads(settled: Bench) -> None:
    seal = seal_address(1)

    def read(di: int) -> bytes:
        asked = settled.pair.now
        (heard,) = settled.ask(requests.read(seal, di))
        answer = heard.frame
        assert (answer.address, answer.control, answer.di) == (seal, 0x91, di)
        sent = (16 + 4) * 11 / BAUD - 4 * 11 / BAUD  # request and answer of the least length
        assert heard.at - asked > TD_MIN + sent / 2
        assert heard.at - asked < TD_MAX + 2 * REPORT_SECONDS
        return answer.content

    newest = SealRecord.decode(read(Di.RECORD_NEWEST))
    assert (newest.counter, newest.kind, newest.state) == (1, Kind.BOOT, StateClass.SEALED)
    assert SealRecord.decode(read(Di.RECORD_HISTORY)).fact == newest.fact
    assert read(Di.ADDRESS) == bytes.fromhex(seal)[::-1]
    assert read(Di.ASSET_NUMBER).rstrip(b"\0")[::-1] == b"GD-FY-000001"
    diagnostics = unpack(DIAGNOSTICS, read(Di.DIAGNOSTICS))
    assert diagnostics["state"] == bytes([StateClass.SEALED])
    assert diagnostics["loop_mv"] == b"\xff\xff"
    assert abs(int.from_bytes(diagnostics["uptime"], "little") - settled.pair.now) < 2


def test_history(settled: Bench) -> None:
    for n in range(3):
        settled.pair.position(0, closed=n % 2 == 1)
        settled.run(1.0)
    for n in range(4):
        (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_HISTORY + n))
        assert SealRecord.decode(heard.frame.content).counter == 4 - n
    (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_HISTORY + 4))
    assert (heard.frame.control, heard.frame.data) == (0xD1, b"\x02")


def test_unsigned_without_a_key(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(image(replace(identity(), key=NO_KEY)))
    bench.power()
    bench.run(FIRST_REPORT + 0.1)
    (report,) = bench.heard
    record = SealRecord.decode(report.frame.data[12:])
    assert (record.algorithm, record.mac) == (Algorithm.UNSIGNED, bytes(8))


def test_challenge(settled: Bench) -> None:
    """What is answered from now on echoes it and is signed over it; what is reported does not."""
    seal, challenge = seal_address(1), bytes.fromhex("C4A11E4E")
    for number in (challenge, bytes.fromhex("01020304")):
        (taken,) = settled.ask(requests.write(seal, Di.CHALLENGE, number))
        assert taken.frame == Frame(seal, 0x94)
        # Again and again: the first answer may get lost.
        for di in (Di.RECORD_NEWEST, Di.RECORD_HISTORY, Di.RECORD_NEWEST):
            (heard,) = settled.ask(requests.read(seal, di))
            record = SealRecord.decode(heard.frame.content)
            assert verify(seal_key(1), heard.frame.content)
            assert (record.challenge, Flags.CHALLENGED in record.flags) == (number, True)
    settled.heard.clear()
    settled.pair.position(0, closed=False)
    settled.run(1.0)
    (report,) = settled.reports()
    assert (report.challenge, report.flags) == (bytes(4), Flags(0))
    settled.power(on=False)
    settled.power()
    settled.run(3.0)
    (heard,) = settled.ask(requests.read(seal, Di.RECORD_NEWEST))
    assert SealRecord.decode(heard.frame.content).challenge == bytes(4)


@pytest.mark.parametrize(
    "frame",
    [
        requests.write(seal_address(1), Di.CHALLENGE, bytes(3)),
        requests.write(seal_address(1), Di.CHALLENGE, bytes(5)),
        requests.write(seal_address(1), Di.PROVISIONING, bytes(4)),
    ],
    ids=["short", "long", "another item"],
)
def test_other_writes_are_refused(settled: Bench, frame: Frame) -> None:
    (heard,) = settled.ask(frame)
    assert heard.frame == Frame(seal_address(1), 0xD4, b"\x04")
    (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_NEWEST))
    assert Flags.CHALLENGED not in SealRecord.decode(heard.frame.content).flags


def test_a_report_that_waits_is_made_anew(settled: Bench) -> None:
    """The pair is busy for seconds: the report is fresh when it goes out."""
    settled.answering = False
    settled.pair.position(0, closed=False)
    moved = settled.pair.now
    while settled.pair.now - moved < 4.5:
        settled.pair.write(0, requests.read(meter_address(7), 0x00010000).encode())
        settled.run(0.3)
    assert settled.reports() == []
    settled.run(3.0, until=lambda: bool(settled.heard))
    (heard,) = settled.heard
    begun = heard.at - REPORT_SECONDS
    assert 0 <= begun - moved - heard.record.age < 2.1


def test_read_address(settled: Bench) -> None:
    (heard,) = settled.ask(requests.read_address())
    assert heard.frame == Frame(seal_address(1), 0x93, bytes.fromhex(seal_address(1))[::-1])


def test_shortened_address(settled: Bench) -> None:
    short = "A" * 6 + seal_address(1)[6:]
    (heard,) = settled.ask(requests.read(short, Di.ADDRESS))
    assert heard.frame.address == seal_address(1)


def test_refusals(settled: Bench) -> None:
    (heard,) = settled.ask(requests.read(seal_address(1), 0x00010000))
    assert heard.frame == Frame(seal_address(1), 0xD1, b"\x02")
    (heard,) = settled.ask(requests.write(seal_address(1), Di.ADDRESS, bytes(6)))
    assert heard.frame == Frame(seal_address(1), 0xD4, b"\x04")


@pytest.mark.parametrize(
    "raw",
    [
        requests.read(seal_address(2), Di.ADDRESS).encode(),
        requests.read("9" * 12, Di.ADDRESS).encode(),
        requests.read(seal_address(1), Di.ADDRESS).encode()[:-2] + b"\x00\x16",
        requests.read(seal_address(1), Di.ADDRESS).encode()[:-1] + b"\x17",
        requests.read(seal_address(1), Di.ADDRESS).encode()[:-3],
        Frame(seal_address(1), 0x11, b"\x01").encode(),
        Frame(seal_address(1), 0x91, bytes.fromhex("01040004") + bytes(6)).encode(),
    ],
    ids=["foreign", "broadcast", "checksum", "end", "cut", "length", "answer"],
)
def test_silence(settled: Bench, raw: bytes) -> None:
    settled.pair.write(0, raw)
    settled.run(1.5)
    assert settled.heard == []
    # And the seal still answers the next request.
    assert len(settled.ask(requests.read_address())) == 1


def test_another_frame_cancels_the_answer(settled: Bench) -> None:
    """Two requests without waiting: only the second one is answered, with its own item."""
    first, second = (requests.read(seal_address(1), di) for di in (Di.ADDRESS, Di.ASSET_NUMBER))
    settled.pair.write(0, first.encode(0) + second.encode(0))
    settled.run(1.5)
    assert [heard.frame.di for heard in settled.heard] == [Di.ASSET_NUMBER]


def test_noise_is_silence_and_passes(settled: Bench) -> None:
    settled.pair.noise(0.3, 1.0)
    settled.run(3.0)
    assert len(settled.ask(requests.read_address(), 2.0)) == 1


def test_independent_codec_reads_the_record(settled: Bench) -> None:
    """The PyPI package dlt645 builds the request and takes the answer apart."""
    peer = importlib.import_module("dlt645.protocol.protocol").DLT645Protocol
    wire_address = bytes.fromhex(seal_address(1))[::-1]
    settled.pair.write(0, bytes(peer.build_frame(wire_address, 0x11, bytes.fromhex("01538004"))))
    raw = b""
    for _ in range(200):
        settled.pair.run(STEP)
        raw += settled.pair.read(0)
    answer = peer.deserialize(raw)
    assert bytes(answer.addr) == wire_address
    assert answer.ctrl_code == 0x91
    record = SealRecord.decode(bytes(answer.data)[4:])
    assert (record.seal, record.kind) == (seal_address(1), Kind.BOOT)


def test_unreadable_identity_is_red(tmp_path: Path, bench: Bench) -> None:
    """Both slots damaged: identity unknown, red lamp, never a word on the pair."""
    path = tmp_path / "0.bin"
    damaged = bytearray(path.read_bytes())
    for slot in FLASH_IDENTITY_SLOTS:
        damaged[slot + 20] ^= 1
    path.write_bytes(damaged)
    bench.pair.position(0, closed=True)
    bench.power()
    bench.run(3.0)
    assert lamps(bench) == (False, True)
    assert bench.ask(requests.read_address()) == []
    assert bench.heard == []


def test_identity_slots(tmp_path: Path, bench: Bench) -> None:
    """A damaged first slot: the second one is taken."""
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
    assert lamps(bench) == (False, True)
    assert bench.heard == []


def test_torn_entry_is_skipped(tmp_path: Path, bench: Bench) -> None:
    """An entry whose write was cut short is passed over and its counter used again: nobody knew of it."""
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


def test_waits_for_the_answer_of_others(settled: Bench) -> None:
    """A request to somebody else is on the pair: the seal lets 500 ms pass for the answer."""
    settled.answering = False
    settled.pair.write(0, requests.read(meter_address(7), 0x00010000).encode())
    settled.pair.run(16 * 11 / BAUD)
    asked = settled.pair.now
    settled.pair.position(0, closed=False)
    settled.run(3.0, until=lambda: bool(settled.heard))
    begun = settled.heard[0].at - REPORT_SECONDS
    assert begun - asked > TD_MAX


def test_speaks_soon_after_an_answer(settled: Bench) -> None:
    settled.answering = False
    settled.pair.position(0, closed=False)
    settled.pair.run(0.018)  # the opening ripens while the pair is busy
    settled.pair.write(0, requests.read(meter_address(7), 0x00010000).encode())
    settled.pair.run(0.15)
    settled.pair.write(0, Frame(meter_address(7), 0x91, bytes(8)).encode())
    settled.pair.run(24 * 11 / BAUD)
    answered = settled.pair.now
    settled.run(3.0, until=lambda: bool(settled.heard))
    assert settled.heard[0].at - REPORT_SECONDS - answered < 0.150


@pytest.mark.parametrize("seed", [1, 2])
def test_many_seals(tmp_path: Path, seed: int) -> None:
    """Eight seals on one pair power up together and are all opened at once: every event arrives."""
    bench = Bench(tmp_path, 8, seed=seed)
    try:
        for chip in range(8):
            bench.pair.position(chip, closed=True)
        bench.power()
        everybody = range(8)
        bench.run(60.0, until=lambda: all(lamps(bench, chip) == (True, False) for chip in everybody))
        for chip in everybody:
            bench.pair.position(chip, closed=False)
        bench.run(60.0, until=lambda: all(len(bench.reports(chip)) >= 2 for chip in everybody))
        bench.run(3.0)
        for chip in everybody:
            assert [one.kind for one in _once(bench.reports(chip))] == [Kind.BOOT, Kind.OPENED]
    finally:
        bench.close()


def _once(records: list[SealRecord]) -> list[SealRecord]:
    """Reports without their repetitions (a lost answer makes the seal say it again)."""
    return list({record.counter: record for record in records}.values())
