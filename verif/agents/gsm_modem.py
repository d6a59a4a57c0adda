"""A GSM modem on the chip's serial pins: characters and their timing; `verif.models.gsm_module` answers.

The model echoes, sends unsolicited lines, refuses, stays silent, restarts and takes texts in UCS-2.
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
    """Connects `module` at 8N1, 9600 baud; its bits are longer by the fraction `slow`.

    `faults` has the damaged characters, `module.messages` the messages that the phone received.
    """

    def __init__(self, dut, module: Module, *, slow: float = 0.0) -> None:
        self._dut, self._bit = dut, 1e9 / BAUD * (1 + slow)
        self.module = module
        self.faults: list[Character] = []
        self._listener = Listener(dut.gsm_txd, 1e9 / BAUD, self._receive, parity=False)
        self._answered = Event()
        dut.gsm_rxd.value = 1

    async def run(self) -> None:
        """Run until cancelled."""
        listener = cocotb.start_soon(self._listener.run())
        try:
            while True:
                await self._answered.wait()
                self._answered.clear()
                await pause(ANSWERS_AFTER)
                while self.module.output:
                    await self._send(self.module.output.pop(0))
        finally:
            listener.cancel()

    async def brown_out(self, milliseconds: float) -> None:
        """Take supply and line away for so long, and restart the module."""
        self.module.restart()
        self._dut.gsm_rxd.value = 0
        await pause(milliseconds * 1e6)
        self._dut.gsm_rxd.value = 1

    def _receive(self, character: Character) -> None:
        if not character.good:
            self.faults.append(character)
            return
        self.module.receive(character.value)
        self._answered.set()

    async def _send(self, byte: int) -> None:
        for level, nanoseconds in edges([byte], self._bit, parity=False):
            self._dut.gsm_rxd.value = level
            await pause(nanoseconds)
