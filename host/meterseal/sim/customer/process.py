"""The process of the customer: modems, each on a PTY, connected to one network with its phones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from meterseal.clock import Clock, SystemClock
from meterseal.io.pty import PtyEnd
from meterseal.protocols.gsm.at import printable
from meterseal.protocols.gsm.pdu import DUPLICATE
from meterseal.sim.customer.misbehaviour import Misbehaviour
from meterseal.sim.customer.modem import Answer, Modem, Submitted
from meterseal.sim.customer.network import submit
from meterseal.store.database import Database
from meterseal.trace import Trace

__all__ = ["run"]

#: +CMS ERROR: unknown error.
UNKNOWN_ERROR = 500


class Customer:
    """Carries bytes between PTY, modem and network; `sender` identifies the modem in the network."""

    def __init__(
        self, sender: str, store: Database, trace: Trace, clock: Clock, misbehaviour: Misbehaviour
    ) -> None:
        self._sender = sender
        self._store = store
        self._trace = trace
        self._clock = clock
        self._misbehaviour = misbehaviour
        self._modem = Modem(echo=misbehaviour.echo, unsolicited=misbehaviour.unsolicited)
        self._count = 0

    async def serve(self, pty: PtyEnd) -> None:
        """Answer the host until cancelled."""
        while True:
            data = await pty.read()
            self._trace("wire", direction="rx", wire="at", bytes=printable(data))
            events = self._modem.receive(data)
            while events:
                event = events.pop(0)
                if isinstance(event, Answer):
                    self._trace("wire", direction="tx", wire="at", bytes=printable(event.raw))
                    await pty.write(event.raw)
                else:
                    events += await self._submitted(event)

    async def _submitted(self, event: Submitted) -> list[Answer | Submitted]:
        self._count += 1
        if _is_nth(self._count, self._misbehaviour.fail_every):
            return self._modem.refused(UNKNOWN_ERROR)
        accepted, received = submit(self._store, event.message, self._clock.now(), sender=self._sender)
        if received is not None:
            self._trace("message", number=received.number, text=received.text)
        await asyncio.sleep(self._misbehaviour.slow)
        if _is_nth(self._count, self._misbehaviour.silent_every):
            return self._modem.silent()
        return self._modem.accepted(event.message.reference) if accepted else self._modem.refused(DUPLICATE)


async def run(paths: Sequence[str], store: Database, *, trace: Trace, misbehaviour: Misbehaviour) -> None:
    """Offer a modem at each of `paths` until cancelled; each counts its `misbehaviour` separately."""
    with ExitStack() as ptys:
        async with asyncio.TaskGroup() as tasks:
            for path in paths:
                pty = ptys.enter_context(PtyEnd(path))
                trace("ready", pty=pty.path)
                customer = Customer(pty.path, store, trace, SystemClock(), misbehaviour)
                tasks.create_task(customer.serve(pty))


def _is_nth(count: int, every: int) -> bool:
    return every > 0 and count % every == 0
