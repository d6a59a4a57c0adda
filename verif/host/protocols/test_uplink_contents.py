"""Contents of uplink frames are read back: ARD11 alarms, user data with the seal record, relayed frames."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.protocols.csg1209022.alarm import ARD11_BYTES, AlarmError, AlarmHead, AlarmState, CoverAlarm
from meterseal.protocols.csg1209022.relay import Parity, RelayAnswer, RelayError, RelayRequest, StopBits
from meterseal.protocols.csg1209022.user_data import USER_DATA, SealReport, UserDataError
from meterseal.protocols.dlt645.cover import CoverRecord

AT = datetime(2026, 11, 22, 13, 5, 7, tzinfo=CST)
ENERGIES = (1234567, 68, 16, 0, None, 99999999)
ALARM = CoverAlarm(AT, 12, ENERGIES, (None,) * 6)
RECORD = SealRecord("000000068168", 2, 22, Kind.OPENED, StateClass.OPEN, 120, age=5)
REPORT = SealReport("000000681608", JournalEntry(9, AT, AT + timedelta(seconds=5), RECORD.encode()))

moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001 - the zone is added after
    lambda at: at.replace(microsecond=0, tzinfo=CST)
)
six = st.tuples(*[st.none() | st.integers(0, 99999999)] * 6)


@given(st.builds(CoverAlarm, moments, st.integers(0, 999999), six, six, st.sampled_from(AlarmState)))
def test_ard11_round_trip(alarm: CoverAlarm) -> None:
    raw = alarm.encode()
    assert len(raw) == ARD11_BYTES == 58
    assert CoverAlarm.decode(raw) == alarm


def test_ard11_layout() -> None:
    assert ALARM.encode().hex().upper() == (
        "01070513221126120000"  # occurred, 2026-11-22 13:05:07, twelfth time
        "67452301680000001600000000000000FFFFFFFF99999999" + "FF" * 24
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        ALARM.encode()[:-1],
        ALARM.encode() + b"\0",
        b"\x02" + ALARM.encode()[1:],
        b"\x01\x61" + ALARM.encode()[2:],
        ALARM.encode()[:7] + b"\x0a" + ALARM.encode()[8:],
        ALARM.encode()[:10] + b"\xaa" + ALARM.encode()[11:],
    ],
)
def test_bad_ard11_is_named(raw: bytes) -> None:
    with pytest.raises(AlarmError, match=raw[:4].hex(" ").upper() or "0 bytes"):
        CoverAlarm.decode(raw)


def test_any_alarm_has_state_and_time() -> None:
    raw = bytes.fromhex("01070513221126 1000")
    head = AlarmHead.decode(raw)
    assert head == AlarmHead(AlarmState.OCCURRED, AT, b"\x10\x00")
    assert head.encode() == raw
    with pytest.raises(AlarmError):
        AlarmHead.decode(raw[:6])


def test_cover_record_becomes_an_alarm() -> None:
    record = CoverRecord(AT, None, ENERGIES, (None,) * 6)
    assert CoverAlarm.of(record, 12) == ALARM
    with pytest.raises(AlarmError, match="start"):
        CoverAlarm.of(replace(record, start=None), 12)
    with pytest.raises(ValueError, match="5 energies"):
        replace(ALARM, before=ENERGIES[:5]).encode()


def test_user_data_round_trip() -> None:
    raw = REPORT.encode()
    assert len(raw) == USER_DATA == 63
    assert raw[:9] == b"MS\x01" + bytes.fromhex("081668000000")
    assert SealReport.decode(raw) == REPORT
    assert SealRecord.decode(SealReport.decode(raw).entry.record) == RECORD


def test_user_data_carries_the_record_as_it_came() -> None:
    strange = replace(REPORT, entry=replace(REPORT.entry, record=b"\xee" * 38))
    assert SealReport.decode(strange.encode()) == strange


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "vendor"),
        (b"XX" + REPORT.encode()[2:], "vendor"),
        (b"MS\x02" + REPORT.encode()[3:], "version"),
        (REPORT.encode()[:-1], "expected"),
        (REPORT.encode()[:13] + b"\xff" + REPORT.encode()[14:], "not BCD"),
    ],
)
def test_bad_user_data_is_named(raw: bytes, reason: str) -> None:
    with pytest.raises(UserDataError, match=reason):
        SealReport.decode(raw)


@given(
    st.builds(
        RelayRequest,
        st.binary(max_size=255),
        st.integers(0, 255),
        st.integers(0, 255).map(lambda units: units * 300),
        st.sampled_from(Parity),
        st.integers(0, 255),
        st.sampled_from(StopBits),
        st.integers(0, 255),
        st.integers(0, 255),
    )
)
def test_relay_request_round_trip(request: RelayRequest) -> None:
    assert RelayRequest.decode(request.encode()) == request


@given(st.builds(RelayAnswer, st.binary(max_size=255), st.integers(0, 255)))
def test_relay_answer_round_trip(answer: RelayAnswer) -> None:
    assert RelayAnswer.decode(answer.encode()) == answer


def test_relay_layout() -> None:
    assert RelayRequest(b"\x68\x16").encode().hex() == "0001080108000502" + "6816"
    assert RelayAnswer(b"\x68\x16").encode().hex() == "00026816"


@pytest.mark.parametrize(
    "request_", [RelayRequest(bytes(256)), RelayRequest(b"", baud=1000), RelayRequest(b"", port=256)]
)
def test_relay_request_that_does_not_fit(request_: RelayRequest) -> None:
    with pytest.raises(RelayError):
        request_.encode()


@pytest.mark.parametrize(
    "raw", ["", "00010801080005", "000108010800050268", "0001080908000500", "0001080108090500"]
)
def test_bad_relay_request(raw: str) -> None:
    with pytest.raises(RelayError, match="relay request"):
        RelayRequest.decode(bytes.fromhex(raw))


def test_bad_relay_answer() -> None:
    with pytest.raises(RelayError, match="256 bytes"):
        RelayAnswer(bytes(256)).encode()
    for raw in (b"", b"\0", b"\0\x02\x68", b"\0\x00\x68"):
        with pytest.raises(RelayError, match="relay answer"):
            RelayAnswer.decode(raw)
