"""The commands `meterseal metering …` run the metering system, read seals and query the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.domain.image import DEFAULT_PASSWORD
from meterseal.store.cli import add_queries
from meterseal.systems.metering.keys_cli import keys
from meterseal.systems.metering.settings import Settings

__all__ = ["app"]

app = typer.Typer(
    help="The metering automation system: master station of the terminals, with seal monitoring.",
    no_args_is_help=True,
)
add_queries(app)
app.add_typer(keys, name="keys")


@app.command()
def run(
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="For the terminals.")],
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="For the JSON API.")],
    store: Annotated[Path, typer.Option("--store", help="File of the system's store.")],
    marketing: Annotated[
        str | None,
        typer.Option("--marketing", metavar="URL", help="Receives the events; without it they wait."),
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option("--registry", help="JSON list of known devices; without it all devices are accepted."),
    ] = None,
    terminal: Annotated[
        list[str] | None,
        typer.Option("--terminal", metavar="REGION:NUMBER", help="A known terminal; once for each."),
    ] = None,
    heartbeat: Annotated[
        float, typer.Option("--heartbeat", min=0.1, help="The terminals' heartbeat period, s.")
    ] = Settings.heartbeat,
    silence: Annotated[
        float, typer.Option("--silence", min=1.0, help="Silent heartbeats until a terminal is lost.")
    ] = Settings.silence,
    master_key: Annotated[
        Path | None,
        typer.Option("--master-key", help="File with the key that the seals' keys are encrypted under."),
    ] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Accept unsigned records of seals that have a key.")
    ] = Settings.allow_unsigned,
    clock_drift: Annotated[
        float, typer.Option("--clock-drift", min=1.0, help="Accepted error of a meter's clock, s.")
    ] = Settings.clock_drift,
    cover_grace: Annotated[
        float, typer.Option("--cover-grace", min=0.0, help="A cover alarm waits for its seal record, s.")
    ] = Settings.cover_grace,
    cover_tolerance: Annotated[
        float, typer.Option("--cover-tolerance", min=0.0, help="Largest difference between their times, s.")
    ] = Settings.cover_tolerance,
    meter_password: Annotated[
        str, typer.Option("--meter-password", metavar="DIGITS", help="Six digits, for writes to meters.")
    ] = DEFAULT_PASSWORD,
    request_timeout: Annotated[
        float, typer.Option("--request-timeout", min=0.1, help="A terminal's time to answer, s.")
    ] = Settings.request_timeout,
    bus_timeout: Annotated[
        int, typer.Option("--bus-timeout", min=1, max=255, help="A meter's or seal's time to answer, s.")
    ] = Settings.bus_timeout,
    connections: Annotated[
        int, typer.Option("--connections", min=1, help="Terminals served at a time.")
    ] = Settings.connections,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Serve terminals, monitor the seals and pass events on, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.systems.metering.process import Options
    from meterseal.systems.metering.process import run as serve
    from meterseal.systems.metering.registry import Registry
    from meterseal.trace import Trace

    options = Options(
        listen=listen,
        http=http,
        store=store,
        marketing=marketing,
        registry=Registry.load(registry, terminal or []),
        master_key=master_key,
        settings=Settings(
            heartbeat=heartbeat,
            silence=silence,
            clock_drift=clock_drift,
            cover_grace=cover_grace,
            cover_tolerance=cover_tolerance,
            request_timeout=request_timeout,
            bus_timeout=bus_timeout,
            connections=connections,
            allow_unsigned=allow_unsigned,
            meter_password=_password(meter_password),
        ),
    )
    asyncio.run(until_signal(serve(options, Trace("metering", as_json=as_json))))


def _password(digits: str) -> bytes:
    from meterseal.octets.bcd import password_bytes

    try:
        return password_bytes(digits)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--meter-password") from None


@app.command()
def read(
    url: Annotated[str, typer.Option("--url", help="The running system's API.")],
    seal: Annotated[str, typer.Option("--seal", metavar="ADDRESS", help="The seal to read.")],
    asked: Annotated[str, typer.Option("--from", help="Ask the `seal` itself or its `meter`.")] = "seal",
    challenge: Annotated[
        bool, typer.Option("--challenge", help="Let the seal prove that the answer is fresh.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Read a seal's newest record now, through its terminal."""
    import json

    import httpx

    from meterseal.errors import Failure

    if asked not in ("seal", "meter"):
        raise typer.BadParameter("expected seal or meter", param_hint="--from")
    try:
        # The system itself gives up earlier, with a better reason.
        path = f"{url.rstrip('/')}/api/seals/{seal}/read"
        params = httpx.QueryParams({"from": asked, "challenge": challenge})
        answer = httpx.post(path, params=params, timeout=120, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Failure(f"{url}: no answer of a metering system: {error}") from error
    if not answer.is_success:
        raise Failure(f"seal {seal} was not read: {body.get('detail', body)}")
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        line = "{read_at} {seal} {counter} {kind} {state} known={known} verified={verified}"
        typer.echo(line.format_map(body))
