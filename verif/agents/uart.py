"""Characters to levels of a line and back: a start bit, eight bits, even parity or none, a stop bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from cocotb.triggers import FallingEdge, Timer
from cocotb.utils import get_sim_time

__all__ = ["Character", "Damage", "Edge", "Listener", "edges", "pause"]

#: Level, and how long it holds, in nanoseconds.
Edge = tuple[int, float]


class Damage(Enum):
    """What can be wrong with one character on the line."""

    #: The parity bit is turned over.
    PARITY = auto()
    #: The stop bit is low.
    FRAMING = auto()
    #: A data bit is turned over, and the parity bit with it: nothing but the checksum can tell.
    VALUE = auto()
    #: A spike in a data bit, before its middle: nobody should mind.
    GLITCH = auto()


@dataclass(frozen=True)
class Character:
    """One character that was heard, and when its start bit began and its stop bit had ended, in ns."""

    begin: float
    end: float
    value: int
    parity_right: bool
    stop_right: bool

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.parity_right and self.stop_right


def edges(
    data: Iterable[int],
    bit: float,
    *,
    parity: bool = True,
    jitter: float = 0.0,
    gap: float = 0.0,
    damage: Mapping[int, Damage] | None = None,
    seed: int = 1,
) -> list[Edge]:
    """The levels of a line while `data` is sent, `bit` ns each.

    `jitter`: each edge is early or late by up to this part of a bit. `gap`: idle bits between two characters.
    `damage`: of the characters with these numbers.
    """
    chance = random.Random(seed)
    levels: list[tuple[float, int]] = []  # beginning in bits, level
    at = 0.0
    for number, byte in enumerate(data):
        wrong = (damage or {}).get(number)
        value = byte ^ 0x03 if wrong is Damage.VALUE else byte
        bits = [0, *(value >> n & 1 for n in range(8))]
        # Two data bits turned over leave the parity what it was.
        bits += [value.bit_count() + (wrong is Damage.PARITY) & 1] * parity
        bits += [int(wrong is not Damage.FRAMING)]
        levels += [(at + n, level) for n, level in enumerate(bits)]
        if wrong is Damage.GLITCH:
            levels += [(at + 4.1, 1 - bits[4]), (at + 4.25, bits[4])]
        at += len(bits)
        if wrong is Damage.FRAMING:
            levels.append((at, 1))
            at += 1
        if gap:
            at += gap
    levels.sort()
    merged = [levels[0], *(new for old, new in pairwise(levels) if old[1] != new[1])]
    moved = [(max(when + chance.uniform(-jitter, jitter), 0.0), level) for when, level in merged]
    ends = [when for when, _ in moved[1:]] + [at]
    return [(level, (end - when) * bit) for (when, level), end in zip(moved, ends, strict=True)]


async def pause(nanoseconds: float) -> None:
    """Let time pass; nothing where it is none."""
    if round(nanoseconds) > 0:
        await Timer(round(nanoseconds), "ns")


class Listener:
    """Hears the characters on a signal: `hear` is called in the middle of each stop bit.

    A start bit that is high in its middle is a glitch, and counted.
    """

    def __init__(self, line, bit: float, hear: Callable[[Character], None], *, parity: bool = True) -> None:
        self._line, self._bit, self._hear, self._parity = line, bit, hear, parity
        self.glitches = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await FallingEdge(self._line)
            begin = get_sim_time("ns")
            await pause(self._bit / 2)
            if self._line.value == 1:
                self.glitches += 1
                continue
            bits = []
            for _ in range(9 + self._parity):
                await pause(self._bit)
                bits.append(int(self._line.value))
            self._hear(self._character(begin, bits))

    def _character(self, begin: float, bits: list[int]) -> Character:
        value = sum(bit << n for n, bit in enumerate(bits[:8]))
        right = not self._parity or bits[8] == value.bit_count() & 1
        return Character(begin, begin + (len(bits) + 1) * self._bit, value, right, bits[-1] == 1)
