"""Whole-chip scenarios that together exercise every value on every connection between blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, product
from pathlib import Path

import pytest

from meterseal.clock import CST
from meterseal.domain.image import Identity, image, read_identity
from meterseal.domain.layout import unpack
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.signing import verify
from meterseal.octets import bcd
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.frame import Frame
from meterseal.sim.chip.bus import SECTOR_ERASE, ByteSeen, LampsSeen
from meterseal.sim.chip.head import Loop
from sealchip.bus.bus_access import CRASH_MS
from sealchip.core.firmware.log import SECTOR_SLOTS
from sealchip.dlt645.reporter import AHEAD_BITS, has_record_in_time
from sealchip.dlt645.slave import TD_MS
from sealchip.gsm.text import message
from sealchip.interface import BAUD_FEATURE, DIAGNOSTICS, ENTRY, FLASH_SIZE, SEALED_MV, Di
from verif.benches.chip import (
    BAUD,
    CLOCK_HZ,
    MAKING_SECONDS,
    REPORT_BYTES,
    REPORT_SECONDS,
    STEP,
    Bench,
    flashes_red,
    identity,
    lamps,
    meter_address,
    seal_address,
    seal_key,
)
from verif.benches.event_log import Entry, slot_address
from verif.models.gsm_module import Module, Received

SEAL, WILDCARD, PHONE = seal_address(1), "A" * 12, "+8613800138000"
PASSWORD, NEW_PASSWORD, WRONG = (bytes.fromhex(digits) for digits in ("02000000", "02563412", "02563413"))
BIT = 1 / BAUD
#: The converter's reading at zero voltage.
NOTHING_MV = pytest.approx(0, abs=28)
FAST = 19_200
#: Function that powers up a chip with a given flash and front end.
Begin = Callable[..., "ModemBench"]
#: Front ends of the chip with all its parts, and of the chip without GSM.
FULL, PLAIN = "sigma-delta", "comparator"


class ModemBench(Bench):
    """Adds a modem to the bench."""

    def __init__(self, folder: Path, front_end: str, baud: int) -> None:
        super().__init__(folder, front_end=front_end, gsm=front_end == FULL, baud=baud)
        self.module = Module()
        self.bus.open_gsm(0)

    def _listen(self) -> None:
        super()._listen()
        for byte in self.bus.read_gsm(0):
            self.module.receive(byte)
        del self.module.output[: self.bus.write_gsm(0, bytes(self.module.output))]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Power up a chip with a given flash and front end, and an open loop."""
    with ExitStack() as stack:

        def power_up(flash: bytes, front_end: str = FULL, baud: int = BAUD) -> ModemBench:
            bench = stack.enter_context(closing(ModemBench(tmp_path, front_end, baud)))
            (tmp_path / "0.bin").write_bytes(flash)
            bench.power()
            return bench

        yield power_up


def flash_with_entries(number: int, whose: Identity) -> bytes:
    """Return a flash whose log has `number` entries, all acknowledged."""
    flash = bytearray(image(whose))
    for n in range(number):
        old = Entry(boot=7, counter=n + 1, baseline_mv=SEALED_MV, acked=True)
        flash[slot_address(n) : slot_address(n) + ENTRY.size] = old.encode()
    return bytes(flash)


def entries(folder: Path) -> list[Entry]:
    """Return the entries of the log in the order of its slots."""
    flash = (folder / "0.bin").read_bytes()
    slots = (flash[slot_address(n) :][: ENTRY.size] for n in range(2 * SECTOR_SLOTS))
    return [entry for raw in slots if (entry := Entry.decode(raw))]


