"""Convert characters to line levels and back: a start bit, eight bits, even parity or none, a stop bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from cocotb.triggers import FallingEdge, Timer
from cocotb.utils import get_sim_time

__all__ = ["Character", "Damage", "Edge", "Listener", "edges", "pause"]

#: A level and its duration in nanoseconds.
Edge = tuple[int, float]


class Damage(Enum):
    """Damage to one character on the line."""

    #: The parity bit is inverted.
    PARITY = auto()
    #: The stop bit is low.
    FRAMING = auto()
    #: Two data bits are inverted, so the parity stays right: only the checksum can detect it.
    VALUE = auto()
    #: A spike in a data bit, before its middle, which a receiver ignores.
    GLITCH = auto()


@dataclass(frozen=True)
class Character:
    """A received character, with the times (ns) at which its start bit began and its stop bit ended."""

    begin: float
    end: float
    value: int
    parity_right: bool
    stop_right: bool

    @property
    def good(self) -> bool:
        """Whether parity and stop bit are right."""
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
    """Return the levels of a line while `data` is sent; a bit takes `bit` ns.

    Each edge is early or late by up to the fraction `jitter` of a bit. `gap` is the number of idle bits
    between two characters. `damage` maps numbers of characters to their damage.
    """
    chance = random.Random(seed)
    levels: list[tuple[float, int]] = []  # beginning in bits, level
    at = 0.0
    for number, byte in enumerate(data):
        wrong = (damage or {}).get(number)
        value = byte ^ 0x03 if wrong is Damage.VALUE else byte
        bits = [0, *(value >> n & 1 for n in range(8))]
        # Two inverted data bits leave the parity unchanged.
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
    """Let time pass, if it is any at all."""
    if round(nanoseconds) > 0:
        await Timer(round(nanoseconds), "ns")


class Listener:
    """Receives the characters on a signal; `receive` is called in the middle of each stop bit.

    A start bit that is high in its middle is counted as a glitch.
    """

    def __init__(
        self, line, bit: float, receive: Callable[[Character], None], *, parity: bool = True
    ) -> None:
        self._line, self._bit, self._receive, self._parity = line, bit, receive, parity
        self.glitches = 0

    async def run(self) -> None:
        """Run until cancelled."""
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
            self._receive(self._character(begin, bits))

    def _character(self, begin: float, bits: list[int]) -> Character:
        value = sum(bit << n for n, bit in enumerate(bits[:8]))
        right = not self._parity or bits[8] == value.bit_count() & 1
        return Character(begin, begin + (len(bits) + 1) * self._bit, value, right, bits[-1] == 1)
