"""The commands `meterseal terminal …` run a terminal and query its store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.store.cli import add_queries
from meterseal.systems.terminal.settings import Settings, parse_address, parse_points

__all__ = ["app"]

app = typer.Typer(
    help="The load-control terminal: polls meters, raises alarms, and reports to the master station.",
    no_args_is_help=True,
)
add_queries(app)


@app.command()
def run(
    bus: Annotated[
        str, typer.Option("--bus", help="RS485 port: any pyserial URL, such as socket://HOST:PORT.")
    ],
    station: Annotated[str, typer.Option("--station", metavar="HOST:PORT", help="The master station.")],
    store: Annotated[Path, typer.Option("--store", help="File of the terminal's store.")],
    region: Annotated[str, typer.Option("--region", help="Province, city, county: 6 digits.")],
    address: Annotated[int, typer.Option("--address", help="Number of the terminal in its region.")],
    point: Annotated[
        list[str],
        typer.Option("--point", metavar="N=METER", help="Meter at a measured point; once for each."),
    ],
    poll: Annotated[
        float, typer.Option("--poll", min=0.1, help="Seconds between polls of a meter.")
    ] = Settings.poll,
    baud: Annotated[int, typer.Option("--baud", help="Speed of the bus.")] = Settings.baud,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds until a meter's answer has begun.")
    ] = Settings.timeout,
    heartbeat: Annotated[
        float, typer.Option("--heartbeat", help="Seconds between heartbeats.")
    ] = Settings.heartbeat,
    confirm_timeout: Annotated[
        float, typer.Option("--confirm-timeout", help="Seconds until an unconfirmed message is repeated.")
    ] = Settings.confirm_timeout,
    sync_clock: Annotated[
        bool, typer.Option("--sync-clock", help="Broadcast the time at the start and daily.")
    ] = Settings.sync_clock,
    wait: Annotated[
        float, typer.Option("--wait", help="Seconds to wait for the port at the start.")
    ] = Settings.wait,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Poll the meters on a bus and report to a master station, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.systems.terminal.process import run as work
    from meterseal.trace import Trace

    settings = Settings(
        bus=bus,
        station=station,
        address=parse_address(region, address),
        points=parse_points(point),
        baud=baud,
        poll=poll,
        timeout=timeout,
        heartbeat=heartbeat,
        confirm_timeout=confirm_timeout,
        sync_clock=sync_clock,
        wait=wait,
    )
    asyncio.run(until_signal(work(settings, store, Trace("terminal", as_json=as_json))))
