"""The data of items is explained: cover records, the active-report word, dates, times, text, the table."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.protocols.annotation import Annotation
from meterseal.protocols.dlt645 import values
from meterseal.protocols.dlt645.active_report import METER_COVER_OPEN, TERMINAL_COVER_OPEN, ActiveReport
from meterseal.protocols.dlt645.cover import COVER_BYTES, NO_ENERGIES, CoverRecord, energies, energies_bytes
from meterseal.protocols.dlt645.items import ITEMS, find
from sealchip.interface import PROVISIONING, Di

AT = datetime(2025, 11, 22, 13, 5, 9, tzinfo=CST)

FIRST = datetime(2000, 1, 1, tzinfo=CST)
#: Every second that the wire can hold.
moments = st.integers(0, 100 * 365 * 86400).map(lambda seconds: FIRST + timedelta(seconds=seconds))
snapshots = st.tuples(*6 * [st.none() | st.integers(0, 99999999)])


@given(st.none() | moments, st.none() | moments, snapshots, snapshots)
def test_cover_record_round_trip(start, end, before, after):
    record = CoverRecord(start, end, before, after)
    raw = record.encode()
    assert len(raw) == COVER_BYTES == 60
    assert CoverRecord.decode(raw) == record


def test_cover_record_on_the_wire():
    record = CoverRecord(AT, None, (123456, None, None, None, None, 1))
    assert record.encode() == bytes.fromhex(
        "090513221125 FFFFFFFFFFFF 56341200" + "FFFFFFFF" * 4 + "01000000" + "FFFFFFFF" * 6
    )


def test_an_opening_that_never_was():
    assert CoverRecord.decode(bytes(60)) == CoverRecord(None, None, 6 * (0,), 6 * (0,))


@pytest.mark.parametrize("raw", [bytes(59), bytes(61), b"\x99" * 60, b"\xff" * 12 + b"\x0a" * 48])
def test_bytes_that_are_no_cover_record(raw):
    with pytest.raises(ValueError, match=raw[-1:].hex().upper()):
        CoverRecord.decode(raw)


def test_a_record_has_six_energies():
    with pytest.raises(ValueError, match="5 energies, expected 6"):
        energies_bytes(5 * (None,))
    with pytest.raises(ValueError, match="24 bytes"):
        energies(bytes(23))
    assert energies(b"\xff" * 24) == NO_ENERGIES


counts = st.dictionaries(st.integers(0, 95), st.integers(1, 255), max_size=12)


@given(counts, st.booleans(), st.booleans())
def test_active_report_in_all_four_forms(counted, before, behind):
    """AAH may stand before the counts, after them, at both places or at neither, because sources differ."""
    raw = ActiveReport(counted).encode()
    marked = raw[:12] + b"\xaa" * before + raw[12:] + b"\xaa" * behind
    report = ActiveReport.decode(marked)
    assert report.counts.keys() == counted.keys()
    # With one mark only and a count of AAH beside it, the bytes alone are ambiguous.
    if before == behind or 0xAA not in counted.values():
        assert report.counts == counted


def test_active_report_on_the_wire():
    report = ActiveReport({TERMINAL_COVER_OPEN: 3, METER_COVER_OPEN: 1})
    assert report.encode() == bytes.fromhex("000C" + "00" * 10 + "0103")


@pytest.mark.parametrize("raw", [b"", bytes(11), bytes(13), b"\x01" + bytes(11), b"\x03" + bytes(12)])
def test_counts_that_do_not_fit_the_bits(raw):
    with pytest.raises(ValueError, match="active-report word has 12 bytes"):
        ActiveReport.decode(raw)


@given(moments)
def test_clock_round_trips(at):
    assert values.day(values.date_bytes(at)) == at.date()
    assert values.time_of_day(values.time_bytes(at)) == at.time()
    assert values.clock(values.clock_bytes(at)) == at


def test_clock_on_the_wire():
    """22 November 2025 is a Saturday."""
    assert values.date_bytes(AT) == bytes.fromhex("06221125")
    assert values.time_bytes(AT) == bytes.fromhex("090513")
    assert values.clock_bytes(AT.astimezone(UTC)) == bytes.fromhex("09051306221125")
    assert values.date_bytes(AT + timedelta(days=1)) == bytes.fromhex("00231125")
    assert values.day(bytes.fromhex("06221125")) == date(2025, 11, 22)
    assert values.time_of_day(bytes.fromhex("090513")) == time(13, 5, 9)


@pytest.mark.parametrize("read", [values.day, values.time_of_day, values.clock])
@pytest.mark.parametrize("raw", [b"", bytes(5), b"\x99" * 4, b"\x99" * 3, b"\x99" * 7])
def test_bytes_that_are_no_time(read, raw):
    with pytest.raises(ValueError, match=r"bytes|not a time"):
        read(raw)


printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=32)


@given(printable)
def test_text_round_trip(text):
    assert values.text(values.text_bytes(text, 32)) == text


def test_text_goes_out_last_character_first():
    assert values.text_bytes("AB12", 6) == b"21BA\0\0"
    assert values.text(b"\0\0  21BA\xff") == "AB12"
    with pytest.raises(ValueError, match="longer than 3"):
        values.text_bytes("AB12", 3)


def meanings(di, content):
    return [line.en for line in find(di).explain(bytes.fromhex(content))]


@pytest.mark.parametrize(
    ("di", "content", "expected"),
    [
        (0x00010000, "56341200", ["1234.56 kWh"]),
        (0x00050000, "FFFFFFFF", ["not valid"]),
        (0x00000000, "56341280", ["-1234.56 kWh"]),
        (0x02010100, "1923", ["231.9 V"]),
        (0x0201FF00, "7123FFFFFFFF", ["237.1 V", "not valid", "not valid"]),
        (0x02020100, "001080", ["-1.000 A"]),
        (0x03300E00, "120000", ["12"]),
        (0x04000101, "06221125", ["2025-11-22"]),
        (0x04000102, "090513", ["13:05:09"]),
        (0x0400010C, "09051306221125", ["2025-11-22T13:05:09.000+08:00"]),
        (0x04000401, "310700000000", ["000000000731"]),
        (0x04000403, b"MS-1"[::-1].ljust(32, b"\0").hex(), ["MS-1"]),
        (0x04000503, "0108", ["set: 0 11"]),
        (0x04001503, "00" * 12, ["set: none"]),
        (
            0x04001501,
            "010C" + "00" * 10 + "AA070203AA",
            ["set: 0 10 11", "bit 0: 7", "meter cover opened: 2", "terminal cover opened: 3"],
        ),
        (0x03110001, "090513221125" + "FF" * 6, ["start 2025-11-22T13:05:09.000+08:00", "end not valid"]),
        (0x12345678, "0102", ["01 02"]),
        (Di.JOURNAL_BOUNDS, "0100000009000000", ["first entry 1", "last entry 9"]),
        (
            Di.DIAGNOSTICS,
            "A00F FFFF 10 27 03 0200 3C000000 FFFFFFFFFFFF",
            [
                "loop voltage 4000 mV",
                "least loop voltage not measured",
                "greatest loop voltage 10000 mV",
                "loop state sealed",
                "excursions 2",
                "uptime 60 s",
                "clock not set",
            ],
        ),
        (
            Di.REPORT_IDENTITY,
            "160068000000" + b"MS-1"[::-1].ljust(32, b"\0").hex(),
            ["seal address 000000680016", "asset number MS-1"],
        ),
        (
            Di.VERDICT,
            "160068000000 0C000000 01 0102030405060708",
            [
                "seal address 000000680016",
                "event counter 12",
                "found MAC not the seal's",
                "digest of the record 01 02 03 04 05 06 07 08",
            ],
        ),
        (0x048053F0, "160068000000", ["seal address 000000680016"]),
        (0x048053F2, b"MS-1"[::-1].ljust(32, b"\0").hex(), ["asset number MS-1"]),
        (0x048053F3, "00" * 16, ["key 16 bytes"]),
        (0x048053F4, b"13800000001".ljust(16, b"\0").hex(), ["phone 13800000001"]),
        (0x048053F5, "08", ["baud rate 2400 bit/s"]),
        (0x048053F6, "563412", ["password 3 bytes"]),
    ],
)
def test_the_meaning_of_an_item(di, content, expected):
    assert meanings(di, content) == expected


def test_a_cover_record_is_explained_energy_by_energy():
    lines = find(0x03300E01).explain(CoverRecord(AT, None, (123456,) * 6).encode())
    assert [line.field for line in lines[:4]] == ["START", "END", "00010000", "00020000"]
    assert [line.en for line in lines[2:5]] == [
        "before 1234.56 kWh",
        "before 1234.56 kWh",
        "before 1234.56 kvarh",
    ]
    assert lines[-1] == Annotation("00080000", b"\xff" * 4, "之后 无效", "after not valid")


def test_a_journal_entry_is_explained_with_the_record_inside():
    flags = Flags.UNOBSERVED | Flags.EXCURSIONS
    record = SealRecord("000000680016", 3, 12, Kind.FLAPPING, StateClass.OPEN, flags=flags, excursions=7)
    lines = find(Di.JOURNAL_ENTRY).explain(JournalEntry(9, AT, AT, record.encode()).encode())
    assert [line.en for line in lines[:4]] == [
        "journal number 9",
        "occurred at 2025-11-22T13:05:09.000+08:00",
        "received at 2025-11-22T13:05:09.000+08:00",
        "layout version 1",
    ]
    assert "flags unobserved, excursions, 7 of them" in [line.en for line in lines]
    assert "event flapping" in [line.en for line in lines]


@pytest.mark.parametrize(
    ("di", "content", "reason"),
    [
        (0x00010000, "563412", "3 bytes, expected 4"),
        (0x00010000, "5A341200", "not BCD"),
        (0x04001501, "01" + "00" * 11, "1 counts"),
        (Di.REPORT, "02" + "00" * 37, "layout version 2 unknown"),
        (Di.VERDICT, "160068000000 0C000000 09 0102030405060708", "9 is not a valid VerdictCode"),
        (Di.SEAL, "00", "1 bytes, expected 0"),
        (0x048053F5, "03", "03 is no feature word of a rate"),
        (Di.JOURNAL_BOUNDS, "00", "8 bytes"),
        (0x04000102, "090525", "hour must be"),
    ],
)
def test_data_that_does_not_fit_is_shown_with_the_reason(di, content, reason):
    (line,) = find(di).explain(bytes.fromhex(content))
    assert line.raw == bytes.fromhex(content)
    assert "does not fit" in line.en
    assert reason in line.en
    assert "不符合" in line.zh


@given(st.sampled_from(sorted(ITEMS)), st.binary(max_size=80))
def test_any_item_explains_any_bytes(di, content):
    for line in find(di).explain(content):
        assert line.zh
        assert line.en


def test_every_identifier_of_the_project_has_a_name():
    for di in Di:
        assert di in ITEMS
    assert {Di.RECORD_HISTORY + n for n in range(16)} <= ITEMS.keys()
    assert {Di.PROVISIONING + n for n in PROVISIONING} <= ITEMS.keys()
    assert {0x03300D00 + n for n in range(11)} | {0x03300E00 + n for n in range(11)} <= ITEMS.keys()


def test_records_are_numbered_as_the_standard_numbers_them():
    assert find(0x03300E01).en == "terminal cover opening, 1 back"
    assert find(0x03300E0A).zh == "上10次开端钮盖记录"
