"""The agents make the waves that they claim to make, and the scoreboard detects wrong reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.domain.signing import sign
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import Di
from verif.agents.loop import PULLED, SEALED
from verif.agents.scoreboard import Scoreboard
from verif.agents.uart import Character, Damage, edges
from verif.benches.block import characters, examples
from verif.benches.seal import IDENTITY

BIT = 16
STATES = {PULLED: StateClass.OPEN, SEALED: StateClass.SEALED}
#: Sealed at power-up, opened after a second, with a break of 10 ms before.
MOVED = [(0.0, SEALED), (500e6, PULLED), (510e6, SEALED), (1e9, PULLED)]
BOOT = SealRecord(IDENTITY.seal, 1, 1, Kind.BOOT, StateClass.SEALED)
OPENED = replace(BOOT, counter=2, kind=Kind.OPENED, state=StateClass.OPEN)


def wave(data: bytes, **options) -> list[int]:
    return [level for level, time in edges(data, BIT, **options) for _ in range(round(time))]


@examples(20)
@given(st.binary(min_size=1, max_size=8), st.sampled_from([0, 1, 7]), st.booleans())
def test_characters_are_what_was_sent(data: bytes, gap: int, parity: bool) -> None:
    levels = wave(data, gap=gap, parity=parity)
    found = characters(levels, BIT, parity=0 if parity else None)
    step = (11 if parity else 10) + gap
    assert found == [(n * step * BIT, byte) for n, byte in enumerate(data)]


@pytest.mark.parametrize("damage", Damage)
def test_damage_is_that_of_one_character(damage: Damage) -> None:
    whole, levels = wave(b"\x55\x55\x55"), wave(b"\x55\x55\x55", damage={1: damage})
    longer = BIT if damage is Damage.FRAMING else 0
    character = 11 * BIT
    assert levels[:character] == whole[:character]
    assert levels[2 * character + longer :] == whole[2 * character :]
    assert levels != whole
    middles = levels[character + BIT // 2 : 2 * character : BIT]
    wrong = {Damage.PARITY: {9}, Damage.FRAMING: {10}, Damage.VALUE: {1, 2}, Damage.GLITCH: set()}[damage]
    right = whole[character + BIT // 2 : 2 * character : BIT]
    assert {n for n, level in enumerate(middles) if level != right[n]} == wrong


def report(
    board: Scoreboard, record: SealRecord, *, meter: str = IDENTITY.meter, key: bytes = IDENTITY.key
) -> None:
    data = Di.REPORT.to_bytes(4, "little") + bytes(8) + sign(key, record).encode()
    for byte in Frame(meter, 0x14, data).encode():
        board.character(Character(1.2e9, 1.2e9, byte, True, True), own=True)


def test_the_scoreboard_accepts_right_reports() -> None:
    board = Scoreboard(IDENTITY)
    for record in (BOOT, BOOT, OPENED, OPENED):
        report(board, record)
    board.check(MOVED, STATES, 1.5e9)


@pytest.mark.parametrize(
    "records",
    [
        [BOOT],
        [OPENED],
        [BOOT, replace(OPENED, counter=3)],
        [BOOT, replace(OPENED, boot=2)],
        [BOOT, replace(OPENED, state=StateClass.LOW)],
        [BOOT, OPENED, replace(OPENED, counter=3)],
        [OPENED, BOOT],
        [BOOT, replace(OPENED, age=2)],
        [BOOT, replace(OPENED, seal="810400000002")],
    ],
)
def test_the_scoreboard_detects_wrong_reports(records: list[SealRecord]) -> None:
    board = Scoreboard(IDENTITY)
    for record in records:
        report(board, record)
    with pytest.raises(AssertionError):
        board.check(MOVED, STATES, 1.5e9)


@pytest.mark.parametrize("how", [{"meter": "440100000002"}, {"key": bytes(16)}])
def test_the_scoreboard_detects_a_foreign_report(how: dict[str, object]) -> None:
    board = Scoreboard(IDENTITY)
    report(board, BOOT, **how)
    report(board, OPENED)
    with pytest.raises(AssertionError):
        board.check(MOVED, STATES, 1.5e9)
