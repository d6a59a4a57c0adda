"""One frame is converted to values and back, and bytes that are not a frame are named with the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.dlt645 import Frame, FrameError, Function
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "dlt645.json").read_text(encoding="utf-8"))
GOOD = [vector for vector in VECTORS if "fault" not in vector]
BAD = [vector for vector in VECTORS if "fault" in vector]

addresses = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex().upper())
frames = st.builds(Frame, addresses, st.integers(0, 255), st.binary(max_size=255))


def name(vector):
    return vector["name"]


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_vector_decodes(vector):
    frame = Frame.decode(bytes.fromhex(vector["hex"]))
    assert frame.address == vector["address"]
    assert f"{frame.control:02X}" == vector["control"]
    assert (frame.di and f"{frame.di:08X}") == vector["di"]
    assert frame.content.hex().upper() == vector["content"]


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_vector_encodes(vector):
    raw = bytes.fromhex(vector["hex"])
    di = bytes.fromhex(vector["di"] or "")[::-1]
    frame = Frame(vector["address"], int(vector["control"], 16), di + bytes.fromhex(vector["content"]))
    assert frame.encode(preamble=len(raw) - len(raw.lstrip(b"\xfe"))) == raw


@pytest.mark.parametrize("vector", BAD, ids=name)
def test_bad_vector_is_refused_with_its_bytes_and_the_reason(vector):
    raw = bytes.fromhex(vector["hex"])
    with pytest.raises(FrameError) as refusal:
        Frame.decode(raw)
    assert str(refusal.value) == f"{raw.hex(' ').upper()}: {vector['says']}"


@given(frames, st.integers(0, 9))
def test_round_trip(frame, preamble):
    raw = frame.encode(preamble)
    assert Frame.decode(raw) == frame
    assert len(raw) == preamble + 12 + len(frame.data)


@given(frames, st.data())
def test_a_damaged_frame_is_refused(frame, data):
    """The checksum detects every single damaged byte; length, start and end bytes are checked as well."""
    raw = bytearray(frame.encode(0))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        Frame.decode(bytes(raw))


@given(frames, st.binary(min_size=1, max_size=20))
def test_nothing_may_follow(frame, surplus):
    with pytest.raises(FrameError, match="makes"):
        Frame.decode(frame.encode() + surplus)


@pytest.mark.parametrize(
    "frame",
    [
        Frame("1234", Function.READ),
        Frame("12345678901X", Function.READ),
        Frame("12345678901234", Function.READ),
        Frame("123456789012", 256),
        Frame("123456789012", -1),
        Frame("123456789012", Function.READ, bytes(256)),
    ],
)
def test_values_that_make_no_frame(frame):
    with pytest.raises(FrameError, match="cannot be a frame"):
        frame.encode()


def test_no_bytes():
    with pytest.raises(FrameError, match="no bytes: a frame of 0 bytes, but the shortest has 12"):
        Frame.decode(b"")


@pytest.mark.parametrize(
    ("control", "function", "from_slave", "refused", "more"),
    [
        (0x11, Function.READ, False, False, False),
        (0x91, Function.READ, True, False, False),
        (0xB1, Function.READ, True, False, True),
        (0xD1, Function.READ, True, True, False),
        (0xB2, Function.READ_MORE, True, False, True),
        (0xDB, Function.CLEAR_EVENTS, True, True, False),
    ],
)
def test_control_bits(control, function, from_slave, refused, more):
    frame = Frame("000000000001", control, b"\x02")
    assert (frame.function, frame.from_slave, frame.refused, frame.more) == (
        function,
        from_slave,
        refused,
        more,
    )


def test_a_refusal_has_no_di_whatever_its_length():
    assert Frame("000000000001", 0xD1, b"\x02\x00\x00\x00").di is None


def test_a_short_read_has_no_di():
    frame = Frame("000000000001", 0x11, b"\x01\x02\x03")
    assert (frame.di, frame.content) == (None, b"\x01\x02\x03")
