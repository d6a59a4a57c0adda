"""The tap of the bus makes one trace line of each event, and only when its report was whole."""

from __future__ import annotations

from collections.abc import Iterator

from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.protocols.dlt645.requests import read, write
from meterseal.sim.chip.blink import BlinkDecoder
from meterseal.sim.chip.bus import ByteSeen, LampsSeen
from meterseal.sim.chip.watch import Watch
from sealchip.interface import Di

CHIP, PTY = 0, 1
RECORD = SealRecord("000000000101", 1, 7, Kind.OPENED, StateClass.OPEN)


def seen(raw: bytes, source: int, *, at: float = 0.0, corrupt: int | None = None) -> Iterator[ByteSeen]:
    for index, byte in enumerate(raw):
        yield ByteSeen(at + index * 0.0046, source, byte, corrupted=index == corrupt, malformed=False)


def report(record: SealRecord) -> bytes:
    return write("000000000201", Di.REPORT, record.encode()).encode()


def watch() -> Watch:
    return Watch(["000000000101"], ["pty"])


def test_a_report_is_an_event_once() -> None:
    raw = report(RECORD)
    watching = watch()
    lines = list(watching.feed(list(seen(raw, CHIP)), 1.0))
    assert [what for what, _ in lines] == ["wire", "event"]
    assert lines[0][1] == {
        "direction": "tx",
        "wire": "rs485",
        "bytes": raw.hex().upper(),
        "driver": "000000000101",
    }
    assert lines[1][1] == {
        "seal": "000000000101",
        "boot": 1,
        "counter": 7,
        "kind": "opened",
        "state": "open",
    }
    again = list(watching.feed(list(seen(raw, CHIP, at=3.0)), 4.0))
    assert [what for what, _ in again] == ["wire"]


def test_a_dropped_report_is_not_an_event() -> None:
    watching = watch()
    lines = list(watching.feed(list(seen(report(RECORD)[:31], CHIP, corrupt=30)), 1.0))
    assert {what for what, _ in lines} == {"wire", "discarded"}
    assert any(fields.get("corrupted") for _, fields in lines)
    lines = list(watching.feed(list(seen(report(RECORD), CHIP, at=2.0)), 3.0))
    assert [what for what, _ in lines] == ["wire", "event"]


def test_a_report_that_others_may_have_misheard_is_an_event() -> None:
    """A level differed away from the middle of a bit: the chip received itself, so the meter may have."""
    lines = list(watch().feed(list(seen(report(RECORD), CHIP, corrupt=2)), 1.0))
    assert [what for what, _ in lines] == ["wire", "event"]
    assert lines[0][1]["corrupted"] is True


def test_a_report_right_after_its_own_collided_beginning_is_an_event() -> None:
    """The seal drops a frame at the collision and sends it again before the gap has ended the old one."""
    watching = watch()
    beginning = report(RECORD)[:12]
    lines = list(watching.feed(list(seen(beginning, CHIP, corrupt=11)), 0.1))
    lines += watching.feed(list(seen(report(RECORD), CHIP, at=0.2)), 1.0)
    assert [what for what, _ in lines].count("event") == 1
    assert "corrupted" in lines[0][1]


def test_a_host_makes_no_events() -> None:
    lines = list(watch().feed(list(seen(report(RECORD), PTY)), 1.0))
    assert [(what, fields["direction"]) for what, fields in lines] == [("wire", "rx")]


def test_two_drivers_are_kept_apart() -> None:
    request = read("000000000101", Di.RECORD_NEWEST).encode()
    both = sorted([*seen(report(RECORD), CHIP), *seen(request, PTY)], key=lambda item: item.at)
    lines = list(watch().feed(both, 1.0))
    assert [(what, fields.get("driver")) for what, fields in lines] == [
        ("wire", "pty"),
        ("wire", "000000000101"),
        ("event", None),
    ]


def test_bytes_that_are_not_a_frame_are_traced() -> None:
    watching = watch()
    assert not list(watching.feed(list(seen(report(RECORD)[:20], CHIP)), 0.2))
    lines = list(watching.feed([], 1.0))
    assert [what for what, _ in lines] == ["wire", "discarded"]
    assert lines[1][1]["bytes"] == report(RECORD)[:20].hex().upper()
    bad = write("000000000201", Di.REPORT, bytes(38)).encode()
    lines = list(watching.feed(list(seen(bad, CHIP, at=2.0)), 3.0))
    assert [what for what, _ in lines] == ["wire", "discarded"]
    assert "layout version 0" in lines[1][1]["reason"]


def test_lamps() -> None:
    lamps = {"seal": "000000000101", "green": True, "red": False}
    assert list(watch().feed([LampsSeen(0.5, CHIP, True, False)], 1.0)) == [("lamps", lamps)]


def test_lamps_are_read() -> None:
    blink = BlinkDecoder()
    assert blink.shown(0.0) == "dark"
    blink.update(1.0, green=True, red=False)
    assert blink.shown(100.0) == "green"
    blink.update(200.0, green=False, red=True)
    assert [blink.shown(at) for at in (200.3, 200.5, 300.0)] == ["red ?", "red", "red"]
    blink.update(300.0, green=False, red=False)
    assert blink.shown(302.5) == "dark"
    # Groups of three, 1 s between them.
    at, codes = 303.0, []
    for _ in range(3):
        for _ in range(3):
            blink.update(at, green=False, red=True)
            codes.append(blink.shown(at + 0.2))
            blink.update(at + 0.256, green=False, red=False)
            codes.append(blink.shown(at + 0.4))
            at += 0.512
        at += 0.768
    assert codes[:6] == ["red ?"] * 6
    assert codes[6:] == ["red 3"] * 12
    assert blink.shown(at + 3.0) == "dark"