def ask(bench: Bench, request: Frame, *, at_once: bool = True) -> Frame:
    """Return the seal's only answer; it begins when the line has been high for `TD_MS` after the request.

    It may begin later if not `at_once`, when the answer takes time to prepare.
    """
    before = len(bench.heard)
    bench.bus.tap()
    bench.bus.write(0, request.encode())
    bench.run(1.0, until=lambda: any(heard.frame.from_slave for heard in bench.heard[before:]))
    seen = [byte for byte in bench.bus.tap() if isinstance(byte, ByteSeen)]
    bit = 1 / bench.bus.baud
    # The tap reports a byte from the host at its end, and one from a seal in the middle of its stop bit.
    high = max(byte.at for byte in seen if byte.source == 1) - 2 * bit
    begun = min(byte.at for byte in seen if byte.source == 0 and byte.at > high) - 10.5 * bit
    quiet_ms = 1000 * (begun - bit / 2 - high)
    assert quiet_ms > TD_MS - 1, "the answer began more than a tick too early"
    assert quiet_ms < TD_MS + 0.1 or not at_once
    (answer,) = (heard.frame for heard in bench.heard[before:] if heard.frame.from_slave)
    return answer


def write(bench: Bench, di: int, data: bytes = b"", password: bytes = PASSWORD) -> Frame:
    return ask(bench, requests.write(SEAL, di, data, password=password), at_once=False)


def sent_by_seal(bench: Bench) -> list[ByteSeen]:
    """Return what the seal has sent since the last call."""
    return [seen for seen in bench.bus.tap() if isinstance(seen, ByteSeen) and seen.source == 0]


def kinds(records: list[SealRecord]) -> list[Kind]:
    return [record.kind for record in records]


def reported(bench: Bench, number: int) -> list[SealRecord]:
    """Return the records of the next `number` reports, once the last one has been acknowledged."""
    before = len(bench.reports())
    bench.run(8.0, until=lambda: len(bench.reports()) == before + number)
    bench.run(0.12)
    return bench.reports()[before:]


def near(mv: int) -> object:
    return pytest.approx(mv, abs=50)


@pytest.mark.parametrize(
    ("baseline_mv", "contact_mv", "state"),
    [
        (0x1165, SEALED_MV, StateClass.SEALED),
        (0x6E9A, SEALED_MV, StateClass.LOW),
        (0x1194, 0x11A8, StateClass.SEALED),
    ],
)
def test_an_entry_left_by_an_earlier_power_up(
    tmp_path: Path, begin: Begin, baseline_mv: int, contact_mv: int, state: StateClass
) -> None:
    """An unacknowledged entry is reported unchanged except for its age; the learned baseline is kept."""
    number = baseline_mv * 0x10001 ^ 0x5AA50000
    old = Entry(
        boot=number,
        counter=number >> 3,
        state=StateClass.MISMATCH,
        loop_mv=baseline_mv ^ 0xFFFF,
        flags=Flags.UNOBSERVED | Flags.EXCURSIONS | (baseline_mv & 0xFF) << 8,
        stamp=number ^ 0xFFFFFFFF,
        baseline_mv=baseline_mv,
    )
    flash = bytearray(image(identity()))
    flash[slot_address(0) : slot_address(0) + ENTRY.size] = old.encode()
    bench = begin(bytes(flash))
    bench.answering = False
    bench.bus.loop(0, Loop(contact_mv=contact_mv))
    bench.bus.position(0, closed=True)
    for record in reported(bench, 3):
        fact = (record.boot, record.counter, record.kind, record.state, record.loop_mv, record.excursions)
        assert fact == (old.boot, old.counter, old.kind, old.state, old.loop_mv, old.flags >> 8)
        assert record.flags == Flags.UNOBSERVED | Flags.EXCURSIONS | Flags.AGE_UNKNOWN
    for it in bench.heard:
        assert it.record.age <= it.at - REPORT_SECONDS < it.record.age + 1 + MAKING_SECONDS

    found = unpack(DIAGNOSTICS, ask(bench, requests.read(SEAL, Di.DIAGNOSTICS)).content)
    for name in ("loop_mv", "loop_min_mv", "loop_max_mv"):
        assert int.from_bytes(found[name], "little") == near(contact_mv)
    assert found["state"][0] == state
    bench.answering = True
    moved = bench.bus.now
    bench.bus.position(0, closed=False)
    records = reported(bench, 3)[1:]
    bench.run(0.5)
    boot, opened = (entry for entry in entries(tmp_path) if entry.boot == old.boot + 1)
    kept = {"boot": old.boot + 1, "baseline_mv": baseline_mv, "acked": True}
    first = {"counter": old.counter + 1, "kind": Kind.BOOT, "state": state, "flags": Flags.UNOBSERVED}
    assert boot == Entry(**kept, **first, loop_mv=near(contact_mv))
    second = {"counter": old.counter + 2, "kind": Kind.OPENED, "state": StateClass.OPEN}
    assert opened == Entry(**kept, **second, loop_mv=NOTHING_MV, stamp=int(moved + 0.04))
    assert [(it.counter, it.loop_mv) for it in records] == [(it.counter, it.loop_mv) for it in (boot, opened)]


