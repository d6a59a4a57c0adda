"""Uplink frames are explained: the project's own vectors, and every frame that decodes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.csg1209022.codes import AFN_NAMES, DI_NAMES, Afn, UplinkDi
from meterseal.protocols.csg1209022.explain import explain
from meterseal.protocols.csg1209022.frame import Frame, TerminalAddress, point_da
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "uplink.json").read_text(encoding="utf-8"))
VALID = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS if "reason" not in vector}
ADDRESS = TerminalAddress("450302", 0xA217)


def said(name: str) -> dict[str, tuple[str, str]]:
    return {line.field: (line.zh, line.en) for line in explain(Frame.decode(VALID[name]))}


@pytest.mark.parametrize("raw", VALID.values(), ids=VALID)
def test_every_vector_is_explained(raw: bytes) -> None:
    lines = explain(Frame.decode(raw))
    assert all(line.field and line.zh and line.en for line in lines)
    assert not [line for line in lines if "does not fit" in line.en]


@given(
    st.sampled_from([0x88, 0xC4, 0xC9, 0x00, 0x4B, 0x4A]),
    st.sampled_from(Afn) | st.integers(0, 255),
    st.sampled_from(UplinkDi) | st.sampled_from([0x04805301, 0x04805341, 0x04000401, 0x03300E01, 0xEEEEEEEE]),
    st.binary(min_size=2, max_size=2),
    st.binary(max_size=70) | st.sampled_from([Frame.decode(raw).content for raw in VALID.values()]),
)
def test_lines_hold_every_byte_in_order(control: int, afn: int, di: int, da: bytes, content: bytes) -> None:
    frame = Frame.of(control, ADDRESS, afn, 1, da, di, content)
    lines = explain(frame)
    raw = frame.encode()
    if not any(line.field.startswith("645") for line in lines):
        assert b"".join(line.raw for line in lines) == raw


def test_names_cover_the_codes() -> None:
    assert set(AFN_NAMES) == set(Afn)
    assert set(DI_NAMES) == set(UplinkDi)


def test_head() -> None:
    fields = said("login, version of 2 bytes")
    assert fields["C"] == ("上行,启动站,链路测试", "up, starts the exchange, link test")
    assert fields["A1"][1] == "region 450302"
    assert fields["A2"][1] == "terminal 00A217"
    assert fields["AFN"] == ("02 链路接口检测", "02 link")
    assert fields["SEQ"] == ("单帧,要求确认,序号 0", "single frame, confirmation wanted, number 0")
    assert fields["DI"] == ("E0001000 登录", "E0001000 login")
    assert fields["DATA"] == ("规约版本 1.00", "protocol version 1.00")


@pytest.mark.parametrize(
    ("name", "field", "en"),
    [
        ("confirm", "DATA", "confirmed"),
        ("deny", "DATA", "denied"),
        ("heartbeat, 6 bytes", "DATA", "2026-11-22T14:05:30.000+08:00"),
        ("answer to a write, no such item", "ERR", "04 no such item"),
        ("alarm E200004E, meter cover closed again", "STATE", "recovered"),
        ("alarm E200004E, meter cover closed again", "COUNT", "count 10203"),
        ("alarm E200003B, status word behind the time", "DATA", "10 00"),
        ("read alarms not sent yet", "DA", "every measured point"),
        ("read a journal entry, its number behind the DI", "PARAMETERS", "09 00 00 00"),
        ("broadcast read of the signal strength", "A2", "terminal FFFFFF (broadcast)"),
        ("start and end bytes everywhere", "DA", "measured point 172, 174, 175"),
        ("write with password and Tp", "Tp", "sent on day 16 at 05:13:22, valid 2 min"),
        ("relay down, a meter frame", "PARITY", "even parity"),
        ("relay down, a meter frame", "645 DI", "04000401 communication address"),
        ("relay up, no answer from the meter", "LENGTH", "the meter did not answer"),
    ],
)
def test_content(name: str, field: str, en: str) -> None:
    assert said(name)[field][1] == en


def test_the_record_inside_user_data_and_reads() -> None:
    report = said("user data, one journal entry with its seal record")
    assert report["METER"][1] == "meter 000000681608"
    assert report["number"][1].endswith(" 9")
    newest = said("answer, the newest seal record of point 9")
    for fields in (report, newest):
        assert fields["seal"][1].endswith("000000068168")
        assert fields["counter"][1].endswith(" 22")
        assert fields["kind"][1].endswith("opened")


def test_several_identifiers_in_one_request() -> None:
    lines = explain(Frame.decode(VALID["read two identifiers at once"]))
    assert [line.en for line in lines if line.field == "DI"] == [
        "04000401 communication address",
        "04000403 asset number",
    ]


def test_content_that_does_not_fit_is_shown_with_the_reason() -> None:
    frame = Frame.of(
        0xC4, ADDRESS, Afn.ALARM, 0, point_da(1), UplinkDi.TERMINAL_COVER_OPEN, b"\x02", con=True
    )
    (line,) = [line for line in explain(frame) if line.field == "DATA"]
    assert line.raw == b"\x02"
    assert line.zh == "02(不符合该数据标识)"
    assert line.en.startswith("02 (does not fit: alarm '02'")
