"""The six processes of the chain: started, watched, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

from meterseal.errors import Failure
from meterseal.tools.demo.observe import Observation, Observer
from meterseal.tools.demo.plan import LINKS, Plan

__all__ = ["Chain", "Watcher"]

#: Called with (link, one line of its trace).
Watcher = Callable[[str, dict[str, Any]], None]

#: Groups of links that start together; the second group opens ports of the first.
START_ORDER = (("chip", "customer", "metering"), ("marketing", "meter", "terminal"))
_READY_WITHIN, _STOP_WITHIN = 60.0, 10.0
#: Longest line of a trace in bytes; a wire line may hold some kilobytes in hex.
_LINE_MAX = 1 << 20


class _Link:
    """One process and the last lines of its stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.complaints: deque[str] = deque(maxlen=200)
        self.readers: list[asyncio.Task[None]] = []
        self.unwanted_end = True


class Chain:
    """Runs the commands of a plan, as an async context manager that ends every process at its exit."""

    def __init__(self, plan: Plan, watch: Watcher) -> None:
        self.plan = plan
        self._watch = watch
        self._observer = Observer(plan)
        self._links: dict[str, _Link] = {}

    async def __aenter__(self) -> Chain:
        return self

    async def __aexit__(self, *_: object) -> None:
        # First the readers, so that each owner is the last to close its store and tidies it up.
        self._observer.close()
        await self.stop()

    async def start(self) -> None:
        """Start all links; `Failure` names one that does not become ready."""
        for together in START_ORDER:
            await asyncio.gather(*map(self.start_link, together))

    async def start_link(self, name: str) -> None:
        """Start one link and wait until it is ready."""
        process = await asyncio.create_subprocess_exec(
            *self.plan.argv(name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_MAX,
            # A Ctrl-C reaches the demo alone, which ends the links in order.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        link = self._links[name] = _Link(process)
        link.readers = [
            asyncio.create_task(self._read_trace(name, link)),
            asyncio.create_task(self._read_complaints(link)),
        ]
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(link.ready.wait())
        await asyncio.wait({ended, ready}, timeout=_READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        is_ready = link.ready.is_set()
        for task in (ended, ready):
            task.cancel()
        if not is_ready:
            self.check()
            raise Failure(f"{name} was not ready within {_READY_WITHIN:.0f} s: {self.plan.shown(name)}")

    def observe(self) -> Observation:
        """Return what the stores of all links contain now."""
        return self._observer.look()

    def check(self) -> None:
        """Raise `Failure` when a link has ended unexpectedly."""
        for name, link in self._links.items():
            code = link.process.returncode
            if code is not None and link.unwanted_end:
                last = link.complaints[-1] if link.complaints else "nothing on stderr"
                raise Failure(f"{name} ended with exit code {code}: {last}")

    async def kill(self, name: str) -> None:
        """Send SIGKILL, so that the link cannot save anything."""
        link = self._links[name]
        link.unwanted_end = False
        with contextlib.suppress(ProcessLookupError):
            link.process.kill()
        await self._ended(link)

    async def stop(self) -> None:
        """End all links, the last of the chain first, and give each time to finish its work.

        Their trace lines about each other's end are not passed on.
        """
        self._watch = _unwatched
        for name in reversed(LINKS):
            link = self._links.get(name)
            if link is None:
                continue
            link.unwanted_end = False
            if link.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    link.process.send_signal(signal.SIGTERM)
        for link in self._links.values():
            try:
                await asyncio.wait_for(self._ended(link), _STOP_WITHIN)
            except TimeoutError:
                link.process.kill()
                await self._ended(link)

    async def _ended(self, link: _Link) -> None:
        await link.process.wait()
        await asyncio.gather(*link.readers)

    async def _read_trace(self, name: str, link: _Link) -> None:
        assert link.process.stdout is not None
        async for raw in link.process.stdout:
            line = json.loads(raw)
            if line["what"] == "ready":
                link.ready.set()
            self._watch(name, line)

    async def _read_complaints(self, link: _Link) -> None:
        assert link.process.stderr is not None
        async for raw in link.process.stderr:
            link.complaints.append(raw.decode(errors="replace").strip())


def _unwatched(link: str, line: dict[str, Any]) -> None:
    """Discard a trace line."""
