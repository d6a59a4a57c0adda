"""The commands `meterseal customer …` run the modems and phones of simulated customers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.sim.customer.misbehaviour import Misbehaviour

__all__ = ["app"]

app = typer.Typer(help="The simulated customer: GSM modem, network, phones.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="JSON instead of plain lines.")]
_Store = Annotated[Path, typer.Option("--store", help="File that keeps what the phones received.")]


@app.command()
def run(
    pty: Annotated[
        list[str],
        typer.Option("--pty", help="Path at which a modem is offered as a serial port; once for each modem."),
    ],
    store: _Store,
    echo: Annotated[bool, typer.Option("--echo", help="Go on echoing after ATE0.")] = Misbehaviour.echo,
    fail_every: Annotated[
        int, typer.Option(min=0, help="Refuse each N-th message (+CMS ERROR: 500).")
    ] = Misbehaviour.fail_every,
    silent_every: Annotated[
        int, typer.Option(min=0, help="Take each N-th message without an answer.")
    ] = Misbehaviour.silent_every,
    slow: Annotated[
        float, typer.Option(min=0, help="Seconds until a message is answered.")
    ] = Misbehaviour.slow,
    unsolicited: Annotated[
        bool, typer.Option("--unsolicited", help="Transmit unsolicited lines too.")
    ] = Misbehaviour.unsolicited,
    as_json: _Json = False,
) -> None:
    """Offer modems on PTYs and show what the phones receive, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.sim.customer.network import SCHEMA
    from meterseal.sim.customer.process import run as serve
    from meterseal.store.database import Database
    from meterseal.trace import Trace

    misbehaviour = Misbehaviour(echo, unsolicited, fail_every, silent_every, slow)
    database = Database(store, SCHEMA)
    try:
        trace = Trace("customer", as_json=as_json)
        asyncio.run(until_signal(serve(pty, database, trace=trace, misbehaviour=misbehaviour)))
    finally:
        database.close()


@app.command()
def inbox(
    store: _Store,
    number: Annotated[str | None, typer.Option("--number", help="Only this phone's.")] = None,
    as_json: _Json = False,
) -> None:
    """Show what the phones received, the oldest first."""
    import json

    from meterseal.clock import isoformat
    from meterseal.sim.customer import network
    from meterseal.store.database import Database

    database = Database(store, network.SCHEMA, read_only=True)
    try:
        messages = network.inbox(database, number)
    finally:
        database.close()
    rows = [{"number": m.number, "text": m.text, "received_at": isoformat(m.received_at)} for m in messages]
    if as_json:
        typer.echo(json.dumps({"messages": rows}, ensure_ascii=False))
    else:
        for row in rows:
            typer.echo("{received_at} {number} {text}".format_map(row))
