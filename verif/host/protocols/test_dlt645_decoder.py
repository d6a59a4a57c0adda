"""Every good frame in a stream is found, and every other byte is reported, however the bytes arrive."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.dlt645 import Decoder, Discarded, Fault, Frame, Received
from meterseal.protocols.dlt645.control import TB_MAX
from meterseal.protocols.dlt645.decoder import PREAMBLE_MAX
from meterseal.protocols.dlt645.frame import LONGEST
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "dlt645.json").read_text(encoding="utf-8"))
GOOD = [pytest.param(bytes.fromhex(v["hex"]), id=v["name"]) for v in VECTORS if "fault" not in v]
BAD = [
    pytest.param(bytes.fromhex(v["hex"]), Fault(v["fault"]), id=v["name"]) for v in VECTORS if "fault" in v
]

#: These bytes neither begin nor end a frame, but contain every byte that has a meaning in frames.
GARBAGE = bytes.fromhex("00 68 16 FE 68 68 99 16 FE 33")

addresses = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex().upper())
frames = st.builds(Frame, addresses, st.integers(0, 255), st.binary(max_size=40))
#: Bytes that often resemble a frame.
noise = st.lists(
    st.one_of(
        st.sampled_from([b"\x68", b"\x16", b"\xfe", b"\x68\0\0\0\0\0\0\x68", b"\x68" * 9]),
        st.binary(max_size=12),
        frames.map(lambda frame: frame.encode()[:-1]),
    ),
    max_size=6,
).map(b"".join)
streams = st.lists(st.one_of(noise, frames.map(Frame.encode)), max_size=6).map(b"".join)


def decode(chunks, now=0.0):
    """Return all events of `chunks`, read at one moment, and of the silence after them."""
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk, now)]
    return events + decoder.idle(now + TB_MAX)


def received(events):
    return [event.frame for event in events if isinstance(event, Received)]


def raw_of(events):
    return b"".join(event.raw for event in events)


def single_bytes(raw):
    return [raw[i : i + 1] for i in range(len(raw))]


@pytest.mark.parametrize("raw", GOOD)
def test_vector_whole(raw):
    assert decode([raw]) == [Received(Frame.decode(raw), raw)]


@pytest.mark.parametrize("raw", GOOD)
def test_vector_byte_by_byte(raw):
    assert decode(single_bytes(raw)) == [Received(Frame.decode(raw), raw)]


@pytest.mark.parametrize("raw", GOOD)
@pytest.mark.parametrize("split", [lambda raw: [raw], single_bytes], ids=["whole", "byte by byte"])
def test_vector_with_garbage_before_and_after(raw, split):
    events = decode(split(GARBAGE + raw + GARBAGE))
    assert received(events) == [Frame.decode(raw)]
    assert raw_of(events) == GARBAGE + raw + GARBAGE


@pytest.mark.parametrize("raw", GOOD)
def test_two_vectors_in_one_read(raw):
    assert decode([raw + raw]) == 2 * [Received(Frame.decode(raw), raw)]


@pytest.mark.parametrize("raw", GOOD)
def test_vector_after_its_own_damaged_copy(raw):
    damaged = raw[:-2] + bytes([raw[-2] ^ 0xFF, 0x16])
    events = decode([damaged + raw])
    # One vector holds a good frame in its data, which is found when the frame around it is refused.
    assert received(events)[-1] == Frame.decode(raw)
    assert raw_of(events) == damaged + raw


@pytest.mark.parametrize(("raw", "fault"), BAD)
@pytest.mark.parametrize("split", [lambda raw: [raw], single_bytes], ids=["whole", "byte by byte"])
def test_bad_vector_is_one_discard_with_its_reason(raw, fault, split):
    events = decode(split(raw))
    assert raw_of(events) == raw
    assert {event.reason for event in events} == {fault}
    # Noise is reported as it arrives; bytes that began like a frame are reported as one piece.
    assert len(events) == 1 or fault is Fault.NOISE


@pytest.mark.parametrize(("raw", "fault"), BAD)
def test_good_frame_after_a_bad_vector(raw, fault):
    good = Frame("000000000731", 0x91, bytes(7))
    events = decode([raw + good.encode()])
    assert received(events) == [good]
    assert raw_of(events) == raw + good.encode()


@given(streams, st.data())
def test_nothing_is_lost(stream, data):
    """Any bytes, in any pieces and with any pauses, are reported exactly once and in order."""
    decoder, events, now, rest = Decoder(), [], 0.0, stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        now += data.draw(st.sampled_from([0.0, 0.1, TB_MAX, 0.6]))
        events += decoder.feed(rest[:size], now)
        rest = rest[size:]
    events += decoder.idle(now + TB_MAX)
    assert raw_of(events) == stream
    assert all(event.raw for event in events)
    assert not decoder.busy


@given(streams)
def test_chunking_does_not_matter(stream):
    whole, single = decode([stream]), decode(single_bytes(stream))
    assert received(whole) == received(single)
    assert raw_of(whole) == raw_of(single)


@given(st.lists(frames, max_size=5))
def test_good_frames_pass_without_a_discard(sent):
    events = decode([b"".join(frame.encode() for frame in sent)])
    assert events == [Received(frame, frame.encode()) for frame in sent]


@given(frames, st.binary(max_size=30), st.data())
def test_good_frame_inside_a_bad_one(inner, before, data):
    """A good frame that begins inside one with a wrong checksum is not lost."""
    raw = inner.encode(0)
    body = before + raw
    outer = b"\x68\0\0\0\0\0\0\x68\x91" + bytes([len(body)]) + body
    outer += bytes([sum(outer) + 1 & 0xFF, 0x16])
    events = decode(single_bytes(outer) if data.draw(st.booleans()) else [outer])
    # The bytes before it may happen to form an earlier frame that contains it.
    assert inner in received(events) or any(
        raw in event.raw for event in events if isinstance(event, Received)
    )
    assert raw_of(events) == outer


@given(frames)
def test_good_frame_after_a_head_that_never_ends(inner):
    """A false head with a large length hides the frames that follow only until the line is idle."""
    head = b"\x68\0\0\0\0\0\0\x68\x91\xff"
    decoder = Decoder()
    assert decoder.feed(head + inner.encode(), 1.0) == []
    assert decoder.deadline == 1.0 + TB_MAX
    assert decoder.idle(1.0 + TB_MAX / 2) == []
    assert received(decoder.idle(decoder.deadline)) == [inner]
    assert decoder.deadline is None


@given(frames, st.integers(1, 11))
def test_a_pause_longer_than_tb_ends_a_frame(frame, position):
    raw = frame.encode(0)
    decoder = Decoder()
    assert decoder.feed(raw[:position], 0.0) == []
    events = decoder.feed(raw, TB_MAX + 0.001)
    assert events[0] == Discarded(raw[:position], Fault.INCOMPLETE)
    assert received(events) == [frame]


@given(frames, st.integers(1, 11))
def test_a_pause_of_tb_does_not(frame, position):
    raw = frame.encode(0)
    decoder = Decoder()
    decoder.feed(raw[:position], 0.0)
    assert decoder.feed(raw[position:], TB_MAX) == [Received(frame, raw)]


@pytest.mark.parametrize(
    "pattern", [b"\x68", b"\xfe", b"\x68\xfe", b"\x68\0\0\0\0\0\0\x68\x91\xf0", b"\0", b"\x68\x16"]
)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_memory_is_bounded(pattern, size):
    """Bytes that were fed but not yet reported never exceed two frames of maximum length and a preamble."""
    decoder, fed, told = Decoder(), 0, 0
    stream = pattern * (8192 // len(pattern))
    for at in range(0, len(stream), size):
        chunk = stream[at : at + size]
        fed += len(chunk)
        told += sum(len(event.raw) for event in decoder.feed(chunk, 0.0))
        assert fed - told <= 2 * LONGEST + PREAMBLE_MAX


def test_preamble_stays_with_its_frame_up_to_a_limit():
    frame = Frame("000000000731", 0x13)
    assert decode([frame.encode(PREAMBLE_MAX)]) == [Received(frame, frame.encode(PREAMBLE_MAX))]
    assert decode([frame.encode(PREAMBLE_MAX + 5)]) == [
        Discarded(b"\xfe" * 5, Fault.NOISE),
        Received(frame, frame.encode(PREAMBLE_MAX)),
    ]


def test_busy_from_the_first_byte_of_a_frame_to_its_last():
    decoder = Decoder()
    raw = Frame("000000000731", 0x13).encode()
    states = []
    for byte in single_bytes(raw):
        decoder.feed(byte, 0.0)
        states.append(decoder.busy)
    assert states == [True] * (len(raw) - 1) + [False]


def test_noise_does_not_make_it_busy():
    decoder = Decoder()
    assert decoder.feed(b"\x01\x16\x33", 0.0) == [Discarded(b"\x01\x16\x33", Fault.NOISE)]
    assert not decoder.busy


def test_no_bytes_are_no_event():
    decoder = Decoder()
    assert decoder.feed(b"", 0.0) == []
    assert decoder.idle(9.0) == []
