"""An RS485 bus with the chip's transceiver on it: its level, its drivers, and violations of the rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, ValueChange
from cocotb.utils import get_sim_time

from verif.agents.uart import Character, Damage, Listener, edges, pause

__all__ = ["Bus", "BusMonitor", "Drive", "Driver"]


class Bus:
    """The level of the bus, which is the same at every receiver.

    The bias keeps an undriven bus idle; two drivers that disagree give a random level. `disturbed` has the
    times (ns), begin and end, in which the chip received something else than it sent.
    """

    def __init__(self, dut, seed: int = 1) -> None:
        self._dut, self._chance = dut, random.Random(seed)
        self._others: dict[object, int] = {}
        self.disturbed: list[tuple[float, float]] = []
        self._since: float | None = None
        dut.rs485_ro.value = 1

    def put(self, who: object, level: int | None) -> None:
        """Let `who` drive `level`, or release the bus."""
        if level is None:
            self._others.pop(who, None)
        else:
            self._others[who] = level
        self._settle()

    async def run(self) -> None:
        """Follow the chip's driver until cancelled."""
        driver = cocotb.start_soon(self._follow(self._dut.rs485_de))
        try:
            await self._follow(self._dut.rs485_di)
        finally:
            driver.cancel()

    async def _follow(self, signal) -> None:
        while True:
            await ValueChange(signal)
            self._settle()

    def _settle(self) -> None:
        levels = set(self._others.values())
        own = int(self._dut.rs485_di.value) if self._dut.rs485_de.value == 1 else None
        if own is not None:
            levels.add(own)
        level = self._chance.choice(sorted(levels)) if levels else 1
        self._dut.rs485_ro.value = level
        if own in (None, level):
            if self._since is not None:
                self.disturbed.append((self._since, get_sim_time("ns")))
            self._since = None
        elif self._since is None:
            self._since = get_sim_time("ns")


class Driver:
    """Another transceiver on the bus. Its bits are longer by the fraction `slow`, or shorter if negative."""

    def __init__(self, bus: Bus, baud: int, *, slow: float = 0.0, jitter: float = 0.0) -> None:
        self._bus, self._bit, self._jitter = bus, 1e9 / baud * (1 + slow), jitter

    async def send(self, data: bytes, *, gap: float = 0.0, damage: dict[int, Damage] | None = None) -> None:
        """Drive the bus for exactly these characters; `gap` and `damage` as in `agents.uart.edges`."""
        for level, nanoseconds in edges(data, self._bit, jitter=self._jitter, gap=gap, damage=damage):
            await self.hold(level, nanoseconds)
        self._bus.put(self, None)

    async def low(self, bits: float) -> None:
        """Drive the bus low: a glitch if shorter than half a bit, a break if longer than a character."""
        await self.hold(0, bits * self._bit)
        self._bus.put(self, None)

    async def hold(self, level: int, nanoseconds: float) -> None:
        """Drive one level for a time and leave the driver on."""
        self._bus.put(self, level)
        await pause(nanoseconds)


@dataclass(frozen=True)
class Drive:
    """A time, in ns, in which the chip's driver was on, and the characters that began in it."""

    begin: float
    end: float
    characters: tuple[Character, ...]


class BusMonitor:
    """Monitors all characters on the bus, and how the chip uses its driver.

    `receive` is called for each character, with whether the chip's driver was on at its beginning; `released`
    is called when the driver goes off. `drives` has each time that it was on. `faults` has the violations:
    `rs485_di` falling while the driver is off or in its first half bit.
    """

    def __init__(
        self, dut, baud: int, receive: Callable[[Character, bool], None], released: Callable[[], None]
    ) -> None:
        self._dut, self._receive, self._released, self._bit = dut, receive, released, 1e9 / baud
        self.listener = Listener(dut.rs485_ro, self._bit, self._character)
        self.drives: list[Drive] = []
        self.faults: list[str] = []
        self._begin: float | None = None
        self._sent: list[Character] = []

    async def run(self) -> None:
        """Run until cancelled."""
        tasks = [cocotb.start_soon(watch()) for watch in (self.listener.run, self._watch_input)]
        try:
            await self._watch_enable()
        finally:
            for task in tasks:
                task.cancel()

    def whole(self, drive: Drive) -> bool:
        """Return whether a drive is one frame: half a bit to a bit idle, then characters without a gap."""
        times = [(each.begin, each.end) for each in drive.characters]
        if not times or not all(each.good for each in drive.characters):
            return False
        gaps = [begin - end for (_, end), (begin, _) in pairwise(times)]
        tenth = self._bit / 10
        return (
            self._bit / 2 - tenth <= times[0][0] - drive.begin <= self._bit + tenth
            and all(abs(gap) <= tenth for gap in gaps)
            and -tenth <= drive.end - times[-1][1] <= self._bit
        )

    def _character(self, character: Character) -> None:
        own = self._begin is not None and character.begin >= self._begin
        if own:
            self._sent.append(character)
        self._receive(character, own)

    async def _watch_enable(self) -> None:
        while True:
            await RisingEdge(self._dut.rs485_de)
            self._begin, self._sent = get_sim_time("ns"), []
            await FallingEdge(self._dut.rs485_de)
            self.drives.append(Drive(self._begin, get_sim_time("ns"), tuple(self._sent)))
            self._begin = None
            self._released()

    async def _watch_input(self) -> None:
        while True:
            await FallingEdge(self._dut.rs485_di)
            now = get_sim_time("ns")
            if self._begin is None or now - self._begin < self._bit * 0.4:
                self.faults.append(f"rs485_di falls at {now:.0f} ns without an enabled driver")
