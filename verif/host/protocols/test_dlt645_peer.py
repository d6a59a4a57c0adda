"""Our codec agrees with an independent one, PyPI `dlt645`, in both directions."""

import json

import pytest
from dlt645.protocol.protocol import DLT645Protocol
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.dlt645 import Decoder, Frame, FrameError, Received
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "dlt645.json").read_text(encoding="utf-8"))

addresses = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex().upper())
frames = st.builds(Frame, addresses, st.integers(0, 255), st.binary(max_size=255))


def values(frame):
    """Return a frame of the peer's as one of ours."""
    return Frame(bytes(frame.addr)[::-1].hex().upper(), frame.ctrl_code, bytes(frame.data))


@given(frames, st.integers(0, 4))
def test_both_build_the_same_bytes(frame, preamble):
    address = bytes.fromhex(frame.address)[::-1]
    built = DLT645Protocol.build_frame(address, frame.control, frame.data, preamble)
    assert frame.encode(preamble) == bytes(built)


@given(frames, st.integers(0, 4))
def test_the_peer_reads_ours(frame, preamble):
    assert values(DLT645Protocol.deserialize(frame.encode(preamble))) == frame


@given(frames, st.integers(0, 4))
def test_we_read_the_peers(frame, preamble):
    address = bytes.fromhex(frame.address)[::-1]
    raw = bytes(DLT645Protocol.build_frame(address, frame.control, frame.data, preamble))
    assert Frame.decode(raw) == frame
    assert Decoder().feed(raw, 0.0) == [Received(frame, raw)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_both_accept_and_refuse_the_same_vectors(vector):
    raw = bytes.fromhex(vector["hex"])
    try:
        ours = Frame.decode(raw)
    except FrameError:
        ours = None
    try:
        peers = values(DLT645Protocol.deserialize(raw))
    except ValueError:
        peers = None
    assert ours == peers


@given(st.lists(st.one_of(frames.map(Frame.encode), st.binary(max_size=9)), max_size=5).map(b"".join))
def test_both_find_the_same_frames_in_a_stream(stream):
    decoder = Decoder()
    ours = [event.frame for event in decoder.feed(stream, 0.0) if isinstance(event, Received)]
    peers, rest = [], stream
    while True:
        rest, frame = DLT645Protocol.deserialize_with_remaining(rest)
        if frame is None:
            break
        peers.append(values(frame))
    assert ours == peers
