"""Commands to the simulated chip's control port: one JSON line in each direction."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from meterseal.errors import Failure

__all__ = ["command"]

_WITHIN = 10.0


async def command(endpoint: tuple[str, int], **request: object) -> dict[str, Any]:
    """Send one command and return its answer; `Failure` when it is refused or not answered."""
    try:
        async with asyncio.timeout(_WITHIN):
            reader, writer = await asyncio.open_connection(*endpoint)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                raw = await reader.readline()
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        raise Failure(f"the simulated chip's control port {endpoint[0]}:{endpoint[1]}: {error}") from None
    answer: dict[str, Any] = json.loads(raw) if raw else {"ok": False, "error": "no answer"}
    if not answer.get("ok"):
        raise Failure(f"the simulated chip refused {json.dumps(request)}: {answer.get('error')}")
    return answer
