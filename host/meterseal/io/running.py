"""Every link of the chain runs until a signal stops it, and then ends without an error."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

__all__ = ["until_signal"]


async def until_signal(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` until it ends, fails, or SIGINT or SIGTERM cancels it."""
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait({task})
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        task.cancel()
    if not task.cancelled():
        task.result()
