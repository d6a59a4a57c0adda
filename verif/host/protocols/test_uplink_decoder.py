"""The uplink decoder reads streams of frames, garbage and damage in any chunking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.csg1209022.decoder import Decoder, Discarded, Received, TimedDecoder
from meterseal.protocols.csg1209022.frame import MAX_LENGTH, Frame
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "uplink.json").read_text(encoding="utf-8"))
VALID = [bytes.fromhex(vector["hex"]) for vector in VECTORS if "reason" not in vector]
#: One vector is left out: a good frame followed by one more byte is not a bad frame in a stream.
INVALID = [
    bytes.fromhex(vector["hex"])
    for vector in VECTORS
    if "reason" in vector and vector["name"] != "a byte too many"
]

good = st.sampled_from(VALID)
#: Garbage in which the bytes that have a meaning in frames are frequent.
garbage = st.lists(st.sampled_from([0x68, 0x16, 0x10, 0x00]) | st.integers(0, 255), max_size=30).map(bytes)
pieces = st.lists(good | garbage | st.sampled_from(INVALID), max_size=6)


def run(data: bytes, *chunks: int) -> list[Received | Discarded]:
    decoder, events, begin = Decoder(), [], 0
    for end in [*sorted(chunks), len(data)]:
        events += decoder.feed(data[begin:end])
        begin = end
    return events + decoder.flush()


def frames(events: list[Received | Discarded]) -> list[bytes]:
    return [event.raw for event in events if isinstance(event, Received)]


@given(pieces, st.data())
def test_every_byte_is_accounted_for(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    chunks = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    events = run(stream, *chunks)
    assert b"".join(event.raw for event in events) == stream
    assert all(event.raw and (isinstance(event, Received) or event.reason) for event in events)


@given(pieces, st.data())
def test_chunking_does_not_matter(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    chunks = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert frames(run(stream, *chunks)) == frames(run(stream)) == frames(run(stream, *range(len(stream))))


@pytest.mark.parametrize("raw", VALID)
def test_whole_bytewise_and_twice(raw: bytes) -> None:
    received = Received(Frame.decode(raw), raw)
    assert Decoder().feed(raw) == [received]
    assert run(raw, *range(len(raw))) == [received]
    assert Decoder().feed(raw + raw) == [received, received]


@pytest.mark.parametrize("raw", VALID)
@pytest.mark.parametrize("noise", [b"\x00", b"\x68", b"\x16\x68\x68", b"\x68\x10\x00\x10\x00\x68", b"AT\r\n"])
def test_garbage_before_and_after(raw: bytes, noise: bytes) -> None:
    events = run(noise + raw + noise)
    assert frames(events) == [raw]
    assert b"".join(event.raw for event in events) == noise + raw + noise


@pytest.mark.parametrize("raw", INVALID)
def test_a_bad_frame_does_not_hide_the_next(raw: bytes) -> None:
    events = run(raw + VALID[0])
    assert frames(events) == [VALID[0]]
    assert run(raw)
    assert all(isinstance(event, Discarded) for event in run(raw))


def test_a_frame_inside_a_damaged_one_is_found() -> None:
    damaged = bytearray(VALID[0][:-2] + VALID[1] + VALID[0][-2:])
    damaged[1] = damaged[3] = damaged[1] + len(VALID[1])
    events = Decoder().feed(bytes(damaged))
    assert frames(events) == [VALID[1]]
    assert isinstance(events[0], Discarded)
    assert "checksum" in events[0].reason


@given(st.integers(20, 400), st.lists(st.binary(max_size=300), max_size=20))
def test_memory_is_bounded(limit: int, chunks: list[bytes]) -> None:
    header = b"\x68" + limit.to_bytes(2, "little") * 2 + b"\x68"
    decoder = Decoder(max_length=limit)
    for chunk in chunks:
        decoder.feed(header + chunk)
        assert decoder.pending <= limit + 8


def test_a_frame_longer_than_the_limit_is_garbage() -> None:
    raw = VALID[0]
    length = int.from_bytes(raw[1:3], "little")
    assert frames(Decoder(max_length=length).feed(raw)) == [raw]
    assert frames(run_limited(raw, length - 1)) == []


def run_limited(raw: bytes, limit: int) -> list[Received | Discarded]:
    decoder = Decoder(max_length=limit)
    return decoder.feed(raw) + decoder.flush()


def test_worst_garbage_is_digested_in_time() -> None:
    """Each of these headers claims a long frame; every claim is checked once, and none blocks the stream."""
    length = (MAX_LENGTH // 2).to_bytes(2, "little")
    stream = (b"\x68" + length + length + b"\x68") * 10_000 + VALID[0]
    assert frames(run(stream, *range(0, len(stream), 1000))) == [VALID[0]]


def test_a_partial_frame_is_given_up_in_time() -> None:
    decoder = TimedDecoder()
    assert decoder.deadline is None
    assert decoder.feed(VALID[0][:7], 100.0) == []
    assert decoder.feed(VALID[0][7:9], 105.0) == []
    assert decoder.deadline == 110.0
    assert decoder.tick(109.9) == []
    given_up = decoder.tick(110.0)
    assert b"".join(event.raw for event in given_up) == VALID[0][:9]
    assert {event.reason for event in given_up if isinstance(event, Discarded)} == {
        "the frame is not complete"
    }
    assert decoder.deadline is None
    assert frames(decoder.feed(VALID[0] + VALID[1][:8], 111.0)) == [VALID[0]]
    assert decoder.deadline == 121.0
    assert frames(decoder.feed(VALID[1][8:] + VALID[0][:1], 120.0)) == [VALID[1]]
    assert decoder.deadline == 130.0
