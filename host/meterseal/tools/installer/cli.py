"""The commands `meterseal seal …` are the installer's tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.domain.image import DEFAULT_PASSWORD
from sealchip.interface import DEFAULT_BAUD

__all__ = ["app"]

app = typer.Typer(help="One seal: its flash image, and the installer's tool.", no_args_is_help=True)

_Port = Annotated[
    str, typer.Option("--port", help="Serial port: any pyserial URL, such as socket://HOST:PORT.")
]
_Address = Annotated[
    str | None, typer.Option(help="The seal's address; without, the only device on the line is asked.")
]
_Baud = Annotated[int, typer.Option("--baud", help="Rate of a real serial port.")]
_Record = Annotated[
    Path | None,
    typer.Option("--record", help="File to append all bytes to; --port replay:FILE replays them."),
]


@app.command()
def image(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    address: Annotated[str, typer.Option(help="The seal's own address: up to 12 digits.")],
    asset_number: Annotated[str, typer.Option(help="Up to 32 ASCII characters.")],
    meter: Annotated[
        str | None, typer.Option(help="Address of its meter; without, any meter alone on the bus.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="SM4 key: 16 bytes, or 32 hexadecimal digits.")
    ] = None,
    phone: Annotated[str, typer.Option(help="The customer's phone, up to 16 digits.")] = "",
    baud: Annotated[int, typer.Option(help="Rate of the meter's port.")] = DEFAULT_BAUD,
    password: Annotated[str, typer.Option(help="Six digits, required for every provisioning write.")] = (
        DEFAULT_PASSWORD
    ),
) -> None:
    """Write the flash image of a new seal."""
    from meterseal.domain.image import ANY_METER, NO_KEY, Identity
    from meterseal.domain.image import image as flash_image
    from meterseal.errors import Failure
    from meterseal.io.key_file import read_key

    identity = Identity(
        seal=address,
        asset=asset_number,
        meter=ANY_METER if meter is None else meter,
        key=NO_KEY if key_file is None else read_key(key_file),
        phone=phone,
        baud=baud,
        password=password,
    )
    # A simulated chip that runs on the file keeps the old one.
    part = output.with_name(f"{output.name}.part")
    try:
        part.write_bytes(flash_image(identity))
        part.replace(output)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from None


@app.command()
def read(
    port: _Port,
    address: _Address = None,
    baud: _Baud = DEFAULT_BAUD,
    record: _Record = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Ask a seal for its address, its asset number and its newest record."""
    import asyncio
    import json

    from meterseal.tools.installer.reader import document, read_seal

    reading = asyncio.run(read_seal(port, address, baud=baud, record=record))
    found = {
        "address": reading.address,
        "asset_number": reading.asset,
        "record": document(reading.record),
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"address       {reading.address}\nasset number  {reading.asset}")
    for name, value in document(reading.record).items():
        typer.echo(f"{name:<13} {value}")


@app.command()
def watch(
    port: _Port,
    baud: _Baud = DEFAULT_BAUD,
    record: _Record = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Show the reports of seals as they pass on the line; listens only, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.tools.installer.reader import watch as listen
    from meterseal.trace import Trace

    asyncio.run(until_signal(listen(port, baud=baud, trace=Trace("seal", as_json=as_json), record=record)))


@app.command()
def log(
    port: _Port,
    address: _Address = None,
    baud: _Baud = DEFAULT_BAUD,
    record: _Record = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Read the events that a seal keeps, the last 64, newest first."""
    import asyncio
    import json

    from meterseal.tools.installer.reader import document, read_log

    for event in asyncio.run(read_log(port, address, baud=baud, record=record)):
        shown = document(event)
        if as_json:
            typer.echo(json.dumps(shown))
        else:
            flags = " ".join(flag.name.lower() for flag in event.flags if flag.name)
            typer.echo(
                f"{shown['boot']:>5} {shown['counter']:>6}  {shown['kind']:<15} {shown['state']:<8} {flags}"
            )


@app.command()
def provision(
    port: _Port,
    password: Annotated[str, typer.Option(help="Six digits; 000000 on a new seal.")],
    address: Annotated[
        str | None, typer.Option(help="Its present address; without, the only device on the line.")
    ] = None,
    seal: Annotated[str | None, typer.Option(help="New address of the seal: up to 12 digits.")] = None,
    meter: Annotated[str | None, typer.Option(help="Address of its meter.")] = None,
    asset_number: Annotated[str | None, typer.Option(help="Up to 32 ASCII characters.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="SM4 key: 16 bytes, or 32 hexadecimal digits.")
    ] = None,
    phone: Annotated[str | None, typer.Option(help="The customer's phone, up to 16 digits.")] = None,
    baud: Annotated[
        int | None, typer.Option(help="Rate to be stored, in force from the next power-up.")
    ] = None,
    new_password: Annotated[str | None, typer.Option(help="Six digits; written last.")] = None,
    seal_now: Annotated[
        bool, typer.Option("--seal-now", help="Accept the present state of the loop as sealed.")
    ] = False,
    line_baud: Annotated[int, typer.Option(help="Rate of a real serial port.")] = DEFAULT_BAUD,
    record: _Record = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Write a seal's identity over the bus, item by item, and read back what can be read."""
    import asyncio
    import json

    from meterseal.io.key_file import read_key
    from meterseal.tools.installer.provision import Wanted
    from meterseal.tools.installer.provision import provision as write_all

    wanted = Wanted(
        seal=seal,
        meter=meter,
        asset=asset_number,
        key=None if key_file is None else read_key(key_file),
        phone=phone,
        baud=baud,
        new_password=new_password,
        seal_now=seal_now,
    )
    found, items = asyncio.run(write_all(port, address, password, wanted, baud=line_baud, record=record))
    if as_json:
        shown = [{"item": item.name, "acknowledged": True, "read_back": item.read_back} for item in items]
        typer.echo(json.dumps({"address": found, "items": shown}))
        return
    typer.echo(f"seal          {found}")
    for item in items:
        typer.echo(f"{item.name:<13} {'acknowledged, reads back' if item.read_back else 'acknowledged'}")
