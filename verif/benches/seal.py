"""One seal chip among its agents: a bus with a meter and a terminal, a flash, a loop and a modem."""

from __future__ import annotations

from collections.abc import Callable

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, Timer, with_timeout
from cocotb.utils import get_sim_time

from meterseal.domain.image import Identity, image
from meterseal.protocols.dlt645.frame import Frame
from verif.agents.gsm_modem import GsmModem
from verif.agents.loop import SEALED, AnalogueLoop
from verif.agents.rs485 import Bus, BusMonitor, Driver
from verif.agents.scoreboard import ReceivedFrame, Scoreboard
from verif.agents.spi_flash import SpiFlash
from verif.agents.uart import Character
from verif.models.analogue import Loop, Parts
from verif.models.gsm_module import Module

__all__ = ["BAUD", "CLOCK_HZ", "IDENTITY", "Bench"]

CLOCK_HZ, BAUD = 307_200, 19_200
IDENTITY = Identity("810400000001", "GD-FY-000001", "440100000001", key=bytes(range(16)), baud=BAUD)
#: Seconds: from power-up to the end of the first report, and from a change of the loop to that of its report.
FIRST_REPORT, REPORT = 1.1, 0.25


class Bench:
    """Connects `dut` to its surroundings; the chip runs from `power_up` on.

    The meter acknowledges each write after 25 ms while `acknowledges` is true.
    """

    def __init__(
        self,
        dut,
        *,
        identity: Identity = IDENTITY,
        content: bytes | None = None,
        loop: Loop = SEALED,
        parts: Parts | None = None,
        measures: bool = False,
        module: Module | None = None,
        seed: int = 1,
    ) -> None:
        self.dut = dut
        self.scoreboard = Scoreboard(identity)
        self.bus = Bus(dut, seed)
        self.monitor = BusMonitor(dut, identity.baud, self._character, lambda: self._heard.set())
        self.meter = Driver(self.bus, identity.baud)
        self.terminal = Driver(self.bus, identity.baud)
        self.flash = SpiFlash(dut, content or image(identity), seed=seed)
        self.loop = AnalogueLoop(dut, CLOCK_HZ, measures=measures, parts=parts, seed=seed)
        self.loop.become(loop)
        self.modem = GsmModem(dut, module or Module())
        self.acknowledges = True
        self._heard = Event()

    async def power_up(self) -> None:
        """Start the clock, some cycles of reset, and all agents."""
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, 2 * round(5e8 / CLOCK_HZ), unit="ns").start())
        await ClockCycles(self.dut.clk, 4)
        for agent in (self.bus, self.monitor, self.flash, self.loop, self.modem):
            cocotb.start_soon(agent.run())
        self.dut.rst.value = 0

    async def until(self, happened: Callable[[], bool], seconds: float) -> None:
        """Wait until something `happened` on the bus, and fail if it does not within so many seconds."""
        end = get_sim_time("ns") + seconds * 1e9
        while not happened():
            self._heard.clear()
            await with_timeout(self._heard.wait(), max(round(end - get_sim_time("ns")), 1), "ns")

    async def quiet(self, seconds: float) -> None:
        """Wait, and check that the chip does not drive the bus for so many seconds."""
        before = len(self.monitor.drives)
        await Timer(round(seconds * 1e9), "ns")
        assert len(self.monitor.drives) == before, "the chip has transmitted"
        assert self.dut.rs485_de.value == 0

    async def reports(self, number: int, seconds: float) -> None:
        """Wait until so many events in all have been reported, and the last one acknowledged."""
        await self.until(lambda: len(self.scoreboard.records()) >= number, seconds)
        if self.acknowledges:
            await self.until(lambda: not self.scoreboard.frames[-1].own, 0.1)

    async def ask(self, request: Frame) -> ReceivedFrame:
        """Send a request as the terminal and return the chip's answer."""
        await self.terminal.send(request.encode())
        return await self.answer()

    async def answer(self) -> ReceivedFrame:
        """Return the frame that the chip sends next."""
        before = len(self.monitor.drives)
        await self.until(lambda: len(self.monitor.drives) > before, 0.15)
        assert self.scoreboard.frames[-1].own
        return self.scoreboard.frames[-1]

    def check(self, *, aborted: int = 0) -> None:
        """Check that no pin violated a rule, and that all but `aborted` frames of the chip were whole."""
        assert self.monitor.faults == []
        assert self.flash.faults == []
        assert self.modem.faults == []
        assert sum(not self.monitor.whole(drive) for drive in self.monitor.drives) == aborted
        assert aborted or not any(own for own, _ in self.scoreboard.garbage)

    def _character(self, character: Character, own: bool) -> None:
        heard = self.scoreboard.character(character, own)
        if heard:
            self._heard.set()
            if heard.own and heard.frame.control == 0x14 and self.acknowledges:
                cocotb.start_soon(self._acknowledge(heard.frame.address))

    async def _acknowledge(self, address: str) -> None:
        await Timer(25, "ms")
        await self.meter.send(Frame(address, 0x94).encode())
