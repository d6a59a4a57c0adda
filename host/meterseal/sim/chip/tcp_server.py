"""Implements TCP servers that close together with all of their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from meterseal.io.endpoint import bound_to, open_listener

__all__ = ["Handler", "listen"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def listen(endpoint: str, handler: Handler, until: AsyncExitStack, *, line_max: int = 65536) -> str:
    """Serve each connection at `endpoint` with `handler` while `until` is open; return the actual endpoint.

    `Failure` when the endpoint cannot be used.
    """
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handler(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    async def close() -> None:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    listener = open_listener(endpoint)
    server = await asyncio.start_server(connected, sock=listener, limit=line_max)
    until.push_async_callback(close)
    return bound_to(listener)