def test_from_blank_to_locked_out(tmp_path: Path, begin: Begin) -> None:
    """A seal goes through all requests, from receiving its address to being locked out by wrong passwords."""
    bench = begin(b"\xff" * FLASH_SIZE)
    bench.run(1.5)
    assert bench.heard == []
    whole = replace(identity(), sequence=4)
    asset = whole.asset.encode()[::-1].ljust(32, b"\0")
    for item, data in ((1, bcd.address_bytes(whole.meter)), (2, asset), (3, whole.key)):
        request = requests.write(WILDCARD, Di.PROVISIONING + item, data, password=PASSWORD)
        assert ask(bench, request, at_once=False) == Frame("0" * 12, 0x94)
    assert flashes_red(bench)
    assert ask(bench, requests.write_address(SEAL), at_once=False) == Frame(SEAL, 0x95)
    assert kinds(reported(bench, 5)) == [Kind.BOOT, *[Kind.PROVISIONED] * 4]
    assert read_identity((tmp_path / "0.bin").read_bytes()) == whole

    # It is sealed and read.
    bench.run(0.5)
    bench.bus.position(0, closed=True)
    (closed,) = reported(bench, 1)
    assert (closed.kind, closed.state, closed.loop_mv) == (Kind.CLOSED, StateClass.SEALED, near(SEALED_MV))
    bench.run(0.1)
    assert lamps(bench) == (True, False)
    assert entries(tmp_path)[-1].baseline_mv == near(SEALED_MV)
    assert write(bench, Di.SEAL) == Frame(SEAL, 0x94)
    (learned,) = reported(bench, 1)
    assert (learned.kind, learned.counter) == (Kind.PROVISIONED, closed.counter + 1)
    assert ask(bench, requests.read_address()) == Frame(SEAL, 0x93, bcd.address_bytes(SEAL))
    bench.bus.write(0, Frame(SEAL, 0x14, bytes(40)).encode()[:-42])
    bench.run(0.7)  # the request is never completed
    assert ask(bench, requests.read(SEAL, Di.ADDRESS)).content == bcd.address_bytes(SEAL)
    assert ask(bench, requests.read(SEAL, Di.ASSET_NUMBER)).content == asset
    at = datetime(2027, 11, 30, 23, 59, 58, tzinfo=CST)
    bench.ask(requests.broadcast_time(at), 0.2)
    found = unpack(DIAGNOSTICS, ask(bench, requests.read(SEAL, Di.DIAGNOSTICS)).content)
    numbers = {name: int.from_bytes(value, "little") for name, value in found.items()}
    assert numbers.pop("uptime") == int(bench.bus.now - 0.2)
    assert 0 <= (bcd.moment(found["clock"]) - at).total_seconds() <= 1
    assert [numbers[f"loop{which}_mv"] for which in ("", "_min", "_max")] == [
        near(SEALED_MV),
        0,
        near(SEALED_MV),
    ]
    assert (numbers["state"], numbers["excursions"]) == (StateClass.SEALED, 0)

    # The loop opens while a record under a challenge is sent: the record is sent whole, then the report.
    challenge = bytes.fromhex("C4A11E4E")
    assert write(bench, Di.CHALLENGE, challenge, WRONG) == Frame(SEAL, 0x94)
    before = len(bench.heard)
    bench.bus.write(0, requests.read(SEAL, Di.RECORD_HISTORY + 1).encode())
    bench.run(20 * 11 * BIT + 0.060)
    bench.bus.position(0, closed=False)
    (opened,) = reported(bench, 1)
    raw = bench.heard[before].frame.content
    record = SealRecord.decode(raw)
    assert verify(seal_key(1), raw)
    assert (record.counter, record.challenge, record.flags) == (
        closed.counter,
        challenge,
        Flags.CHALLENGED,
    )
    assert (opened.kind, opened.challenge, opened.flags) == (Kind.OPENED, bytes(4), Flags(0))

    # The password guards these items.
    assert write(bench, Di.SEAL) == Frame(SEAL, 0xD4, b"\1")
    assert kinds(reported(bench, 1)) == [Kind.SEALING_REFUSED]
    taken = requests.change_password(SEAL, 0x04000C03, PASSWORD, NEW_PASSWORD)
    assert ask(bench, taken, at_once=False) == Frame(SEAL, 0x98, NEW_PASSWORD)
    assert kinds(reported(bench, 1)) == [Kind.PROVISIONED]
    assert bench.module.messages == []
    phone = "13800138000"
    given = write(bench, Di.PROVISIONING + 4, phone.encode().ljust(16, b"\0"), NEW_PASSWORD)
    assert given == Frame(SEAL, 0x94)
    assert kinds(reported(bench, 1)) == [Kind.PROVISIONED]
    kept = replace(whole, sequence=6, password="123456", phone=phone)
    assert read_identity((tmp_path / "0.bin").read_bytes()) == kept
    refused = Frame(SEAL, 0xD4, b"\4")
    assert [write(bench, Di.SEAL, password=WRONG) for _ in range(3)] == [refused] * 3
    assert kinds(reported(bench, 1)) == [Kind.LOCKED_OUT]
    assert write(bench, Di.SEAL, password=NEW_PASSWORD) == refused
    bench.bus.position(0, closed=True)
    assert kinds(reported(bench, 1)) == [Kind.CLOSED]
    bench.run(0.5)
    assert flashes_red(bench)

    # Change to the present rate, and to one that the host does not follow.
    assert ask(bench, requests.change_baud(SEAL, BAUD)) == Frame(SEAL, 0x97, b"\x08")
    assert ask(bench, requests.read_address()).address == SEAL
    assert ask(bench, requests.change_baud(SEAL, 4800)) == Frame(SEAL, 0x97, b"\x10")
    assert bench.ask(requests.read_address(), 0.3) == []


