"""The GSM ports of the simulated chips, each connected to a modem."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from meterseal.io.ports import Line
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.rig import Emit

__all__ = ["Modems"]

#: Seconds between two tries to find room at a port.
_RETRY = 0.010


class Modems:
    """Connects chip 0 to the modem at the first endpoint, and so on: a PTY, a device, or HOST:PORT.

    A modem that is absent receives nothing, like one without power, and opening its port is retried. Bytes
    from the chips are handed out by `deliver`, to be called after each step of the simulation.
    Tests: `verif/host/sim/chip/test_bus_gsm.py`.
    """

    def __init__(self, bus: BusSim, endpoints: Sequence[str], emit: Emit) -> None:
        self._bus = bus
        self._lines = [Line(_url(endpoint), trace=emit, baud=9600) for endpoint in endpoints]
        for chip in range(len(self._lines)):
            bus.open_gsm(chip)

    async def deliver(self) -> None:
        """Hand out what the chips have transmitted."""
        for chip, line in enumerate(self._lines):
            if data := self._bus.read_gsm(chip):
                await line.write(data)

    async def serve(self) -> None:
        """Carry what the modems transmit until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for chip, line in enumerate(self._lines):
                    tasks.create_task(self._carry(chip, line))
        finally:
            for line in self._lines:
                line.close()

    async def _carry(self, chip: int, line: Line) -> None:
        while True:
            data = await line.read()
            while data := data[self._bus.write_gsm(chip, data) :]:
                await asyncio.sleep(_RETRY)


def _url(endpoint: str) -> str:
    """Return HOST:PORT as a socket URL; anything with a slash is a path or a URL already."""
    return endpoint if "/" in endpoint or ":" not in endpoint else f"socket://{endpoint}"
