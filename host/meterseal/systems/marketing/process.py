"""The marketing process runs HTTP server, SMS sender and Apprise sender on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastapi import FastAPI

from meterseal.clock import SystemClock
from meterseal.io.endpoint import bound_to, open_listener
from meterseal.io.http import serve_http
from meterseal.store.database import Database
from meterseal.store.writer import Writer
from meterseal.systems.marketing import apprise_channel, messages
from meterseal.systems.marketing.api import events_in, json_out
from meterseal.systems.marketing.customers import Customer
from meterseal.systems.marketing.delivery import Queue
from meterseal.systems.marketing.intake import load_customers
from meterseal.systems.marketing.pages import pages
from meterseal.systems.marketing.receiver import Receiver
from meterseal.systems.marketing.sms import SmsSender
from meterseal.systems.marketing.sms_timing import SmsTiming
from meterseal.trace import Trace

__all__ = ["run"]


async def run(
    http: str,
    database: Database,
    customers: Iterable[Customer],
    *,
    staff: Iterable[str],
    sms_port: str | None,
    wait: float,
    timing: SmsTiming,
    trace: Trace,
) -> None:
    """Serve until cancelled. Without an SMS port the SMS wait in the store for a start with one."""
    clock = SystemClock()
    writer = Writer(database)
    queues = {topic: Queue(topic, database, writer, clock) for topic in (messages.SMS, messages.APPRISE)}
    sms = sms_port and SmsSender(sms_port, queues[messages.SMS], clock=clock, trace=trace, timing=timing)
    with database.transaction() as conn:
        load_customers(conn, customers, clock.now())

    app = FastAPI(title="meterseal marketing")
    app.include_router(events_in(Receiver(writer, queues.values(), staff, clock, trace)))
    app.include_router(json_out(database, sms or None))
    app.include_router(pages(database))

    with open_listener(http) as listener:
        port = await sms.open(wait) if sms else None
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(writer.run()),
                group.create_task(apprise_channel.run(queues[messages.APPRISE])),
            ]
            if sms and port:
                tasks.append(group.create_task(sms.run(port)))
            trace("ready", http=bound_to(listener))
            try:
                await serve_http(app, listener)
            finally:
                for task in tasks:
                    task.cancel()