def test_messages_to_the_phone(tmp_path: Path, begin: Begin) -> None:
    """Messages contain the time of the event.

    The first event fills a sector, so its message is sent while the next sector is erased. Then the log is
    read to its end.
    """
    bench = begin(
        flash_with_entries(SECTOR_SLOTS - 2, replace(identity(), phone=PHONE, baud=FAST)), baud=FAST
    )
    bench.bus.position(0, closed=True)
    (boot,) = reported(bench, 1)
    assert (boot.boot, boot.counter, boot.kind) == (8, SECTOR_SLOTS - 1, Kind.BOOT)
    at = datetime(2027, 12, 31, 23, 59, 57, tzinfo=CST)
    bench.ask(requests.broadcast_time(at), 0.2)
    for closed, phrase, minute in ((False, "开启", "2027-12-31 23:59"), (True, "闭合", "2028-01-01 00:00")):
        bench.bus.position(0, closed)
        (record,) = reported(bench, 1)
        assert record.kind == (Kind.CLOSED if closed else Kind.OPENED)
        bench.run(5.0, until=lambda: bool(bench.module.messages))
        assert bench.module.messages == [Received(PHONE, message(SEAL, phrase, time=minute))]
        bench.module.messages.clear()
        bench.run(2.0)
    assert [entry.counter for entry in entries(tmp_path)] == [*range(1, SECTOR_SLOTS + 2)]
    assert [entry.acked for entry in entries(tmp_path)] == [True] * (SECTOR_SLOTS + 1)

    for n in (1, 6, 9, 15):
        raw = ask(bench, requests.read(SEAL, Di.RECORD_HISTORY + n), at_once=False).content
        assert verify(seal_key(1), raw)
        assert SealRecord.decode(raw).counter == record.counter - n
    for sequence, control in ((21, 0xB2), (42, 0xB2), (63, 0x92)):
        answer = ask(bench, requests.read_more(SEAL, Di.EVENT_LOG, sequence), at_once=False)
        assert (answer.control, answer.content[-1]) == (control, sequence)
        assert SealRecord.decode(answer.content[:-1]).counter == record.counter - sequence


