"""The seal loop in volts and ohms, with its attacks: head, plates, divider, capacitor and comparator.

Resistances and divider are those of `docs/architecture.md`, static voltages those of `verif.models.analogue`.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

import cocotb
from cocotb.triggers import Event, FallingEdge, First, Timer, ValueChange
from cocotb.utils import get_sim_time

from sealchip.interface import SEALED_MV
from verif.models.analogue import Capacitor, Loop, Parts

__all__ = ["CORRODED", "FOREIGN", "JUMPER", "PULLED", "SEALED", "AnalogueLoop"]

SEALED = Loop()
PULLED = replace(SEALED, head_ohm=math.inf)
JUMPER = replace(SEALED, head_ohm=0.0)
#: Contacts of some kiloohms.
CORRODED = replace(SEALED, head_ohm=10_000.0)
#: The head is pulled, and a battery with its own resistor takes its place.
FOREIGN = replace(PULLED, foreign_mv=SEALED_MV, foreign_ohm=100.0)

#: Time constant at the comparator: 1 nF with the parallel resistance of divider and loop.
TAU_NS = 20_000.0
THRESHOLD_MV = 2500.0


class AnalogueLoop:
    """Drives `loop_cmp` from `loop_drive` and, if the comparator `measures`, from `loop_fb`.

    `moved` has the time (ns) of each change of the loop and its new state, for the scoreboard.
    """

    def __init__(self, dut, hz: float, *, measures: bool, parts: Parts | None = None, seed: int = 1) -> None:
        self._dut, self._parts, self._measures = dut, parts or Parts(), measures
        self._capacitor = Capacitor(hz, self._parts, seed=seed)
        self._chance = random.Random(seed)
        self._changed = Event()
        self._mv, self._at, self._level = 0.0, 0.0, 0
        self.loop = PULLED
        self.moved: list[tuple[float, Loop]] = []
        dut.loop_cmp.value = 0

    def become(self, loop: Loop) -> None:
        """Change the loop."""
        self._mv, self._at = self.mv(), get_sim_time("ns")
        self.loop = loop
        self.moved.append((self._at, loop))
        self._changed.set()

    async def bounce(self, loop: Loop, milliseconds: float, contacts: int) -> None:
        """Change the loop with a contact that opens and closes at random first."""
        before = self.loop
        times = sorted(self._chance.uniform(0, milliseconds) for _ in range(2 * contacts))
        now = 0.0
        for number, when in enumerate(times):
            self.become(before if number % 2 else loop)
            await Timer(max(round((when - now) * 1e6), 1), "ns")
            now = when
        self.become(loop)

    def mv(self) -> float:
        """Return the present voltage."""
        target = self.loop.mv(self._level)
        return target + (self._mv - target) * math.exp((self._at - get_sim_time("ns")) / TAU_NS)

    async def run(self) -> None:
        """Run until cancelled."""
        self._level = int(self._dut.loop_drive.value)
        drive = cocotb.start_soon(self._follow_drive())
        try:
            await (self._convert() if self._measures else self._compare())
        finally:
            drive.cancel()

    async def _follow_drive(self) -> None:
        """Continue from the present voltage when the drive changes."""
        while True:
            await ValueChange(self._dut.loop_drive)
            self._mv, self._at = self.mv(), get_sim_time("ns")
            self._level = int(self._dut.loop_drive.value)
            self._changed.set()

    async def _convert(self) -> None:
        """Work cycle by cycle: the modulator's comparator changes in nearly every one."""
        while True:
            await FallingEdge(self._dut.clk)
            self._capacitor.follow(int(self._dut.loop_fb.value))
            self._dut.loop_cmp.value = self._capacitor.compare(self.mv())

    async def _compare(self) -> None:
        """Compare with a fixed threshold: change when the voltage crosses it, chatter when it stays near."""
        while True:
            self._changed.clear()
            target, now = self.loop.mv(self._level), self.mv()
            noise = self._chance.gauss(self._parts.offset_mv, self._parts.noise_mv)
            threshold = THRESHOLD_MV - noise
            self._dut.loop_cmp.value = int(now > threshold)
            chatters = abs(target - THRESHOLD_MV + self._parts.offset_mv) < 4 * self._parts.noise_mv
            if (now > threshold) != (target > threshold):
                wait = TAU_NS * math.log((now - target) / (threshold - target)) + 1
                await First(self._changed.wait(), Timer(max(round(wait), 1), "ns"))
            elif chatters:
                await First(self._changed.wait(), Timer(20, "us"))
            else:
                await self._changed.wait()
