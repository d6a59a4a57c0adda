"""The seal takes identity, password, rate and time over the bus, and returns its event log."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from meterseal.clock import CST
from meterseal.domain.image import Identity, read_identity
from meterseal.domain.layout import unpack
from meterseal.domain.record import Kind, SealRecord
from meterseal.octets import bcd
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import DIAGNOSTICS, FLASH_SIZE, Di
from verif.benches.chip import BAUD, Bench, flashes_red, identity, meter_address, seal_address, seal_key

SEAL = seal_address(1)
WILDCARD = "A" * 12
NEW = seal_address(77)
PASSWORD, WRONG, NONE = (bytes.fromhex(digits) for digits in ("02563412", "02563413", "02000000"))
DONE, OTHER, NO_DATA, UNAUTHORISED, NO_RATE = None, 1, 2, 4, 8
ITEM = {"seal": 0, "meter": 1, "asset": 2, "key": 3, "phone": 4, "baud": 5, "password": 6}


def answers(bench: Bench, request: Frame, seconds: float = 1.0) -> list[Frame]:
    """Return the answers to a request; the seal may also report meanwhile."""
    return [heard.frame for heard in bench.ask(request, seconds) if heard.frame.from_slave]


def write(
    bench: Bench, di: int, data: bytes = b"", password: bytes = NONE, address: str = SEAL
) -> int | None:
    """Return the ERR of the answer to a 14H."""
    (frame,) = answers(bench, requests.write(address, di, data, password=password))
    assert frame.control == (0xD4 if frame.data else 0x94)
    return frame.data[0] if frame.data else DONE


def provision(
    bench: Bench, name: str, data: bytes, password: bytes = NONE, address: str = SEAL
) -> int | None:
    return write(bench, Di.PROVISIONING + ITEM[name], data, password, address)


def stored(tmp_path: Path) -> Identity:
    return read_identity((tmp_path / "0.bin").read_bytes())


def blank(tmp_path: Path) -> None:
    (tmp_path / "0.bin").write_bytes(b"\xff" * FLASH_SIZE)


def test_new_address(settled: Bench, tmp_path: Path) -> None:
    """A new address is in force with the answer, and all later reports have it."""
    assert provision(settled, "seal", bcd.address_bytes(NEW)) is DONE
    assert stored(tmp_path) == replace(identity(), seal=NEW, sequence=1)
    (frame,) = answers(settled, requests.read(NEW, Di.ADDRESS))
    assert frame.address == NEW
    assert answers(settled, requests.read(SEAL, Di.ADDRESS)) == []
    settled.bus.position(0, closed=False)
    settled.run(2.0)
    reported = [SealRecord.decode(heard.frame.data[12:]) for heard in settled.heard if heard.is_report]
    assert [(record.seal, record.kind) for record in reported] == [
        (NEW, Kind.PROVISIONED),
        (NEW, Kind.OPENED),
    ]


def test_new_key(settled: Bench) -> None:
    """The next record is signed with the new key, by which `ReceivedFrame.record` verifies it."""
    assert provision(settled, "seal", bcd.address_bytes(NEW)) is DONE
    assert provision(settled, "key", seal_key(77), address=NEW) is DONE
    settled.bus.position(0, closed=False)
    settled.heard.clear()
    settled.run(2.0)
    assert settled.heard[-1].record.seal == NEW


def test_password_guards_every_item(settled: Bench, tmp_path: Path) -> None:
    assert provision(settled, "password", bytes.fromhex("563412")) is DONE
    for name, data in (("meter", bytes(6)), ("password", bytes(3))):
        assert provision(settled, name, data, WRONG) == UNAUTHORISED
        assert provision(settled, name, data[1:], PASSWORD) == OTHER
    assert provision(settled, "phone", b"123".ljust(16, b"\0"), PASSWORD) is DONE
    assert stored(tmp_path) == replace(identity(), phone="123", password="123456", sequence=2)
    for unknown in (7, 8, 15):
        assert write(settled, Di.PROVISIONING + unknown, bytes(6), PASSWORD) == NO_DATA


def test_change_of_password(settled: Bench, tmp_path: Path) -> None:
    def change(old: bytes, new: bytes) -> Frame:
        (frame,) = answers(settled, requests.change_password(SEAL, 0x04000C03, old, new))
        return frame

    assert change(NONE, PASSWORD) == Frame(SEAL, 0x98, PASSWORD)
    assert stored(tmp_path).password == "123456"
    assert change(NONE, WRONG) == Frame(SEAL, 0xD8, bytes([UNAUTHORISED]))
    assert change(PASSWORD, NONE) == Frame(SEAL, 0x98, NONE)


def test_locked_out(settled: Bench, tmp_path: Path) -> None:
    """After three wrong passwords the right one is refused too, and reading still works."""
    for password in (WRONG, WRONG, NONE, WRONG, WRONG, WRONG):
        provision(settled, "phone", bytes(16), password)
    before = stored(tmp_path)
    assert provision(settled, "phone", b"1" * 16) == UNAUTHORISED
    refused = Frame(SEAL, 0xD8, bytes([UNAUTHORISED]))
    assert answers(settled, requests.change_password(SEAL, 0, NONE, PASSWORD)) == [refused]
    assert stored(tmp_path) == before
    assert len(answers(settled, requests.read(SEAL, Di.ADDRESS))) == 1
    assert Kind.LOCKED_OUT in [record.kind for record in settled.reports()]


def test_seal_command(settled: Bench) -> None:
    """A seal command is refused on an open loop and accepted on a sealed one; both are events."""
    assert write(settled, Di.SEAL, password=WRONG) == UNAUTHORISED
    assert write(settled, Di.SEAL) is DONE
    assert write(settled, Di.SEAL, b"x") == NO_DATA
    settled.bus.position(0, closed=False)
    settled.run(2.0)
    assert write(settled, Di.SEAL) == OTHER
    settled.run(1.0)
    kinds = [Kind.PROVISIONED, Kind.OPENED, Kind.SEALING_REFUSED]
    assert [record.kind for record in settled.reports()] == kinds


def test_blank_seal(bench: Bench, tmp_path: Path) -> None:
    """A blank seal answers only the wildcard address; once it has an address of its own, it reports."""
    blank(tmp_path)
    bench.power()
    bench.run(2.0)
    assert bench.heard == []
    assert flashes_red(bench)
    assert bench.ask(requests.read("0" * 12, Di.ADDRESS)) == []
    assert provision(bench, "meter", bcd.address_bytes(meter_address(1)), WRONG, WILDCARD) == UNAUTHORISED
    assert provision(bench, "meter", bcd.address_bytes(meter_address(1)), NONE, WILDCARD) is DONE
    assert provision(bench, "key", seal_key(1), NONE, WILDCARD) is DONE
    bench.heard.clear()
    bench.bus.write(0, requests.write(WILDCARD, Di.PROVISIONING, bcd.address_bytes(SEAL)).encode())
    bench.run(5.0)
    assert bench.heard.pop(0).frame == Frame(SEAL, 0x94)
    assert bench.heard[0].frame.address == meter_address(1)
    assert bench.heard[0].record.seal == SEAL


def test_address_by_15h(bench: Bench, tmp_path: Path) -> None:
    """15H sets the address once, while the seal has none, and only if sent to AAAAAAAAAAAA."""
    blank(tmp_path)
    bench.power()
    bench.run(2.0)
    assert bench.ask(requests.write_address(SEAL, "0" * 12)) == []
    (heard,) = bench.ask(requests.write_address(SEAL), 0.5)
    assert heard.frame == Frame(SEAL, 0x95)
    assert bench.ask(requests.write_address(NEW, SEAL))[1:] == []
    bench.run(1.0)
    assert [frame for frame in bench.ask(requests.write_address(NEW)) if frame.frame.control == 0x95] == []
    assert stored_address(tmp_path) == SEAL


def stored_address(tmp_path: Path) -> str:
    return bcd.address((tmp_path / "0.bin").read_bytes()[0x1008:0x100E])


def test_a_write_that_takes_too_long_has_no_answer(bench: Bench, tmp_path: Path) -> None:
    """A write with the flash's longest erase time and the slowest clock is done and reported as an event.

    No answer is sent later than the standard allows.
    """
    bench.bus.attach_flash(0, bench.flashes[0], sector_erase=0.4)
    bench.power()
    bench.run(3.0)
    request = requests.write(SEAL, Di.PROVISIONING + ITEM["key"], seal_key(1), password=NONE)
    assert answers(bench, request, 2.0) == []
    assert stored(tmp_path) == replace(identity(), sequence=1)
    assert bench.reports()[-1].kind is Kind.PROVISIONED
    assert provision(bench, "seal", bytes(5)) == OTHER


@pytest.mark.parametrize("after", [0.02, 0.06, 0.09, 0.12, 0.15])
def test_power_cut_in_an_update(settled: Bench, tmp_path: Path, after: float) -> None:
    """After a power cut the identity is the old one or the new one."""
    settled.bus.write(0, requests.write(SEAL, Di.PROVISIONING, bcd.address_bytes(NEW)).encode())
    settled.run(34 * 11 / BAUD)
    settled.bus.run(after)
    settled.power(on=False)
    settled.power()
    settled.run(3.0)
    (heard,) = settled.ask(requests.read_address(), 0.4)
    assert heard.frame.address == stored(tmp_path).seal
    assert heard.frame.address in (SEAL, NEW)


def test_clock(settled: Bench) -> None:
    """The clock is set by broadcast and by the seal's own address, without an answer."""
    for address, at in (
        ("9" * 12, datetime(2026, 2, 28, 23, 59, 58, tzinfo=CST)),
        (SEAL, datetime(2024, 2, 29, 1, 2, 3, tzinfo=CST)),
    ):
        assert settled.ask(requests.broadcast_time(at, address), 0.2) == []
        (heard,) = settled.ask(requests.read(SEAL, Di.DIAGNOSTICS))
        clock = bcd.moment(unpack(DIAGNOSTICS, heard.frame.content)["clock"])
        assert 0 <= (clock - at).total_seconds() <= 2


