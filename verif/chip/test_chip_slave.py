"""The whole chip answers requests as a slave, and is silent where the standard requires it."""

from __future__ import annotations

import importlib

import pytest

from meterseal.domain.layout import unpack
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.control import TD_MAX, TD_MIN
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import DIAGNOSTICS, Di
from verif.benches.chip import BAUD, REPORT_SECONDS, STEP, Bench, seal_address


def test_reads(settled: Bench) -> None:
    seal = seal_address(1)

    def read(di: int) -> bytes:
        asked = settled.bus.now
        (heard,) = settled.ask(requests.read(seal, di))
        answer = heard.frame
        assert (answer.address, answer.control, answer.di) == (seal, 0x91, di)
        sent = (16 + 4) * 11 / BAUD - 4 * 11 / BAUD  # a request and the shortest answer
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
    assert abs(int.from_bytes(diagnostics["uptime"], "little") - settled.bus.now) < 2


def test_history(settled: Bench) -> None:
    for n in range(3):
        settled.bus.position(0, closed=n % 2 == 1)
        settled.run(1.0)
    for n in range(4):
        (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_HISTORY + n))
        assert SealRecord.decode(heard.frame.content).counter == 4 - n
    (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_HISTORY + 4))
    assert (heard.frame.control, heard.frame.data) == (0xD1, b"\x02")


@pytest.mark.parametrize("size", [3, 5])
def test_other_challenges_are_refused(settled: Bench, size: int) -> None:
    (heard,) = settled.ask(requests.write(seal_address(1), Di.CHALLENGE, bytes(size)))
    assert heard.frame == Frame(seal_address(1), 0xD4, b"\x02")
    (heard,) = settled.ask(requests.read(seal_address(1), Di.RECORD_NEWEST))
    assert Flags.CHALLENGED not in SealRecord.decode(heard.frame.content).flags


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
    assert heard.frame == Frame(seal_address(1), 0xD4, b"\x02")


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
    settled.bus.write(0, raw)
    settled.run(1.5)
    assert settled.heard == []
    # And the seal still answers the next request.
    assert len(settled.ask(requests.read_address())) == 1


def test_another_frame_cancels_the_answer(settled: Bench) -> None:
    """Of two requests without a pause only the second one is answered, with its own item."""
    first, second = (requests.read(seal_address(1), di) for di in (Di.ADDRESS, Di.ASSET_NUMBER))
    settled.bus.write(0, first.encode(0) + second.encode(0))
    settled.run(1.5)
    assert [heard.frame.di for heard in settled.heard] == [Di.ASSET_NUMBER]


def test_noise_is_silence_and_passes(settled: Bench) -> None:
    settled.bus.noise(0.3, 1.0)
    settled.run(3.0)
    assert len(settled.ask(requests.read_address(), 2.0)) == 1


def test_independent_codec_reads_the_record(settled: Bench) -> None:
    """The PyPI package dlt645 builds the request and decodes the answer."""
    peer = importlib.import_module("dlt645.protocol.protocol").DLT645Protocol
    wire_address = bytes.fromhex(seal_address(1))[::-1]
    settled.bus.write(0, bytes(peer.build_frame(wire_address, 0x11, bytes.fromhex("01538004"))))
    raw = b""
    for _ in range(200):
        settled.bus.run(STEP)
        raw += settled.bus.read(0)
    answer = peer.deserialize(raw)
    assert bytes(answer.addr) == wire_address
    assert answer.ctrl_code == 0x91
    record = SealRecord.decode(bytes(answer.data)[4:])
    assert (record.seal, record.kind) == (seal_address(1), Kind.BOOT)
