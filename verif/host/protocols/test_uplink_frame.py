"""Uplink frames have their fields and limits, and the project's own vectors hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.csg1209022.codes import Afn, Ask, UplinkDi
from meterseal.protocols.csg1209022.frame import (
    ALL_POINTS,
    MAX_LENGTH,
    NO_PASSWORD,
    PRM,
    TERMINAL_ITSELF,
    Frame,
    FrameError,
    TerminalAddress,
    da_point,
    da_points,
    point_da,
    single,
)
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "uplink.json").read_text(encoding="utf-8"))
VALID = [pytest.param(vector, id=vector["name"]) for vector in VECTORS if "reason" not in vector]
INVALID = [pytest.param(vector, id=vector["name"]) for vector in VECTORS if "reason" in vector]
ADDRESS = TerminalAddress("440106", 1)

addresses = st.builds(
    TerminalAddress,
    st.text("0123456789", min_size=6, max_size=6) | st.just("FFFFFF"),
    st.integers(0, 0xFFFFFF),
    st.integers(0, 0xFF),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    control, afn, seq = (draw(st.integers(0, 0xFF)) for _ in range(3))
    afn = draw(st.sampled_from(Afn) | st.just(afn))
    protected = control & 0xC0 == PRM and afn in (Afn.WRITE, Afn.SECURITY)
    return Frame(
        control,
        draw(addresses),
        afn,
        seq,
        draw(st.binary(min_size=6, max_size=80)),
        draw(st.binary(min_size=16, max_size=16)) if protected else None,
        draw(st.binary(min_size=5, max_size=5)) if seq & 0x80 else None,
    )


@given(frames())
def test_decode_undoes_encode(frame: Frame) -> None:
    raw = frame.encode()
    assert Frame.decode(raw) == frame
    assert len(raw) == int.from_bytes(raw[1:3], "little") + 8


@given(frames(), st.data())
def test_no_damaged_byte_goes_unnoticed(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(frame.encode())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        Frame.decode(bytes(raw))


@pytest.mark.parametrize("vector", VALID)
def test_vector_decodes(vector: dict[str, object]) -> None:
    raw = bytes.fromhex(str(vector["hex"]))
    frame = Frame.decode(raw)
    assert frame.encode() == raw
    assert {
        "control": f"{frame.control:02X}",
        "address": str(frame.address),
        "station": frame.address.station,
        "afn": f"{frame.afn:02X}",
        "seq": f"{frame.seq:02X}",
        "point": frame.point,
        "di": f"{frame.di:08X}",
        "content": frame.content.hex().upper(),
    } == vector["fields"]
    assert (frame.password or b"").hex().upper() == vector.get("password", "")
    assert (frame.tp or b"").hex().upper() == vector.get("tp", "")


@pytest.mark.parametrize("vector", INVALID)
def test_vector_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(FrameError, match=vector["reason"]):
        Frame.decode(bytes.fromhex(vector["hex"]))


@given(st.integers(0, 2032))
def test_point_and_da(point: int) -> None:
    da = point_da(point)
    assert da_point(da) == point
    assert da_points(da) == (point,)


def test_da_of_several_points_all_and_none() -> None:
    assert point_da(1) == b"\x01\x01"
    assert point_da(38) == b"\x20\x05"
    assert da_points(b"\x81\x02") == (9, 16)
    assert da_point(b"\x81\x02") is None
    assert da_points(ALL_POINTS) is None
    assert da_point(ALL_POINTS) is None
    assert da_points(b"\x00\x03") == ()
    assert da_point(TERMINAL_ITSELF) == 0


@pytest.mark.parametrize("point", [-1, 2033])
def test_point_out_of_range(point: int) -> None:
    with pytest.raises(FrameError, match=str(point)):
        point_da(point)


@given(addresses)
def test_address_as_printed(address: TerminalAddress) -> None:
    assert len(str(address)) == 12
    assert TerminalAddress.parse(str(address), address.station) == address
    assert TerminalAddress.decode(address.encode()) == address


@pytest.mark.parametrize("digits", ["", "4401060000012", "44010600000G", "4401060x0001", "440106 00001"])
def test_bad_printed_address(digits: str) -> None:
    with pytest.raises(FrameError, match="terminal address"):
        TerminalAddress.parse(digits)


@pytest.mark.parametrize(
    ("region", "number", "station"),
    [("44010", 1, 0), ("44010g", 1, 0), ("440106", 1 << 24, 0), ("440106", 1, 256)],
)
def test_address_that_does_not_fit(region: str, number: int, station: int) -> None:
    with pytest.raises(FrameError):
        TerminalAddress(region, number, station)


def test_sequence_number_out_of_range() -> None:
    with pytest.raises(FrameError, match="16"):
        single(16)


@pytest.mark.parametrize(
    "fields",
    [
        {"body": bytes(5)},
        {"control": 0x100},
        {"password": NO_PASSWORD},
        {"afn": Afn.WRITE},
        {"afn": Afn.WRITE, "password": bytes(15)},
        {"tp": bytes(5)},
        {"seq": 0xE0},
        {"seq": 0xE0, "tp": bytes(4)},
    ],
)
def test_fields_that_make_no_frame(fields: dict[str, object]) -> None:
    good: dict[str, object] = {
        "control": 0x4A,
        "address": ADDRESS,
        "afn": 0x0C,
        "seq": 0x60,
        "body": bytes(6),
    }
    Frame(**good)
    with pytest.raises(FrameError):
        Frame(**(good | fields))


def test_the_longest_frame() -> None:
    body = bytes(MAX_LENGTH - 10)
    frame = Frame(0x88, ADDRESS, Afn.FILE, 0x60, body)
    assert Frame.decode(frame.encode()) == frame
    with pytest.raises(FrameError, match=f"at most {MAX_LENGTH}"):
        Frame(0x88, ADDRESS, Afn.FILE, 0x60, body + b"\0").encode()


@given(frames())
def test_answer_and_confirmation_go_back(frame: Frame) -> None:
    for reply in (frame.answer(b"\x01\x02"), frame.confirmation(), frame.confirmation(ok=False)):
        assert Frame.decode(reply.encode()) == reply
        assert reply.dir_up != frame.dir_up
        assert not reply.prm
        assert not reply.con
        assert reply.fir
        assert reply.fin
        assert (reply.number, reply.address) == (frame.number, frame.address)
    assert (frame.answer(b"").da, frame.answer(b"").di) == (frame.da, frame.di)
    assert frame.confirmation().di == UplinkDi.CONFIRM


def test_a_request_may_name_several_identifiers() -> None:
    body = point_da(1) + (0x04000401).to_bytes(4, "little") + point_da(2) + (0x04000403).to_bytes(4, "little")
    frame = Frame(PRM | Ask.CLASS_2, ADDRESS, Afn.CURRENT, single(3), body)
    assert frame.identifiers == [(point_da(1), 0x04000401), (point_da(2), 0x04000403)]
    assert Frame(PRM | Ask.CLASS_2, ADDRESS, Afn.CURRENT, single(3), body + b"\0").identifiers == [
        (point_da(1), 0x04000401)
    ]
