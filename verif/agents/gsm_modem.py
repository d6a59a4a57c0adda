"""A GSM modem on the chip's serial pins: characters and their time; what it says is `chip.gsm_module`'s.

That one echoes, speaks unasked, refuses, keeps silent, restarts and takes texts in UCS-2, as it is told to.
"""

from __future__ import annotations

import cocotb
from cocotb.triggers import Event

from verif.agents.uart import Character, Listener, edges, pause
from verif.models.gsm_module import Manner, Module, Received

__all__ = ["GsmModem", "Manner", "Received"]

BAUD = 9600
#: Nanoseconds before a modem answers.
ANSWERS_AFTER = 2e6


class GsmModem:
    """`module` at 8N1, 9600 baud; `slow`: its bits are longer by this part.

    Monitor: `faults` has what was no character; `module.messages` what the phone received.
    """

    def __init__(self, dut, module: Module, *, slow: float = 0.0) -> None:
        self._dut, self._bit = dut, 1e9 / BAUD * (1 + slow)
        self.module = module
        self.faults: list[Character] = []
        self._listener = Listener(dut.gsm_txd, 1e9 / BAUD, self._hear, parity=False)
        self._said = Event()
        dut.gsm_rxd.value = 1

    async def run(self) -> None:
        """Until cancelled."""
        listener = cocotb.start_soon(self._listener.run())
        try:
            while True:
                await self._said.wait()
                self._said.clear()
                await pause(ANSWERS_AFTER)
                while self.module.output:
                    await self._say(self.module.output.pop(0))
        finally:
            listener.cancel()

    async def brown_out(self, milliseconds: float) -> None:
        """Supply and line are gone for so long; then the module begins anew."""
        self.module.restart()
        self._dut.gsm_rxd.value = 0
        await pause(milliseconds * 1e6)
        self._dut.gsm_rxd.value = 1

    def _hear(self, character: Character) -> None:
        if not character.good:
            self.faults.append(character)
            return
        self.module.receive(character.value)
        self._said.set()

    async def _say(self, byte: int) -> None:
        for level, nanoseconds in edges([byte], self._bit, parity=False):
            self._dut.gsm_rxd.value = level
            await pause(nanoseconds)
