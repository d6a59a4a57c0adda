"""The simulated bus between host ends: bytes arrive unless they collide, and no buffer grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.errors import Failure
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import BusSim, ByteSeen

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
BAUD = 2400
CHARACTER = 11 / BAUD


def new_bus(ends: int = 3, seed: int = 0) -> BusSim:
    bus = BusSim(library(STUB_CHIP.read_text()), chips=1, ends=ends, clock_hz=16 * BAUD, baud=BAUD, seed=seed)
    for end in range(ends):
        bus.open(end)
    return bus


@pytest.fixture
def bus() -> Iterator[BusSim]:
    with new_bus() as bus:
        yield bus


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=1, max_size=60), st.integers(1, 9))
def test_every_byte_reaches_every_other_end(data: bytes, slice_ms: int) -> None:
    with new_bus() as bus:
        assert bus.write(0, data) == len(data)
        heard = [b"", b"", b""]
        while bus.end(0).queued or bus.end(0).driving:
            bus.run(slice_ms / 1000)
            heard = [before + bus.read(end) for end, before in enumerate(heard)]
        assert heard == [b"", data, data]


def test_a_byte_takes_eleven_bits(bus: BusSim) -> None:
    bus.write(0, b"\x68" * 10)
    bus.run(10 * CHARACTER - 0.001)
    assert len(bus.read(1)) == 9
    bus.run(0.001)
    assert len(bus.read(1)) == 1
    assert bus.end(0).sent == 10
    seen = bus.tap()
    assert [round(byte.at / CHARACTER, 2) for byte in seen] == list(range(1, 11))


def test_ends_that_talk_at_once_corrupt_each_other(bus: BusSim) -> None:
    bus.write(0, bytes(range(40)))
    bus.write(1, bytes(range(100, 140)))
    bus.run(50 * CHARACTER)
    garbage = bus.read(2)
    assert garbage not in (bytes(range(40)), bytes(range(100, 140)))
    assert bus.state.collided_bits > 40
    listener = bus.end(2)
    assert listener.bad_parity + listener.bad_framing > 0
    assert listener.heard == len(garbage)
    # An end does not receive while it drives.
    assert bus.read(0) == bus.read(1) == b""
    seen = [byte for byte in bus.tap() if isinstance(byte, ByteSeen)]
    assert len(seen) == 80
    assert sum(byte.corrupted for byte in seen) > 60


def test_ends_that_agree_do_not_collide(bus: BusSim) -> None:
    for end in (0, 1):
        bus.write(end, b"\x68\x11\x16")
    bus.run(4 * CHARACTER)
    assert bus.read(2) == b"\x68\x11\x16"
    assert bus.state.collided_bits == 0


def test_collisions_are_the_same_in_every_run() -> None:
    def garbage(seed: int) -> bytes:
        with new_bus(seed=seed) as bus:
            bus.write(0, bytes(range(40)))
            bus.write(1, bytes(range(100, 140)))
            bus.run(50 * CHARACTER)
            return bus.read(2)

    assert garbage(1) == garbage(1) != garbage(2)


def test_noise_is_counted_and_ends(bus: BusSim) -> None:
    data = bytes(range(256)) * 2
    bus.noise(0.02, 256 * CHARACTER)
    bus.write(0, data)
    bus.run(520 * CHARACTER)
    turned = bus.state.noisy_bits
    assert 0.5 < turned / (0.02 * 256 * 11) < 1.5
    listener = bus.end(1)
    assert listener.bad_parity > 10
    heard = bus.read(1)
    assert len(heard) < len(data)
    assert heard.endswith(data[-200:])
    assert any(byte.corrupted for byte in bus.tap())


def test_noise_at_probability_one_turns_over_everything(bus: BusSim) -> None:
    bus.noise(1.0, 0.5)
    bus.run(1.0)
    assert bus.state.noisy_bits == BAUD / 2
    assert bus.read(0) == b""


def test_fifos_are_bounded_and_report_it(bus: BusSim) -> None:
    assert bus.write(0, bytes(5000)) == 4096
    assert bus.write(0, b"\0") == 0
    for _ in range(18):
        bus.run(4096 * CHARACTER)
        bus.write(0, bytes(4096))
    listener = bus.end(1)
    assert listener.overflowed == 18 * 4096 - 65536
    assert len(bus.read(1)) == 65536
    assert bus.state.tap_overflowed == 18 * 4096 - 65536


def test_a_closed_end_receives_nothing_but_sends_what_it_has(bus: BusSim) -> None:
    bus.write(0, b"abc")
    bus.close_end(0)
    bus.close_end(1)
    bus.run(4 * CHARACTER)
    assert bus.read(2) == b"abc"
    bus.open(1)
    bus.write(2, b"x")
    bus.run(2 * CHARACTER)
    assert bus.read(1) == b"x"


def test_a_clock_too_slow_for_the_baud_rate_is_refused() -> None:
    with pytest.raises(Failure, match="19200 Hz is too slow for 9600 baud"):
        BusSim(library(STUB_CHIP.read_text()), chips=1, ends=1, clock_hz=19200, baud=9600)
