"""The commands `meterseal marketing …` run the marketing system and query its store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.store.cli import add_queries
from meterseal.systems.marketing.sms_timing import SmsTiming

__all__ = ["app"]

app = typer.Typer(
    help="The marketing system: customer files, history, alarms, messages.", no_args_is_help=True
)
add_queries(app)


@app.command()
def run(
    http: Annotated[str, typer.Option("--http", help="HOST:PORT to serve; port 0 takes a free one.")],
    store: Annotated[Path, typer.Option("--store", help="File of the system's store.")],
    customers: Annotated[Path, typer.Option("--customers", help="Customer file, .json or .csv.")],
    sms_port: Annotated[
        str | None, typer.Option("--sms-port", help="Serial port of the GSM modem, any pyserial URL.")
    ] = None,
    notify: Annotated[
        list[str] | None, typer.Option("--notify", help="Apprise URL of duty staff; may be repeated.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the SMS port at start.")] = 5.0,
    sms_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a message may take before it is sent again.")
    ] = SmsTiming.message,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of plain ones.")] = False,
) -> None:
    """Receive events, keep the seal state in customer files and send messages, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.store.database import Database
    from meterseal.systems.marketing.apprise_channel import check_url
    from meterseal.systems.marketing.customers import read
    from meterseal.systems.marketing.process import run as serve
    from meterseal.systems.marketing.tables import SCHEMA
    from meterseal.trace import Trace

    known = read(customers)
    staff = notify or []
    for url in [*staff, *(url for customer in known for url in customer.notify)]:
        check_url(url)
    database = Database(store, SCHEMA)
    try:
        main = serve(
            http,
            database,
            known,
            staff=staff,
            sms_port=sms_port,
            wait=wait,
            timing=SmsTiming(message=sms_timeout),
            trace=Trace("marketing", as_json=as_json),
        )
        asyncio.run(until_signal(main))
    finally:
        database.close()
