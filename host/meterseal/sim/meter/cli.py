"""The command `meterseal meter run` runs simulated meters; others query their store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.sim.meter.settings import Settings, bound_meters
from meterseal.store.cli import add_queries

__all__ = ["app"]

app = typer.Typer(
    help="Simulated electricity meters, which take the seals' reports and answer the terminal.",
    no_args_is_help=True,
)
add_queries(app)


@app.command()
def run(
    port: Annotated[
        str,
        typer.Option("--port", help="RS485 port: any pyserial URL, or listen://HOST:PORT."),
    ],
    meter: Annotated[
        list[str], typer.Option("--meter", metavar="ADDRESS", help="Address of a meter; once for each.")
    ],
    store: Annotated[Path, typer.Option("--store", help="File of the meters' store.")],
    baud: Annotated[int, typer.Option("--baud", help="Speed of a real serial port.")] = Settings.baud,
    seal: Annotated[
        list[str] | None,
        typer.Option(
            "--seal",
            metavar="METER=SEAL",
            help="A meter's own seal; without any, the first that reports becomes its own.",
        ),
    ] = None,
    password: Annotated[
        str, typer.Option("--password", help="Six digits, required to set the clock.")
    ] = Settings.password,
    wait: Annotated[
        float, typer.Option("--wait", help="Seconds to wait for the port at the start.")
    ] = Settings.wait,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Simulate the meters at one end of an RS485 bus, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.sim.meter.process import run as serve
    from meterseal.trace import Trace

    settings = Settings(port, store, bound_meters(meter, seal or []), password, baud, wait)
    asyncio.run(until_signal(serve(settings, trace=Trace("meter", as_json=as_json))))
