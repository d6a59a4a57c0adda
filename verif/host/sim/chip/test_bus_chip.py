"""What surrounds a simulated chip, reached through its own pins by the puppet chip (`puppet.v`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.errors import Failure
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import LampsSeen, Pair
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import Head, Loop
from sealchip.interface import FLASH_SIZE

PUPPET = Path(__file__).with_name("stub_chip.v")
BAUD = 2400
#: Time of a command and its answer.
EXCHANGE = 6 * 11 / BAUD


class Puppets:
    """One or more puppet chips, each with a flash file, and a host end that talks to them."""

    def __init__(self, folder: Path, chips: int = 1, *, baud: int = BAUD, feedback: bool = False) -> None:
        puppet = library(PUPPET.read_text(), feedback=feedback)
        self.pair = Pair(puppet, chips=chips, ends=1, clock_hz=16 * baud, baud=baud, seed=1)
        self.pair.open(0)
        self.flashes = []
        for chip in range(chips):
            path = folder / f"{chip}.bin"
            path.write_bytes(b"\xff" * FLASH_SIZE)
            self.flashes.append(FlashFile(path))
            self.pair.attach_flash(chip, self.flashes[chip])
            self.pair.power(chip, True)
        self.pair.run(0.01)

    def close(self) -> None:
        self.pair.close()
        for flash in self.flashes:
            flash.close()

    def tell(self, *commands: tuple[str, int]) -> bytes:
        """Send commands one by one; the answers to all of them."""
        answers = b""
        for letter, argument in commands:
            self.pair.write(0, letter.encode() + bytes([argument]))
            self.pair.run(EXCHANGE)
            answers += self.pair.read(0)
        return answers

    def spi(self, *out: int) -> bytes:
        """One selection of the flash: what came back for each byte sent."""
        return self.tell(("S", 0), *(("X", byte) for byte in out), ("S", 1))[: len(out)]

    def write_enable(self) -> None:
        self.spi(0x06)

    def status(self) -> int:
        return self.spi(0x05, 0)[1]

    def array(self) -> bytes:
        return self.flashes[0].read()


@pytest.fixture
def puppets(tmp_path: Path) -> Iterator[Puppets]:
    puppets = Puppets(tmp_path)
    yield puppets
    puppets.close()


def test_flash_is_identified_and_read(puppets: Puppets) -> None:
    assert puppets.spi(0x9F, 0, 0, 0)[1:] == b"\xef\x40\x0e"
    puppets.write_enable()
    puppets.spi(0x02, 0, 0x12, 0x34, *b"seal")
    assert puppets.array()[0x1234:0x1238] == b"seal"
    assert puppets.spi(0x03, 0, 0x12, 0x34, *bytes(4))[4:] == b"seal"
    assert puppets.spi(0x0B, 0, 0x12, 0x34, 0, *bytes(4))[5:] == b"seal"
    # Addresses go round at the end of the array.
    assert puppets.spi(0x03, 0, 0x3F, 0xFF, 0, 0)[4:] == b"\xff\xff"


def test_programming_clears_bits_within_its_page(puppets: Puppets) -> None:
    puppets.write_enable()
    puppets.spi(0x02, 0, 0x01, 0xFE, 0x0F, 0x33, 0x55, 0xAA)
    assert puppets.array()[0x1FE:0x202] == b"\x0f\x33\xff\xff"
    assert puppets.array()[0x100:0x102] == b"\x55\xaa"
    puppets.write_enable()
    puppets.spi(0x02, 0, 0x01, 0xFE, 0xF8)
    assert puppets.array()[0x1FE] == 0x08


@pytest.mark.parametrize("spoil", ["no enable", "disabled", "asleep", "no data"])
def test_writes_that_must_do_nothing(puppets: Puppets, spoil: str) -> None:
    if spoil != "no enable":
        puppets.write_enable()
    if spoil == "disabled":
        puppets.spi(0x04)
    if spoil == "asleep":
        puppets.spi(0xB9)
        assert puppets.spi(0x9F, 0)[1] == 0xFF
    puppets.spi(0x02, 0, 0, 0, *([] if spoil == "no data" else [0]))
    assert puppets.array() == b"\xff" * FLASH_SIZE
    if spoil == "asleep":
        puppets.spi(0xAB)
        assert puppets.spi(0x9F, 0)[1] == 0xEF


def test_erase_takes_its_time_and_one_sector(puppets: Puppets) -> None:
    for sector in (0x10, 0x20):
        puppets.write_enable()
        puppets.spi(0x02, 0, sector, 0x00, 0)
    puppets.write_enable()
    # The puppet takes longer than an erase to ask: make this one last.
    puppets.pair.attach_flash(0, puppets.flashes[0], sector_erase=1.0)
    puppets.spi(0x20, 0, 0x1A, 0xBC)
    assert puppets.status() == 3
    assert puppets.array()[0x1000] == 0
    assert puppets.spi(0x03, 0, 0, 0, 0)[4] == 0xFF  # busy: no other command is heard
    puppets.pair.run(1.0)
    assert puppets.status() == 0
    assert puppets.array()[0x1000] == 0xFF
    assert puppets.array()[0x2000] == 0
    assert puppets.pair.chip(0).flash_erases == 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.05, 0.95), erase=st.booleans())
def test_a_power_cut_leaves_the_operation_half_done(tmp_path: Path, fraction: float, erase: bool) -> None:
    puppets = Puppets(tmp_path)
    try:
        before = bytes(0x4000) if erase else b"\xff" * 0x4000
        puppets.flashes[0].array[:] = before
        puppets.pair.attach_flash(0, puppets.flashes[0], page_program=10.0, sector_erase=10.0)
        puppets.write_enable()
        puppets.spi(*((0x20, 0, 0, 0) if erase else (0x02, 0, 0, 0, *bytes(20))))
        puppets.pair.run(10.0 * fraction)
        puppets.pair.power(0, False)
        puppets.pair.run(1.0)
        touched = puppets.array()[: 4096 if erase else 20]
        done = 0xFF if erase else 0x00
        assert touched[0] == done
        assert any(byte != done for byte in touched)
        assert puppets.array()[len(touched) :] == before[len(touched) :]
        assert puppets.pair.chip(0).flash_cut == 1
        puppets.pair.power(0, True)
        puppets.pair.run(0.01)
        assert puppets.status() == 0
    finally:
        puppets.close()


def test_a_chip_without_power_is_gone_and_starts_anew(puppets: Puppets) -> None:
    assert puppets.tell(("E", 0x42), ("O", 0)) == b"\x42\x42"  # it hears itself
    puppets.pair.power(0, False)
    assert puppets.tell(("E", 0x42)) == b""
    puppets.pair.power(0, True)
    puppets.pair.run(0.01)
    assert puppets.tell(("O", 0), ("E", 0x43)) == b"\x00\x43"


def test_chips_that_answer_at_once_collide(tmp_path: Path) -> None:
    puppets = Puppets(tmp_path, chips=2)
    try:
        assert puppets.tell(("E", 0x68)) == b"\x68"  # they say the same
        assert puppets.pair.state.collided_bits == 0
        puppets.flashes[0].array[:] = bytes(FLASH_SIZE)
        puppets.tell(("S", 0), ("X", 0x03), ("X", 0), ("X", 0), ("X", 0))
        puppets.pair.tap()
        puppets.tell(("X", 0))  # one answers 00, the other FF
        assert puppets.pair.state.collided_bits >= 8
        chips = [byte for byte in puppets.pair.tap() if byte.source < 2]
        assert {(byte.source, byte.byte) for byte in chips} == {(0, 0x00), (1, 0xFF)}
        assert all(byte.corrupted for byte in chips)
    finally:
        puppets.close()


def test_lamps_are_seen_with_their_time(puppets: Puppets) -> None:
    start = puppets.pair.now
    puppets.tell(("P", 0b110), ("P", 0b101))
    lamps = [seen for seen in puppets.pair.tap() if isinstance(seen, LampsSeen)]
    assert [(seen.green, seen.red) for seen in lamps] == [(True, False), (False, True)]
    assert start < lamps[0].at < lamps[1].at < puppets.pair.now
    puppets.pair.power(0, False)
    assert puppets.pair.tap() == [LampsSeen(puppets.pair.now, 0, False, False)]


def test_loop_reaches_the_comparator_through_the_head(puppets: Puppets) -> None:
    def loop() -> int:
        return puppets.tell(("Q", 0))[0]

    assert loop() == 0b10
    puppets.pair.position(0, True)
    assert loop() == 0b11
    puppets.pair.loop(0, Loop(contact_mv=2500))  # corroded
    assert loop() == 0b10
    puppets.pair.loop(0, Loop())
    puppets.tell(("P", 0))  # the plate is not driven
    assert loop() == 0b00
    puppets.pair.loop(0, Loop(foreign_mv=2600))
    assert loop() == 0b01
    puppets.tell(("P", 4))
    puppets.pair.loop(0, Loop(offset_mv=-1501))
    assert loop() == 0b10
    puppets.pair.loop(0, Loop())
    puppets.pair.position(0, False)
    assert loop() == 0b10
    puppets.pair.loop(0, Loop(jumper=True))
    assert loop() == 0b11


@pytest.mark.parametrize(
    ("done", "mv"),
    [
        (Loop(), 4000),
        (Loop(contact_mv=2800), 2800),
        (Loop(jumper=True, contact_mv=2800), 5000),
        (Loop(jumper=True, foreign_mv=1234), 1234),
    ],
)
def test_what_is_done_to_the_loop_sets_its_voltage(puppets: Puppets, done: Loop, mv: int) -> None:
    puppets.pair.position(0, True)
    puppets.pair.loop(0, done)
    assert puppets.pair.chip(0).loop_mv == mv


def test_the_comparator_is_noisy_near_its_threshold_alone(puppets: Puppets) -> None:
    pair = puppets.pair
    pair.position(0, True)

    def high(contact_mv: int) -> float:
        """Share of the time at which the comparator is high."""
        pair.loop(0, Loop(contact_mv=contact_mv, noise_mv=20))
        pair.run(0.001)
        seen = 0
        for _ in range(400):
            pair.run(1 / pair.clock_hz)
            seen += pair.chip(0).comparator
        return seen / 400

    # Normal: half of it at the threshold, 84 % one rms above; never as much as four rms away.
    assert 0.4 < high(2500) < 0.6
    assert 0.78 < high(2520) < 0.9
    assert (high(2420), high(2580)) == (0, 1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.integers(1, 15), ms=st.integers(1, 20), start=st.booleans(), end=st.booleans())
def test_bounce_ends_where_it_should(puppets: Puppets, edges: int, ms: int, start: bool, end: bool) -> None:
    pair = puppets.pair
    pair.position(0, start)
    made = pair.bounce(0, seconds=ms / 1000, edges=edges, closed=end)
    assert made - edges in (0, 1)
    seen = [start]
    for _ in range(ms * 50):
        pair.run(1 / 50_000)
        seen.append(bool(pair.chip(0).closed))
    pair.run(0.001)
    assert bool(pair.chip(0).closed) is end
    assert sum(a != b for a, b in pairwise(seen)) <= made


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"short", "5 bytes, a seal's flash has 16384")],
)
def test_a_wrong_flash_file_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "seal.bin").write_bytes(content)
    with pytest.raises(Failure, match=says):
        FlashFile(tmp_path / "seal.bin")


def test_a_flash_file_is_used_once(puppets: Puppets, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="another simulated chip"):
        FlashFile(tmp_path / "0.bin")


def test_the_head_stays_where_it_was_put(tmp_path: Path) -> None:
    flash = tmp_path / "seal.bin"
    assert Head.load(flash) == Head(closed=False, loop=Loop(contact_mv=4000))
    attacked = Head(closed=True, loop=Loop(jumper=True, foreign_mv=3300))
    attacked.save(flash)
    assert Head.load(flash) == attacked
    (tmp_path / "seal.bin.loop").write_text("{}")
    with pytest.raises(Failure, match=r"seal\.bin\.loop does not say"):
        Head.load(flash)


def test_a_converter_measures_the_loop(tmp_path: Path) -> None:
    puppets = Puppets(tmp_path, baud=19200, feedback=True)
    try:
        for mv in (0, 170, 1000, 2500, 3333, 4000, 5000, 5500, 8192):
            puppets.pair.loop(0, Loop(foreign_mv=mv, noise_mv=3))
            puppets.pair.run(3 * 8192 / puppets.pair.clock_hz)
            low, high = puppets.tell(("M", 0), ("M", 1))
            assert abs(low + 256 * high - mv) <= 20
        # The comparator's offset is as if the loop had it.
        puppets.pair.loop(0, Loop(foreign_mv=3000, offset_mv=-100))
        puppets.pair.run(3 * 8192 / puppets.pair.clock_hz)
        low, high = puppets.tell(("M", 0), ("M", 1))
        assert abs(low + 256 * high - 2900) <= 20
    finally:
        puppets.close()


def test_the_gsm_port_carries_bytes_both_ways(puppets: Puppets) -> None:
    pair, data = puppets.pair, bytes(range(256))
    pair.open_gsm(0)
    assert pair.write_gsm(0, data) == len(data)
    pair.run(254 * 10 / 9600)
    assert pair.read_gsm(0) == data[:254]  # the puppet gives back what it gets
    pair.run(0.01)
    assert pair.read_gsm(0) == data[254:]
    assert pair.write_gsm(0, bytes(5000)) == 4096
    pair.power(0, False)
    pair.run(5)
    assert pair.read_gsm(0) == b""