def test_event_log(settled: Bench) -> None:
    """The event log is read one record a frame, the newest first, with D5 set while there are more."""
    for n in range(3):
        settled.bus.position(0, closed=n % 2 == 1)
        settled.run(1.0)
    (heard,) = settled.ask(requests.read(SEAL, Di.EVENT_LOG))
    frames = [heard.frame]
    for seq in range(1, 5):
        (heard,) = settled.ask(requests.read_more(SEAL, Di.EVENT_LOG, seq))
        frames.append(heard.frame)
    assert [frame.control for frame in frames] == [0xB1, 0xB2, 0xB2, 0x92, 0xD2]
    assert frames.pop().data == bytes([NO_DATA])
    contents = [frames[0].content, *(frame.content[:-1] for frame in frames[1:])]
    assert [SealRecord.decode(content).counter for content in contents] == [4, 3, 2, 1]
    assert [frame.content[-1] for frame in frames[1:]] == [1, 2, 3]


@pytest.mark.parametrize("seq", [0, 64, 255])
def test_no_such_follow_up(settled: Bench, seq: int) -> None:
    (heard,) = settled.ask(Frame(SEAL, 0x12, Di.EVENT_LOG.to_bytes(4, "little") + bytes([seq])))
    assert heard.frame == Frame(SEAL, 0xD2, bytes([NO_DATA]))


def test_rate(settled: Bench) -> None:
    """A change of rate is answered at the old rate, in force from then on, and lost with the power."""
    (heard,) = settled.ask(requests.change_baud(SEAL, 4800))
    assert heard.frame == Frame(SEAL, 0x97, b"\x10")
    assert settled.ask(requests.read(SEAL, Di.ADDRESS)) == []
    settled.power(on=False)
    settled.power()
    settled.run(3.0)
    assert len(settled.ask(requests.read(SEAL, Di.ADDRESS))) == 1
    (heard,) = settled.ask(Frame(SEAL, 0x17, b"\x03"))
    assert heard.frame == Frame(SEAL, 0xD7, bytes([NO_RATE]))
