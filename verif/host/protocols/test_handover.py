"""The body that metering sends to marketing is read back, and a wrong one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.domain.event import SealEvent
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.protocols import handover

NOW = datetime(2026, 11, 22, 5, 5, 0, 123000, tzinfo=UTC)
EVENT = SealEvent.from_record(
    SealRecord(
        "000000000101", 3, 12, Kind.OPENED, StateClass.OPEN, 120, Flags.UNOBSERVED | Flags.EXCURSIONS
    ).encode(),
    meter="000000000001",
    terminal="440106:1",
    occurred_at=NOW,
    received_at=NOW,
    stored_at=NOW,
)


def test_the_body_is_a_cloudevent():
    body = json.loads(handover.encode(EVENT))
    data = body.pop("data")
    assert body == {
        "specversion": "1.0",
        "id": "000000000101-12",
        "source": "/meterseal/metering",
        "type": "meterseal.seal.event.v1",
        "subject": "000000000101",
        "time": "2026-11-22T05:05:00.123000Z",
        "datacontenttype": "application/json",
    }
    assert data == {
        "seal": "000000000101",
        "boot": 3,
        "counter": 12,
        "kind": "opened",
        "state": "open",
        "loop_mv": 120,
        "flags": ["unobserved", "excursions"],
        "excursions": 0,
        "record": EVENT.record.hex().upper(),
        "meter": "000000000001",
        "terminal": "440106:1",
        "occurred_at": "2026-11-22T13:05:00.123+08:00",
        "received_at": "2026-11-22T13:05:00.123+08:00",
        "stored_at": "2026-11-22T13:05:00.123+08:00",
    }


@given(
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.none() | st.integers(0, 0xFFFE),
    flags=st.integers(0, 15).map(Flags),
    counter=st.integers(0, 0xFFFFFFFF),
    meter=st.none() | st.just("000000000001"),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 - the zone is added below
)
def test_decode_undoes_encode(kind, state, loop_mv, flags, counter, meter, at):
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=CST)
    record = SealRecord("999999999999", 1, counter, kind, state, loop_mv, flags).encode()
    event = SealEvent.from_record(record, meter=meter, occurred_at=at, received_at=None, stored_at=at)
    assert handover.decode(handover.encode(event)) == event


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "000000000101-13"}, "what is inside is '000000000101-12'"),
        ({"type": "other"}, "type 'other'"),
        ({"specversion": "9.9"}, "not a CloudEvent"),
        ({"data": "text"}, "expected a JSON object"),
        ({"data.kind": "closed"}, "kind 'closed': the record says 'opened'"),
        ({"data.record": "00"}, "record: 00: 1 bytes, expected 38"),
        ({"data.record": "zz"}, "data: "),
        ({"data.meter": 7}, "meter 7 is not text"),
        ({"data.occurred_at": "2026-11-22T13:05:00"}, "no zone"),
        ({"data.occurred_at": 7}, "data: "),
        ({"time": "yesterday"}, "not a CloudEvent"),
    ],
)
def test_a_body_that_contradicts_itself_is_refused(change, reason):
    body = json.loads(handover.encode(EVENT))
    for name, value in change.items():
        outer, _, inner = name.partition(".")
        if inner:
            body[outer][inner] = value
        else:
            body[outer] = value
    with pytest.raises(handover.HandoverError, match=reason):
        handover.decode(json.dumps(body).encode())


def test_a_finding_round_trip():
    verdict = RecordVerdict.on(EVENT.record, VerdictCode.REPLAY)
    finding = handover.Finding(verdict, "it came again", EVENT.occurred_at)
    body = handover.encode_finding(finding)
    assert handover.decode(body) == finding
    document = json.loads(body)
    assert (document["type"], document["id"]) == (handover.FINDING_TYPE, verdict.key)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("counter", 13, "what is inside"),
        ("finding", "guilt", "'GUILT' is missing or unknown"),
        ("digest", "zz", "data: "),
    ],
)
def test_a_finding_that_makes_no_sense_is_refused(field, value, reason):
    verdict = RecordVerdict.on(EVENT.record, VerdictCode.AUTH_FAIL)
    body = json.loads(handover.encode_finding(handover.Finding(verdict, "", EVENT.occurred_at)))
    body["data"][field] = value
    with pytest.raises(handover.HandoverError, match=reason):
        handover.decode(json.dumps(body).encode())


@pytest.mark.parametrize("field", ["seal", "record", "occurred_at", "stored_at", "meter", "flags"])
def test_a_missing_field_is_named(field):
    body = json.loads(handover.encode(EVENT))
    del body["data"][field]
    with pytest.raises(handover.HandoverError, match=field):
        handover.decode(json.dumps(body).encode())


@given(st.binary(max_size=40) | st.from_regex(rb"[\[{\"0-9a-z:,}\]]{0,30}", fullmatch=True))
def test_garbage_is_refused(body):
    with pytest.raises(handover.HandoverError):
        handover.decode(body)
