"""Host ends of the bus: bytes between the simulation and the programs that are connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from meterseal.io.pty import PtyEnd
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.rig import Tell

__all__ = ["CONNECTIONS_MAX", "NAMES", "HostPorts"]

#: TCP connections at a time.
CONNECTIONS_MAX = 16
#: Of the ends, in the bus's order.
NAMES = ("pty", *(f"tcp{number}" for number in range(1, CONNECTIONS_MAX + 1)))
#: Bytes that a TCP client may leave unread.
UNREAD_MAX = 65536
_CHUNK = 4096
#: Seconds between two tries to find room at an end.
_RETRY = 0.010

_Sink = Callable[[bytes], Awaitable[None]]


class HostPorts:
    """End 0 is the PTY, each TCP connection gets one of the others.

    What programs write waits with them, not here, until the end has room. What they hear comes with
    `deliver`, to be called after each step of the simulation.
    """

    def __init__(self, bus: BusSim, tell: Tell) -> None:
        self._bus = bus
        self._tell = tell
        self._sinks: dict[int, _Sink] = {}

    async def deliver(self) -> None:
        """Hand out what the ends have heard."""
        for end, sink in list(self._sinks.items()):
            if heard := self._bus.read(end):
                await sink(heard)

    async def serve_pty(self, pty: PtyEnd) -> None:
        """Carry the PTY's bytes until cancelled."""

        async def sink(heard: bytes) -> None:
            await pty.write(heard)

        self._open(0, sink)
        while True:
            await self._send(0, await pty.read())

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes until it ends."""
        end = self._free()
        if end is None:
            self._tell("lost", connection="tcp", reason=f"{CONNECTIONS_MAX} connections are open already")
            writer.close()
            return

        async def sink(heard: bytes) -> None:
            if writer.transport.get_write_buffer_size() > UNREAD_MAX:
                self._tell("lost", connection=NAMES[end], reason=f"left {UNREAD_MAX} bytes unread")
                writer.transport.abort()
            else:
                writer.write(heard)

        self._open(end, sink)
        self._tell("connected", connection=NAMES[end])
        try:
            while data := await reader.read(_CHUNK):
                await self._send(end, data)
        except OSError as error:
            self._tell("lost", connection=NAMES[end], reason=str(error))
        finally:
            del self._sinks[end]
            self._bus.close_end(end)
            writer.close()

    def _open(self, end: int, sink: _Sink) -> None:
        self._bus.open(end)
        self._sinks[end] = sink

    def _free(self) -> int | None:
        """An end that nobody uses and that has sent everything its last user gave it."""
        for end in range(1, self._bus.ends):
            if end not in self._sinks and not self._bus.end(end).driving and not self._bus.end(end).queued:
                return end
        return None

    async def _send(self, end: int, data: bytes) -> None:
        while data := data[self._bus.write(end, data) :]:
            await asyncio.sleep(_RETRY)
