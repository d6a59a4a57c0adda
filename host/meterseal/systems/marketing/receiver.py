"""The receiver stores metering's events, wakes the channels and traces what was applied."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from meterseal.clock import Clock
from meterseal.domain.event import SealEvent
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols import handover
from meterseal.protocols.handover import Finding, HandoverError
from meterseal.store.applied import Applied
from meterseal.store.trace_events import trace_applied
from meterseal.store.writer import Writer
from meterseal.systems.marketing.delivery import Queue
from meterseal.systems.marketing.intake import refuse, take, take_finding
from meterseal.trace import Trace

__all__ = ["Receiver"]


class Receiver:
    """A process has one receiver; `staff` are the Apprise URLs of the duty staff."""

    def __init__(
        self, writer: Writer, queues: Iterable[Queue], staff: Iterable[str], clock: Clock, trace: Trace
    ) -> None:
        self._writer = writer
        self._queues = tuple(queues)
        self._staff = tuple(staff)
        self._clock = clock
        self._trace = trace

    async def take(self, body: bytes) -> Applied:
        """Store the event or the finding in `body`; returns once it is durable.

        Raises `HandoverError` when the body is neither; it is kept all the same.
        """
        now = self._clock.now()
        self._trace("wire", direction="rx", wire="http", bytes=body.decode("utf-8", "backslashreplace"))
        try:
            received = handover.decode(body)
        except HandoverError as error:
            await self._keep(body, error, now)
            raise
        applied = await self._writer.do(lambda conn: self._enter(conn, received, now))
        for queue in self._queues:
            queue.wake()
        trace_applied(self._trace, applied)
        return applied

    def _enter(self, conn: Connection, received: SealEvent | Finding, now: datetime) -> Applied:
        if isinstance(received, Finding):
            return take_finding(conn, received, self._staff, now)
        return take(conn, received, self._staff, now)

    async def _keep(self, body: bytes, error: HandoverError, now: datetime) -> None:
        await self._writer.do(lambda conn: refuse(conn, body, error, now))
        self._trace("discarded", bytes=hex_digits(body), reason=str(error))