def test_attacks_and_a_silent_meter(begin: Begin) -> None:
    """Each attack has its class and turns the seal red; so does a report that is repeated unanswered."""
    bench = begin(image(identity()))
    bench.bus.position(0, closed=True)
    reported(bench, 1)
    bench.run(1.0)
    assert lamps(bench) == (True, False)
    # After a blind time there is no other one for long.
    bench.run(0.3, until=lambda: not bench.bus.chip(0).loop_driven)
    bench.run(0.025)
    bench.bus.position(0, closed=False)
    bench.run(0.005)
    assert lamps(bench)[0] is False, "green does not go out at once"
    bench.bus.position(0, closed=True)
    # The voltage of another source in place of the head is right at first.
    for loop, state, mv, events in (
        (Loop(jumper=True), StateClass.HIGH, 5000, 1),
        (Loop(contact_mv=3600), StateClass.LOW, 3600, 1),
        (Loop(foreign_mv=SEALED_MV), StateClass.MISMATCH, SEALED_MV, 2),
    ):
        bench.bus.loop(0, loop)
        record = reported(bench, events)[-1]
        assert (record.state, record.loop_mv) == (state, near(mv))
        assert flashes_red(bench)
    bench.bus.tap()
    bench.run(3.0)
    seen = [seen for seen in bench.bus.tap() if isinstance(seen, LampsSeen)]
    assert not any(it.green for it in seen)
    lasted = {(it.red, round(after.at - it.at, 2)) for it, after in pairwise(seen)}
    assert lasted == {(True, 0.25), (False, 0.25), (False, 1.0)}
    bench.answering = False
    bench.bus.loop(0, Loop())
    records = reported(bench, 3)
    assert len({record.fact for record in records}) == 1
    assert records[-1].age > 0
    first, second, third = (heard.at for heard in bench.heard[-3:])
    assert third - second > second - first + 0.4, "a pause is not longer than the one before"
    assert flashes_red(bench)
    bench.bus.write(0, Frame(meter_address(1), 0xD4, bytes([4])).encode())
    reported(bench, 1)
    bench.answering = True
    reported(bench, 1)
    for n in range(6):
        bench.bus.position(0, closed=n % 2 == 1)
        bench.run(0.2)
    bench.run(3.0)
    assert bench.reports()[-1].kind == Kind.FLAPPING
    assert flashes_red(bench)


def test_a_chattering_contact(begin: Begin) -> None:
    """An event counts up to 255 of hundreds of excursions before it; then its report stays unanswered."""
    bench = begin(image(identity()), PLAIN)
    bench.bus.position(0, closed=True)
    reported(bench, 1)
    bench.run(0.7)
    assert lamps(bench) == (True, False)
    for n in range(600):
        bench.bus.position(0, closed=n % 2 == 1)
        bench.bus.run(0.001)
    found = unpack(DIAGNOSTICS, ask(bench, requests.read(SEAL, Di.DIAGNOSTICS)).content)
    assert int.from_bytes(found["excursions"], "little") == 300
    assert [found[name] for name in ("loop_mv", "loop_min_mv", "loop_max_mv")] == [b"\xff\xff"] * 3
    bench.answering = False
    moved = bench.bus.now
    bench.bus.position(0, closed=False)
    (opened,) = reported(bench, 1)
    assert bench.heard[-1].at - moved <= 0.021 + REPORT_SECONDS + STEP
    assert (opened.kind, opened.excursions, opened.flags) == (Kind.OPENED, 255, Flags.EXCURSIONS)
    bench.bus.position(0, closed=True)
    (again,) = reported(bench, 1)
    assert again.counter == opened.counter
    assert lamps(bench)[0] is False, "green before the report is acknowledged"
    bench.answering = True
    assert reported(bench, 2)[-1].kind == Kind.CLOSED
    bench.run(0.3)
    assert lamps(bench) == (True, False)


