"""A frame is explained field by field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.dlt645 import Frame, Function
from meterseal.protocols.dlt645.explain import explain
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "dlt645.json").read_text(encoding="utf-8"))
FRAMES = {vector["name"]: vector["hex"] for vector in VECTORS if "fault" not in vector}

frames = st.builds(
    Frame,
    st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex().upper()),
    st.integers(0, 255),
    st.binary(max_size=80),
)


def told(name):
    """Return field and meaning of everything between length and checksum, control code included."""
    lines = explain(Frame.decode(bytes.fromhex(FRAMES[name])))
    return [(line.field, line.en) for line in lines[3:-2] if line.field != "L"]


def assert_covers(frame):
    """Every byte of the frame is in exactly one line (a status word's counts are shown twice)."""
    lines = explain(frame)
    assert all(line.zh and line.en for line in lines)
    raw = b"".join(line.raw for line in lines)
    wire = frame.encode(0)
    assert raw[:10] == wire[:10]
    assert raw[-2:] == wire[-2:]
    return raw[10:-2]


@pytest.mark.parametrize("name", [name for name in FRAMES if "active-report" not in name])
def test_every_byte_of_a_vector_is_explained_once(name):
    frame = Frame.decode(bytes.fromhex(FRAMES[name]))
    assert assert_covers(frame) == frame.data


@given(frames)
def test_any_frame_can_be_explained(frame):
    assert_covers(frame)


@pytest.mark.parametrize(
    "control", [function | high for function in Function for high in (0, 0x80, 0xA0, 0xC0)]
)
@given(st.binary(max_size=20))
def test_any_data_of_a_known_function_can_be_explained(control, data):
    assert_covers(Frame("000000000731", control, data))


def test_a_read():
    assert told("read terminal cover openings") == [
        ("C", "read data: request by the master"),
        ("DI", "03300E00 terminal cover openings, count"),
    ]
    assert told("read journal entry 9, number behind the DI")[-1] == ("PARAMETERS", "09 00 00 00")


def test_an_answer():
    assert told("answer: 12 openings") == [
        ("C", "read data: slave answers"),
        ("DI", "03300E00 terminal cover openings, count"),
        ("DATA", "12"),
    ]


def test_a_refusal():
    assert told("read refused: not authorised and other") == [
        ("C", "read data: slave refuses"),
        ("ERR", "other error, wrong password or not authorised"),
    ]


def test_follow_up_frames():
    assert told("answer with more to follow")[0] == ("C", "read data: slave answers, more follows")
    assert told("last follow-up frame")[1:] == [
        ("DI", "04805341 seal journal, entry"),
        ("DATA", "AA 55"),
        ("SEQ", "follow-up frame 2"),
    ]


def test_a_seals_report():
    assert told("seal pushes a record to its meter") == [
        ("C", "write data: request by the master"),
        ("DI", "04805380 seal report"),
        ("PA", "password level 00"),
        ("P0..P2", "password 000000"),
        ("C0..C3", "operator code 00000000"),
        ("version", "layout version 1"),
        ("algorithm", "algorithm unsigned"),
        ("seal", "seal address 000000680016"),
        ("boot", "boot count 3"),
        ("counter", "event counter 12"),
        ("kind", "event opened"),
        ("state", "loop state open"),
        ("loop_mv", "loop voltage 96 mV"),
        ("flags", "flags none"),
        ("age", "age 7 s"),
        ("challenge", "challenge 00 00 00 00"),
        ("mac", "MAC 00 00 00 00 00 00 00 00"),
    ]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("broadcast time 2025-11-22 13:05:09", ("DATA", "time 2025-11-22T13:05:09.000+08:00")),
        ("freeze every first day of a month at 00:00", ("DATA", "freeze at 99-01 00:00 (99 = any)")),
        ("change to 9600 bit/s", ("Z", "feature word: 9600 bit/s")),
        ("change password of level 02", ("P0..P2", "new password 222222")),
        ("clear all events", ("DI", "FFFFFFFF unknown data identifier")),
        ("clear meter", ("C0..C3", "operator code 87654321")),
        ("relay control: trip", ("N3..N8", "valid until")),
        ("write address", ("DATA", "address 000000000732")),
    ],
)
def test_commands(name, last):
    field, meaning = told(name)[-1]
    assert (field, meaning[: len(last[1])]) == last


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("read address of the only slave", "any slave AAAAAAAAAAAA"),
        ("shortened address", "shortened address AAAAAAAA0731"),
        ("broadcast freeze, at once", "broadcast 999999999999"),
        ("answer: 12 openings", "address 000000000731"),
    ],
)
def test_addresses(name, meaning):
    assert explain(Frame.decode(bytes.fromhex(FRAMES[name])))[1].en == meaning


def test_chinese():
    lines = explain(Frame.decode(bytes.fromhex(FRAMES["seal pushes a record to its meter"])))
    told = {line.field: line.zh for line in lines}
    assert told["C"] == "写数据:主站请求"
    assert told["DI"] == "04805380 封印主动上报"
    assert told["kind"] == "事件 开启"
