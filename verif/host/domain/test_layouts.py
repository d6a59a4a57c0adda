"""Numbers, times, addresses and the project's own layouts are converted to bytes and back, or refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sealchip.interface
from meterseal.clock import CST
from meterseal.domain.journal import JournalEntry
from meterseal.domain.layout import LayoutError, pack, unpack
from meterseal.domain.record import Algorithm, Flags, Kind, SealRecord, StateClass
from meterseal.octets import bcd
from sealchip.interface import JOURNAL_ENTRY, RECORD, Layout

LAYOUTS = {name: value for name, value in vars(sealchip.interface).items() if isinstance(value, Layout)}

digits = st.text("0123456789", min_size=12, max_size=12)
FIRST = datetime(2000, 1, 1, tzinfo=CST)
moments = st.integers(0, 100 * 365 * 86400).map(lambda seconds: FIRST + timedelta(seconds=seconds))
u32 = st.integers(0, 0xFFFFFFFF)
records = st.builds(
    SealRecord,
    seal=digits,
    boot=u32,
    counter=u32,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.none() | st.integers(0, 0xFFFE),
    flags=st.integers(0, 15).map(Flags),
    excursions=st.integers(0, 255),
    age=u32,
    algorithm=st.sampled_from(Algorithm),
    challenge=st.binary(min_size=4, max_size=4),
    mac=st.binary(min_size=8, max_size=8),
)
RECORD_BYTES = SealRecord("000000680016", 3, 12, Kind.OPENED, StateClass.OPEN, loop_mv=96, age=7).encode()


# bcd


@given(st.integers(1, 8), st.data())
def test_number_round_trip(width, data):
    value = data.draw(st.integers(0, 100**width - 1))
    assert bcd.number(bcd.bcd(value, width)) == value


@pytest.mark.parametrize(("value", "width"), [(100, 1), (-1, 1), (-1, 4), (1000000, 3)])
def test_a_number_that_does_not_fit(value, width):
    with pytest.raises(ValueError, match=f"{value} does not fit {width}"):
        bcd.bcd(value, width)


@given(st.binary(max_size=8))
def test_bytes_that_are_no_number(raw):
    if raw and all(byte >> 4 < 10 and byte & 15 < 10 for byte in raw):
        assert bcd.bcd(bcd.number(raw), len(raw)) == raw
    else:
        with pytest.raises(ValueError, match="is not BCD"):
            bcd.number(raw)


@given(digits)
def test_address_round_trip(address):
    assert bcd.address(bcd.address_bytes(address)) == address


def test_address_on_the_wire():
    assert bcd.address_bytes("731") == bytes.fromhex("310700000000")
    assert bcd.address_bytes("aaaaaaaa0731") == bytes.fromhex("3107AAAAAAAA")
    assert bcd.address(bytes.fromhex("3107AAAAAAAA")) == "AAAAAAAA0731"


@pytest.mark.parametrize("address", ["1234567890123", "73B", "7 31", "-731", "７３１"])
def test_an_address_that_is_none(address):
    with pytest.raises(ValueError, match="expected up to 12 decimal digits"):
        bcd.address_bytes(address)


@given(moments)
def test_moment_round_trip(at):
    assert bcd.moment(bcd.moment_bytes(at)) == at


@given(moments, st.integers(-12, 12))
def test_a_moment_is_the_same_in_every_zone(at, hours):
    assert bcd.moment_bytes(at.astimezone(timezone(timedelta(hours=hours)))) == bcd.moment_bytes(at)


def test_moment_on_the_wire():
    assert bcd.moment_bytes(datetime(2025, 11, 22, 5, 5, 9, tzinfo=UTC)) == bytes.fromhex("090513221125")


@pytest.mark.parametrize("raw", ["", "0905132211", "6005132211 25", "090513311125", "FFFFFFFFFFFF", "00" * 6])
def test_bytes_that_are_no_moment(raw):
    with pytest.raises(ValueError, match=r"a time has 6 bytes|is not a time|is not BCD"):
        bcd.moment(bytes.fromhex(raw))


# layouts


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@given(st.data())
def test_layout_round_trip(layout, data):
    raw = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    fields = unpack(layout, raw)
    assert [len(value) for value in fields.values()] == [field.width for field in layout.fields]
    assert pack(layout, fields) == raw
    assert pack(layout, {name: int.from_bytes(value, "little") for name, value in fields.items()}) == raw


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_fields_follow_each_other(layout):
    position = 0
    for field in layout.fields:
        assert layout.slice(field.name) == slice(position, position + field.width)
        assert layout[field.name] is field
        assert field.doc
        position += field.width
    assert layout.size == position
    assert len(layout.offsets) == len(layout.fields)


@pytest.mark.parametrize("size", [0, RECORD.size - 1, RECORD.size + 1])
def test_bytes_of_the_wrong_length(size):
    with pytest.raises(LayoutError, match=f"{size} bytes, expected {RECORD.size}"):
        unpack(RECORD, bytes(size))


def test_a_field_of_the_wrong_length():
    fields = unpack(RECORD, RECORD_BYTES)
    with pytest.raises(LayoutError, match="mac: 01 02 is not 8 bytes long"):
        pack(RECORD, fields | {"mac": b"\x01\x02"})


# records


@given(records)
def test_record_round_trip(record):
    raw = record.encode()
    # A 14H write has 50 bytes, 12 of them DI, password and operator code.
    assert len(raw) == 38
    assert SealRecord.decode(raw) == record


def test_record_on_the_wire():
    assert bytes.fromhex("0100 160068000000 03000000 0C000000 02 01 6000 0000 07000000") == RECORD_BYTES[:26]
    assert RECORD_BYTES[26:] == bytes(12)


@pytest.mark.parametrize(
    ("field", "value"), [("version", 2), ("algorithm", 9), ("kind", 0), ("kind", 9), ("state", 6)]
)
def test_a_record_that_cannot_be_read(field, value):
    raw = pack(RECORD, unpack(RECORD, RECORD_BYTES) | {field: value})
    with pytest.raises(LayoutError, match=r"^01|^02"):
        SealRecord.decode(raw)


@given(records, u32, st.binary(min_size=8, max_size=8))
def test_two_copies_of_one_event_have_one_fact(record, age, mac):
    """Age, challenge echo and MAC differ between copies of a record, but the event is the same."""
    fields = unpack(RECORD, record.encode())
    flags = record.flags ^ Flags.CHALLENGED
    copy = SealRecord.decode(
        pack(
            RECORD, fields | {"age": age, "mac": mac, "challenge": 1, "flags": flags | record.excursions << 8}
        )
    )
    assert copy.fact == record.fact


@given(records, st.sampled_from(["seal", "boot", "counter", "kind", "state", "loop_mv"]), st.data())
def test_another_event_has_another_fact(record, name, data):
    fields = unpack(RECORD, record.encode())
    other = data.draw(records.map(lambda other: unpack(RECORD, other.encode())[name]))
    changed = SealRecord.decode(pack(RECORD, fields | {name: other}))
    assert (changed.fact == record.fact) == (other == fields[name])


@given(u32, moments, moments, st.binary(min_size=38, max_size=38))
def test_journal_entry_round_trip(number, occurred, received, record):
    entry = JournalEntry(number, occurred, received, record)
    raw = entry.encode()
    assert len(raw) == JOURNAL_ENTRY.size == 54
    assert JournalEntry.decode(raw) == entry


@pytest.mark.parametrize("raw", [bytes(53), bytes(54), b"\xff" * 54])
def test_bytes_that_are_no_journal_entry(raw):
    with pytest.raises(ValueError, match=raw[:1].hex().upper()):
        JournalEntry.decode(raw)