def test_each_bit_of_the_address_selects_the_slot(tmp_path: Path) -> None:
    """Seals whose draws start with one inverted bit transmit at other times after collisions."""

    def begins(seal: str) -> list[int]:
        """Return the times in ms at which the first frames begin."""
        with closing(ModemBench(tmp_path, PLAIN, BAUD)) as bench:
            (tmp_path / "0.bin").write_bytes(image(replace(identity(), seal=seal)))
            bench.power()
            begun = []
            for _ in range(4):
                bench.bus.tap()
                while not (sent := sent_by_seal(bench)):
                    bench.bus.run(0.001)
                begun.append(round(1000 * sent[0].at))
                bench.bus.noise(1.0, 0.005)
                bench.bus.run(0.01)
            return begun

    # For each byte of the address, the lowest one first, the value from which slots are drawn is rotated left
    # by five bits. A digit 1 with any of its bits inverted is still a digit.
    ones = int("1" * 12, 16)
    seals = {
        (bit + 5 * (5 - byte)) % 16: ones ^ 1 << 8 * byte + bit for byte, bit in product(range(6), range(8))
    }
    assert len(seals) == 16
    times = begins(f"{ones:012x}")
    assert [bit for bit, seal in seals.items() if begins(f"{seal:012x}") == times] == []


def test_every_rate_on_request(begin: Begin) -> None:
    """A change of rate is answered at the old rate and in force after the answer.

    An opening is then reported at once, and whole. So is the last one, which fills a sector; its report has
    begun before the other sector was erased.
    """
    bench = begin(flash_with_entries(SECTOR_SLOTS - 1 - len(BAUD_FEATURE), identity()))
    reported(bench, 1)
    bench.run(1.0)
    closed = False
    for feature, rate in ((0x02, 600), (0x04, 1200), (0x10, 4800), (0x20, 9600), (0x40, FAST), (0x08, BAUD)):
        assert ask(bench, requests.change_baud(SEAL, rate)) == Frame(SEAL, 0x97, bytes([feature]))
        bench.bus.change_baud(rate)
        assert ask(bench, requests.read_address()).address == SEAL
        bench.bus.tap()
        moved, closed = bench.bus.now, not closed
        bench.bus.position(0, closed)
        (record,) = reported(bench, 1)
        assert record.kind == (Kind.CLOSED if closed else Kind.OPENED)
        fills = rate == BAUD
        ahead = has_record_in_time(CLOCK_HZ, rate) and not fills
        late = 0 if ahead else SECTOR_ERASE + CRASH_MS / 1000 + MAKING_SECONDS
        assert bench.heard[-1].at - moved < 0.021 + STEP + late + REPORT_SECONDS * BAUD / rate
        sent = sent_by_seal(bench)
        assert len(sent) == REPORT_BYTES + fills * AHEAD_BITS // 11
        assert [seen for seen in sent if seen.malformed or seen.corrupted] == []
        bench.run(5.0)  # changes this far apart are not flapping


