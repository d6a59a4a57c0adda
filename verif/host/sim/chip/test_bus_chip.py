"""The stub chip (`stub_chip.v`) exercises the surroundings of a simulated chip through its pins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.errors import Failure
from meterseal.sim.chip.build import library
from meterseal.sim.chip.bus import BusSim, LampsSeen
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import Head, Loop
from sealchip.interface import FLASH_SIZE, SEALED_MV

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
BAUD = 2400
#: Time of a command and its answer.
EXCHANGE = 6 * 11 / BAUD


class StubChips:
    """Simulates one or more stub chips, each with a flash file, and a host end that commands them."""

    def __init__(self, folder: Path, chips: int = 1, *, baud: int = BAUD, feedback: bool = False) -> None:
        stub_chip = library(STUB_CHIP.read_text(), feedback=feedback)
        self.bus = BusSim(stub_chip, chips=chips, ends=1, clock_hz=16 * baud, baud=baud, seed=1)
        self.bus.open(0)
        self.flashes = []
        for chip in range(chips):
            path = folder / f"{chip}.bin"
            path.write_bytes(b"\xff" * FLASH_SIZE)
            self.flashes.append(FlashFile(path))
            self.bus.attach_flash(chip, self.flashes[chip])
            self.bus.power(chip, True)
        self.bus.run(0.01)

    def close(self) -> None:
        self.bus.close()
        for flash in self.flashes:
            flash.close()

    def command(self, *commands: tuple[str, int]) -> bytes:
        """Send commands one by one and return the answers to all of them."""
        answers = b""
        for letter, argument in commands:
            self.bus.write(0, letter.encode() + bytes([argument]))
            self.bus.run(EXCHANGE)
            answers += self.bus.read(0)
        return answers

    def spi(self, *out: int) -> bytes:
        """Select the flash once; return what came back for each byte sent."""
        return self.command(("S", 0), *(("X", byte) for byte in out), ("S", 1))[: len(out)]

    def write_enable(self) -> None:
        self.spi(0x06)

    def status(self) -> int:
        return self.spi(0x05, 0)[1]

    def array(self) -> bytes:
        return self.flashes[0].read()


@pytest.fixture
def stub_chips(tmp_path: Path) -> Iterator[StubChips]:
    stub_chips = StubChips(tmp_path)
    yield stub_chips
    stub_chips.close()


def test_flash_is_identified_and_read(stub_chips: StubChips) -> None:
    assert stub_chips.spi(0x9F, 0, 0, 0)[1:] == b"\xef\x40\x0e"
    stub_chips.write_enable()
    stub_chips.spi(0x02, 0, 0x12, 0x34, *b"seal")
    assert stub_chips.array()[0x1234:0x1238] == b"seal"
    assert stub_chips.spi(0x03, 0, 0x12, 0x34, *bytes(4))[4:] == b"seal"
    assert stub_chips.spi(0x0B, 0, 0x12, 0x34, 0, *bytes(4))[5:] == b"seal"
    # Addresses wrap round at the end of the array.
    assert stub_chips.spi(0x03, 0, 0x3F, 0xFF, 0, 0)[4:] == b"\xff\xff"


def test_programming_clears_bits_within_its_page(stub_chips: StubChips) -> None:
    stub_chips.write_enable()
    stub_chips.spi(0x02, 0, 0x01, 0xFE, 0x0F, 0x33, 0x55, 0xAA)
    assert stub_chips.array()[0x1FE:0x202] == b"\x0f\x33\xff\xff"
    assert stub_chips.array()[0x100:0x102] == b"\x55\xaa"
    stub_chips.write_enable()
    stub_chips.spi(0x02, 0, 0x01, 0xFE, 0xF8)
    assert stub_chips.array()[0x1FE] == 0x08


@pytest.mark.parametrize("spoil", ["no enable", "disabled", "asleep", "no data"])
def test_writes_that_must_do_nothing(stub_chips: StubChips, spoil: str) -> None:
    if spoil != "no enable":
        stub_chips.write_enable()
    if spoil == "disabled":
        stub_chips.spi(0x04)
    if spoil == "asleep":
        stub_chips.spi(0xB9)
        assert stub_chips.spi(0x9F, 0)[1] == 0xFF
    stub_chips.spi(0x02, 0, 0, 0, *([] if spoil == "no data" else [0]))
    assert stub_chips.array() == b"\xff" * FLASH_SIZE
    if spoil == "asleep":
        stub_chips.spi(0xAB)
        assert stub_chips.spi(0x9F, 0)[1] == 0xEF


def test_erase_takes_its_time_and_one_sector(stub_chips: StubChips) -> None:
    for sector in (0x10, 0x20):
        stub_chips.write_enable()
        stub_chips.spi(0x02, 0, sector, 0x00, 0)
    stub_chips.write_enable()
    # A status request takes the stub chip longer than an erase, so this erase is made to last.
    stub_chips.bus.attach_flash(0, stub_chips.flashes[0], sector_erase=1.0)
    stub_chips.spi(0x20, 0, 0x1A, 0xBC)
    assert stub_chips.status() == 3
    assert stub_chips.array()[0x1000] == 0
    assert stub_chips.spi(0x03, 0, 0, 0, 0)[4] == 0xFF  # busy: no other command is accepted
    stub_chips.bus.run(1.0)
    assert stub_chips.status() == 0
    assert stub_chips.array()[0x1000] == 0xFF
    assert stub_chips.array()[0x2000] == 0
    assert stub_chips.bus.chip(0).flash_erases == 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.05, 0.95), erase=st.booleans())
def test_a_power_cut_leaves_the_operation_half_done(tmp_path: Path, fraction: float, erase: bool) -> None:
    stub_chips = StubChips(tmp_path)
    try:
        before = bytes(0x4000) if erase else b"\xff" * 0x4000
        stub_chips.flashes[0].array[:] = before
        stub_chips.bus.attach_flash(0, stub_chips.flashes[0], page_program=10.0, sector_erase=10.0)
        stub_chips.write_enable()
        stub_chips.spi(*((0x20, 0, 0, 0) if erase else (0x02, 0, 0, 0, *bytes(20))))
        stub_chips.bus.run(10.0 * fraction)
        stub_chips.bus.power(0, False)
        stub_chips.bus.run(1.0)
        touched = stub_chips.array()[: 4096 if erase else 20]
        done = 0xFF if erase else 0x00
        assert touched[0] == done
        assert any(byte != done for byte in touched)
        assert stub_chips.array()[len(touched) :] == before[len(touched) :]
        assert stub_chips.bus.chip(0).flash_cut == 1
        stub_chips.bus.power(0, True)
        stub_chips.bus.run(0.01)
        assert stub_chips.status() == 0
    finally:
        stub_chips.close()


def test_a_chip_without_power_is_gone_and_starts_anew(stub_chips: StubChips) -> None:
    assert stub_chips.command(("E", 0x42), ("O", 0)) == b"\x42\x42"  # it receives itself
    stub_chips.bus.power(0, False)
    assert stub_chips.command(("E", 0x42)) == b""
    stub_chips.bus.power(0, True)
    stub_chips.bus.run(0.01)
    assert stub_chips.command(("O", 0), ("E", 0x43)) == b"\x00\x43"


def test_chips_that_answer_at_once_collide(tmp_path: Path) -> None:
    stub_chips = StubChips(tmp_path, chips=2)
    try:
        assert stub_chips.command(("E", 0x68)) == b"\x68"  # both transmit the same
        assert stub_chips.bus.state.collided_bits == 0
        stub_chips.flashes[0].array[:] = bytes(FLASH_SIZE)
        stub_chips.command(("S", 0), ("X", 0x03), ("X", 0), ("X", 0), ("X", 0))
        stub_chips.bus.tap()
        stub_chips.command(("X", 0))  # one answers 00, the other FF
        assert stub_chips.bus.state.collided_bits >= 8
        chips = [byte for byte in stub_chips.bus.tap() if byte.source < 2]
        assert {(byte.source, byte.byte) for byte in chips} == {(0, 0x00), (1, 0xFF)}
        assert all(byte.corrupted for byte in chips)
    finally:
        stub_chips.close()


def test_lamps_are_seen_with_their_time(stub_chips: StubChips) -> None:
    start = stub_chips.bus.now
    stub_chips.command(("P", 0b110), ("P", 0b101))
    lamps = [seen for seen in stub_chips.bus.tap() if isinstance(seen, LampsSeen)]
    assert [(seen.green, seen.red) for seen in lamps] == [(True, False), (False, True)]
    assert start < lamps[0].at < lamps[1].at < stub_chips.bus.now
    stub_chips.bus.power(0, False)
    assert stub_chips.bus.tap() == [LampsSeen(stub_chips.bus.now, 0, False, False)]


def test_loop_reaches_the_comparator_through_the_head(stub_chips: StubChips) -> None:
    def loop() -> int:
        return stub_chips.command(("Q", 0))[0]

    assert loop() == 0b10
    stub_chips.bus.position(0, True)
    assert loop() == 0b11
    stub_chips.bus.loop(0, Loop(contact_mv=2500))  # corroded
    assert loop() == 0b10
    stub_chips.bus.loop(0, Loop())
    stub_chips.command(("P", 0))  # the plate is not driven
    assert loop() == 0b00
    stub_chips.bus.loop(0, Loop(foreign_mv=2600))
    assert loop() == 0b01
    stub_chips.command(("P", 4))
    stub_chips.bus.loop(0, Loop(offset_mv=2499 - SEALED_MV))
    assert loop() == 0b10
    stub_chips.bus.loop(0, Loop())
    stub_chips.bus.position(0, False)
    assert loop() == 0b10
    stub_chips.bus.loop(0, Loop(jumper=True))
    assert loop() == 0b11


@pytest.mark.parametrize(
    ("done", "mv"),
    [
        (Loop(), SEALED_MV),
        (Loop(contact_mv=2800), 2800),
        (Loop(jumper=True, contact_mv=2800), 5000),
        (Loop(jumper=True, foreign_mv=1234), 1234),
    ],
)
def test_what_is_done_to_the_loop_sets_its_voltage(stub_chips: StubChips, done: Loop, mv: int) -> None:
    stub_chips.bus.position(0, True)
    stub_chips.bus.loop(0, done)
    assert stub_chips.bus.chip(0).loop_mv == mv


def test_the_comparator_is_noisy_near_its_threshold_alone(stub_chips: StubChips) -> None:
    bus = stub_chips.bus
    bus.position(0, True)

    def high(contact_mv: int) -> float:
        """Return the share of the time for which the comparator is high."""
        bus.loop(0, Loop(contact_mv=contact_mv, noise_mv=20))
        bus.run(0.001)
        seen = 0
        for _ in range(400):
            bus.run(1 / bus.clock_hz)
            seen += bus.chip(0).comparator
        return seen / 400

    # Normal distribution: half at the threshold, 84 % one rms above it, nothing at four rms.
    assert 0.4 < high(2500) < 0.6
    assert 0.78 < high(2520) < 0.9
    assert (high(2420), high(2580)) == (0, 1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.integers(1, 15), ms=st.integers(1, 20), start=st.booleans(), end=st.booleans())
def test_bounce_ends_where_it_should(
    stub_chips: StubChips, edges: int, ms: int, start: bool, end: bool
) -> None:
    bus = stub_chips.bus
    bus.position(0, start)
    made = bus.bounce(0, seconds=ms / 1000, edges=edges, closed=end)
    assert made - edges in (0, 1)
    seen = [start]
    for _ in range(ms * 50):
        bus.run(1 / 50_000)
        seen.append(bool(bus.chip(0).closed))
    bus.run(0.001)
    assert bool(bus.chip(0).closed) is end
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


def test_a_flash_file_is_used_once(stub_chips: StubChips, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="another simulated chip"):
        FlashFile(tmp_path / "0.bin")


def test_the_head_stays_where_it_was_put(tmp_path: Path) -> None:
    flash = tmp_path / "seal.bin"
    assert Head.load(flash) == Head(closed=False, loop=Loop(contact_mv=SEALED_MV))
    attacked = Head(closed=True, loop=Loop(jumper=True, foreign_mv=3300))
    attacked.save(flash)
    assert Head.load(flash) == attacked
    (tmp_path / "seal.bin.loop").write_text("{}")
    with pytest.raises(Failure, match=r"seal\.bin\.loop does not say"):
        Head.load(flash)


def test_a_converter_measures_the_loop(tmp_path: Path) -> None:
    stub_chips = StubChips(tmp_path, baud=19200, feedback=True)
    try:
        for mv in (0, 170, 1000, 2500, 3333, 4000, 5000, 5500, 8192):
            stub_chips.bus.loop(0, Loop(foreign_mv=mv, noise_mv=3))
            stub_chips.bus.run(3 * 8192 / stub_chips.bus.clock_hz)
            low, high = stub_chips.command(("M", 0), ("M", 1))
            assert abs(low + 256 * high - mv) <= 20
        # The comparator's offset has the same effect as an offset of the loop.
        stub_chips.bus.loop(0, Loop(foreign_mv=3000, offset_mv=-100))
        stub_chips.bus.run(3 * 8192 / stub_chips.bus.clock_hz)
        low, high = stub_chips.command(("M", 0), ("M", 1))
        assert abs(low + 256 * high - 2900) <= 20
    finally:
        stub_chips.close()


def test_the_gsm_port_carries_bytes_both_ways(stub_chips: StubChips) -> None:
    bus, data = stub_chips.bus, bytes(range(256))
    bus.open_gsm(0)
    assert bus.write_gsm(0, data) == len(data)
    bus.run(254 * 10 / 9600)
    assert bus.read_gsm(0) == data[:254]  # the stub chip echoes
    bus.run(0.01)
    assert bus.read_gsm(0) == data[254:]
    assert bus.write_gsm(0, bytes(5000)) == 4096
    bus.power(0, False)
    bus.run(5)
    assert bus.read_gsm(0) == b""
