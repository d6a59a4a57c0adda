"""Every request equals its vector, and is read back where it has fields of its own."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.protocols.dlt645 import BROADCAST, Frame, FrameError, Function, requests
from meterseal.protocols.dlt645.control import WRITE_MAX
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "dlt645.json").read_text(encoding="utf-8"))
FRAMES = {vector["name"]: vector["hex"] for vector in VECTORS}

METER = "000000000731"
PASSWORD = bytes.fromhex("02000000")
OPERATOR = bytes.fromhex("21436587")
BOTH = {"password": PASSWORD, "operator": OPERATOR}
RECORD = SealRecord("000000680016", 3, 12, Kind.OPENED, StateClass.OPEN, loop_mv=96, age=7)


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("read terminal cover openings", requests.read("731", 0x03300E00)),
        (
            "read journal entry 9, number behind the DI",
            requests.read(METER, 0x04805341, (9).to_bytes(4, "little")),
        ),
        ("read follow-up frame 1", requests.read_more(METER, 0x04805341, 1)),
        ("read address of the only slave", requests.read_address()),
        ("shortened address", requests.read("AAAAAAAA0731", 0x04000401)),
        ("seal pushes a record to its meter", requests.write(METER, 0x04805380, RECORD.encode())),
        (
            "write with password and operator code",
            requests.write(METER, 0x04001503, b"\xff\xf7" + b"\xff" * 10, **BOTH),
        ),
        ("write address", requests.write_address("732")),
        (
            "broadcast time 2025-11-22 13:05:09",
            requests.broadcast_time(datetime(2025, 11, 22, 13, 5, 9, tzinfo=CST)),
        ),
        ("broadcast freeze, at once", requests.freeze(BROADCAST)),
        ("freeze every first day of a month at 00:00", requests.freeze(METER, minute=0, hour=0, day=1)),
        ("change to 9600 bit/s", requests.change_baud(METER, 9600)),
        (
            "change password of level 02",
            requests.change_password(METER, 0x04000C03, bytes.fromhex("02111111"), bytes.fromhex("02222222")),
        ),
        ("clear demand", requests.clear_demand(METER, **BOTH)),
        ("clear meter", requests.clear_meter(METER, **BOTH)),
        ("clear all events", requests.clear_events(METER, **BOTH)),
    ],
)
def test_request_is_the_vector(name, frame):
    assert frame.encode().hex().upper() == FRAMES[name]


def test_time_goes_out_as_china_standard_time():
    at = datetime(2025, 11, 22, 5, 5, 9, tzinfo=UTC)
    assert requests.broadcast_time(at).encode().hex().upper() == FRAMES["broadcast time 2025-11-22 13:05:09"]


four = st.binary(min_size=4, max_size=4)
dis = st.integers(0, 0xFFFFFFFF)


@given(dis, four, four, st.binary(max_size=WRITE_MAX - 12))
def test_write_round_trip(di, password, operator, data):
    frame = requests.write(METER, di, data, password=password, operator=operator)
    assert requests.Write.parse(frame) == requests.Write(di, password, operator, data)
    assert frame.di == di


@given(dis, four, four)
def test_password_change_round_trip(di, old, new):
    frame = requests.change_password(METER, di, old, new)
    assert requests.PasswordChange.parse(frame) == requests.PasswordChange(di, old, new)


@given(dis, four, four)
def test_clear_round_trip(di, password, operator):
    both = {"password": password, "operator": operator}
    for frame, function, which in [
        (requests.clear_demand(METER, **both), Function.CLEAR_DEMAND, None),
        (requests.clear_meter(METER, **both), Function.CLEAR_METER, None),
        (requests.clear_events(METER, di, **both), Function.CLEAR_EVENTS, di),
    ]:
        assert requests.Clear.parse(frame) == requests.Clear(function, password, operator, which)


def test_a_write_that_is_too_long():
    with pytest.raises(FrameError, match=r"51 bytes .* at most 50"):
        requests.write(METER, 0x04805380, bytes(39))


@pytest.mark.parametrize("password", [b"", bytes(3), bytes(5)])
def test_a_password_has_four_bytes(password):
    with pytest.raises(FrameError, match="4 bytes"):
        requests.write(METER, 0x04805380, b"", password=password)
    with pytest.raises(FrameError, match="4 bytes"):
        requests.change_password(METER, 0x04000C03, bytes(4), password)
    with pytest.raises(FrameError, match="4 bytes"):
        requests.clear_meter(METER, password=password)


def test_a_rate_without_a_feature_word():
    with pytest.raises(FrameError, match="115200: expected one of 600, 1200, 2400, 4800, 9600, 19200"):
        requests.change_baud(METER, 115200)


@pytest.mark.parametrize(
    ("parse", "frame"),
    [
        (requests.Write.parse, Frame(METER, Function.WRITE, bytes(11))),
        (requests.Write.parse, Frame(METER, Function.READ, bytes(12))),
        (requests.Write.parse, Frame(METER, 0x94)),
        (requests.PasswordChange.parse, Frame(METER, Function.CHANGE_PASSWORD, bytes(11))),
        (requests.PasswordChange.parse, Frame(METER, Function.CHANGE_PASSWORD, bytes(13))),
        (requests.Clear.parse, Frame(METER, Function.CLEAR_METER, bytes(7))),
        (requests.Clear.parse, Frame(METER, Function.CLEAR_METER, bytes(12))),
        (requests.Clear.parse, Frame(METER, Function.CLEAR_EVENTS, bytes(8))),
    ],
)
def test_data_that_does_not_fit_the_request(parse, frame):
    with pytest.raises(FrameError):
        parse(frame)
