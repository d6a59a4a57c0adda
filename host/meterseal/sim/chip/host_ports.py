"""Ports of the host ends: bytes between the simulated bus and the programs connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from meterseal.io.pty import PtyEnd
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.rig import Emit

__all__ = ["CONNECTIONS_MAX", "NAMES", "HostPorts"]

#: Most TCP connections at a time.
CONNECTIONS_MAX = 16
#: Names of the ends, in the order of the bus.
NAMES = ("pty", *(f"tcp{number}" for number in range(1, CONNECTIONS_MAX + 1)))
#: Most bytes that a TCP client may leave unread.
UNREAD_MAX = 65536
_CHUNK = 4096
#: Seconds between two tries to find room at an end.
_RETRY = 0.010

_Sink = Callable[[bytes], Awaitable[None]]


class HostPorts:
    """Connects the PTY to end 0, and each TCP connection to one of the other ends.

    A program whose end has no room blocks: nothing is buffered here. Bytes from the bus are handed out by
    `deliver`, to be called after each step of the simulation.
    """

    def __init__(self, bus: BusSim, emit: Emit) -> None:
        self._bus = bus
        self._emit = emit
        self._sinks: dict[int, _Sink] = {}

    async def deliver(self) -> None:
        """Hand out what the ends have received."""
        for end, sink in list(self._sinks.items()):
            if data := self._bus.read(end):
                await sink(data)

    async def serve_pty(self, pty: PtyEnd) -> None:
        """Carry the PTY's bytes until cancelled."""

        async def sink(data: bytes) -> None:
            await pty.write(data)

        self._open(0, sink)
        while True:
            await self._send(0, await pty.read())

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes until it ends."""
        end = self._free()
        if end is None:
            self._emit("lost", connection="tcp", reason=f"{CONNECTIONS_MAX} connections are open already")
            writer.close()
            return

        async def sink(data: bytes) -> None:
            if writer.transport.get_write_buffer_size() > UNREAD_MAX:
                self._emit("lost", connection=NAMES[end], reason=f"left {UNREAD_MAX} bytes unread")
                writer.transport.abort()
            else:
                writer.write(data)

        self._open(end, sink)
        self._emit("connected", connection=NAMES[end])
        try:
            while data := await reader.read(_CHUNK):
                await self._send(end, data)
        except OSError as error:
            self._emit("lost", connection=NAMES[end], reason=str(error))
        finally:
            del self._sinks[end]
            self._bus.close_end(end)
            writer.close()

    def _open(self, end: int, sink: _Sink) -> None:
        self._bus.open(end)
        self._sinks[end] = sink

    def _free(self) -> int | None:
        """Return an unused end that has transmitted everything its last user queued; None without one."""
        for end in range(1, self._bus.ends):
            if end not in self._sinks and not self._bus.end(end).driving and not self._bus.end(end).queued:
                return end
        return None

    async def _send(self, end: int, data: bytes) -> None:
        while data := data[self._bus.write(end, data) :]:
            await asyncio.sleep(_RETRY)
