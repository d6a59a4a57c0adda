"""TCP servers that end with everything that hangs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from meterseal.errors import Failure
from meterseal.io.endpoint import format_endpoint, parse_endpoint

__all__ = ["Handler", "listen"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def listen(endpoint: str, handler: Handler, until: AsyncExitStack, *, line_max: int = 65536) -> str:
    """Serve each connection at `endpoint` with `handler` while `until` is open; returns the true endpoint.

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

    host, port = parse_endpoint(endpoint)
    try:
        server = await asyncio.start_server(connected, host, port, limit=line_max)
    except OSError as error:
        raise Failure(f"cannot listen on {endpoint}: {error.strerror or error}") from None
    until.push_async_callback(close)
    return format_endpoint(host, server.sockets[0].getsockname()[1])