def test_an_answer_is_of_one_moment(begin: Begin) -> None:
    """Uptime and time agree, whichever of their bytes is being sent when a second passes."""
    bench = begin(image(identity()), PLAIN)
    reported(bench, 1)
    bench.run(1.0)
    at = datetime(2027, 12, 31, 23, 59, 54, tzinfo=CST)
    bench.ask(requests.broadcast_time(at), 0.2)
    second = 1000 * round(CLOCK_HZ / 1000) / CLOCK_HZ

    def ask_now() -> tuple[datetime, timedelta, list[float]]:
        """Return time, uptime, and when each byte of the answer was sent, from the request's start on."""
        bench.bus.tap()
        asked = bench.bus.now
        (answer,) = bench.ask(requests.read(SEAL, Di.DIAGNOSTICS), 0.45)
        found = unpack(DIAGNOSTICS, answer.frame.content)
        sent = [seen.at - asked for seen in sent_by_seal(bench)]
        return bcd.moment(found["clock"]), timedelta(seconds=int.from_bytes(found["uptime"], "little")), sent

    time, uptime, sent = ask_now()
    begun = time - uptime
    # Time and uptime come last, before the two final bytes of the frame.
    for byte in range(DIAGNOSTICS.offsets["uptime"] - DIAGNOSTICS.size - 2, -2):
        passes = second * (1 + (bench.bus.now + sent[byte]) // second)
        bench.bus.run(passes - sent[byte] - bench.bus.now)
        time, uptime, _ = ask_now()
        assert time - uptime == begun
    assert time.year == 2028


@pytest.mark.parametrize(("control", "size"), [(0x83, 0), (0x91, 0), (0x94, 0), (0xB1, 200)])
def test_an_answer_of_any_function_ends_the_waiting(begin: Begin, control: int, size: int) -> None:
    """After another station's answer no answer is expected, so the report is sent at once."""
    bench = begin(image(identity()), PLAIN)
    reported(bench, 1)
    bench.run(0.7)
    answer = Frame(meter_address(7), control, bytes(size)).encode()
    bench.bus.write(0, answer)
    bench.bus.position(0, closed=True)
    bench.run(len(answer) * 11 * BIT)
    answered = bench.bus.now
    reported(bench, 1)
    assert bench.heard[-1].at - REPORT_SECONDS - answered < 0.070


@pytest.mark.parametrize(
    "other",
    [Frame(WILDCARD, 0x94), Frame(meter_address(1), 0xB4), Frame(meter_address(7), 0x94)],
    ids=["wildcard", "follow-up", "another meter"],
)
def test_only_its_own_meter_acknowledges(begin: Begin, other: Frame) -> None:
    """A report is repeated until 94H comes from exactly the seal's meter, without the follow-up bit."""
    bench = begin(image(identity()))
    bench.answering = False
    (boot,) = reported(bench, 1)
    bench.bus.write(0, other.encode())
    (again,) = reported(bench, 1)
    assert again.counter == boot.counter
    assert lamps(bench)[0] is False
    bench.answering = True
    bench.bus.position(0, closed=True)
    assert reported(bench, 2)[-1].kind == Kind.CLOSED


def test_the_window_is_around_the_learned_voltage(begin: Begin) -> None:
    """The loop stays *sealed* up to 1/16 beside the learned voltage; a record has what was measured."""
    bench = begin(image(identity()))
    reported(bench, 1)
    for contact_mv, state in (
        (SEALED_MV, StateClass.SEALED),
        (SEALED_MV + 230, None),
        (SEALED_MV - 310, StateClass.LOW),
        (SEALED_MV, StateClass.SEALED),
        (SEALED_MV - 230, None),
        (SEALED_MV + 310, StateClass.HIGH),
    ):
        bench.bus.loop(0, Loop(contact_mv=contact_mv))
        bench.bus.position(0, closed=True)
        before = len(bench.reports())
        bench.run(1.5)
        records = bench.reports()[before:]
        found = unpack(DIAGNOSTICS, ask(bench, requests.read(SEAL, Di.DIAGNOSTICS)).content)
        measured = int.from_bytes(found["loop_mv"], "little")
        assert measured == pytest.approx(contact_mv, abs=20)
        assert [record.state for record in records] == ([] if state is None else [state])
        # Two measurements of a steady loop differ by no more than the step of the converter's ripple.
        assert all(record.loop_mv == pytest.approx(measured, abs=8) for record in records)


def test_a_frame_that_begins_before_the_answer_cancels_it(begin: Begin) -> None:
    """A request is not answered when another frame begins first, even one that then proves damaged."""
    bench = begin(image(identity()))
    reported(bench, 1)
    bench.run(1.0)
    request = requests.read(SEAL, Di.ADDRESS)
    damaged = bytearray(requests.read(SEAL, Di.ASSET_NUMBER).encode(0))
    damaged[-2] ^= 1
    before = len(bench.heard)
    bench.bus.write(0, request.encode(0) + bytes(damaged))
    bench.run(1.0)
    assert bench.heard[before:] == []
    assert ask(bench, request).di == Di.ADDRESS
