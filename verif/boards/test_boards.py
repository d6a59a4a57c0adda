"""The tables of the boards: every pin of the chip has one place, which exists on the FPGA."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from amaranth.hdl import Fragment

from sealboards.board import CONFIGURATION_CLOCK, CONSTANT, Board, Wire
from sealboards.boards import BOARDS
from sealboards.pairs import PairError, check_pair
from sealboards.power import CURRENT_UA, current_ua
from sealchip.chip import SealChip
from sealchip.timing import bit_cycles

ALL = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def meterseal(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meterseal", "board", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def pins(board: Board) -> Iterator[str]:
    for wire in board.wires.values():
        yield board.fpga_pin(wire.pin)
        if wire.negative is not None:
            yield board.fpga_pin(wire.negative)


@ALL
def test_every_pin_of_the_build_has_a_place(board: Board) -> None:
    component = SealChip(board.clock_hz)
    # Amaranth reports a component that is never elaborated as a mistake.
    Fragment.get(component, None)
    chip = set(component.signature.members)
    absent = set() if board.gsm else {"gsm_txd", "gsm_rxd"}
    if board.front_end == "comparator":
        absent.add("loop_fb")
    assert set(board.wires) - set(CONSTANT) == chip - absent


@ALL
def test_no_pin_is_used_twice(board: Board) -> None:
    clock = next(it for it in board.platform.resources if it.name == board.clock).ios[0].names[0]
    used = [*pins(board), clock]
    assert len(used) == len(set(used))


@ALL
def test_the_clock_times_every_baud_rate(board: Board) -> None:
    for baud in (600, 1200, 2400, 4800, 9600, 19200):
        assert abs(board.board_clock_hz / board.divide / bit_cycles(board.clock_hz, baud) / baud - 1) < 0.005


@ALL
def test_the_converter_has_a_differential_input(board: Board) -> None:
    assert (board.wires["loop_cmp"].negative is not None) == (board.front_end == "sigma-delta")
    check_pair(board)


def wired(board: Board, pin: str, negative: str) -> Board:
    return replace(board, wires={**board.wires, "loop_cmp": Wire(pin, negative=negative)})


@pytest.mark.parametrize(
    ("name", "pin", "negative", "says"),
    [
        ("icebreaker", "pmod_0:1", "pmod_0:2", "the N pin of 4 is 3, not 2"),
        ("icebreaker", "pmod_0:7", "pmod_0:1", "3 is not the P pin"),
        ("upduino", "j_0:7", "j_0:9", "the N pin of 23 is 25, not 26"),
        ("icestick", "j_1:3", "j_1:4", "pin 112 is not the P pin"),
        ("icestick", "8", "9", "the N pin of 8 is 7, not 9"),
        ("ulx3s", "gpio_0:14+", "gpio_0:15-", "the N pin of gpio_0:14+ is gpio_0:14-"),
        ("ulx3s", "gpio_0:14-", "gpio_0:14+", "gpio_0:14- is not the P pin"),
    ],
)
def test_a_wrong_pair_is_refused(name: str, pin: str, negative: str, says: str) -> None:
    with pytest.raises(PairError) as refused:
        check_pair(wired(BOARDS[name], pin, negative))
    assert says in str(refused.value)


def test_a_pair_of_the_left_bank_is_taken() -> None:
    check_pair(wired(BOARDS["icestick"], "8", "7"))


def test_current_goes_through_the_published_points() -> None:
    assert {hertz: current_ua(hertz) for hertz in CURRENT_UA} == CURRENT_UA
    assert CURRENT_UA[10e3] < current_ua(1e6) < CURRENT_UA[6e6]
    with pytest.raises(ValueError, match="published"):
        current_ua(48e6)


def test_list_shows_where_everything_goes() -> None:
    done = meterseal("list", "--json")
    assert done.returncode == 0, done.stderr
    listed = {board["name"]: board for board in json.loads(done.stdout)}
    assert set(listed) == set(BOARDS)
    assert listed["icebreaker"]["pins"]["loop_cmp"] == "pmod_0:1 (FPGA pin 4) and pmod_0:7 (FPGA pin 3)"
    assert listed["ulx3s"]["pins"]["flash_sck"] == CONFIGURATION_CLOCK
    assert "iceprog -o 0x100000 SEAL_IMAGE" in listed["upduino"]["programming"]
    for board in BOARDS.values():
        assert board.title in meterseal("list").stdout


def test_an_unknown_board_is_named() -> None:
    done = meterseal("build", "nexys")
    assert done.returncode == 1
    assert "'nexys': there are icebreaker, icestick" in done.stderr
