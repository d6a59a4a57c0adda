"""The commands `meterseal metering keys …` manage the seals' keys and never print one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["keys"]

keys = typer.Typer(
    help="Keys of the seals, encrypted in the store. No key is ever shown.", no_args_is_help=True
)

_Store = Annotated[Path, typer.Option("--store", help="The system's store; it must not be running.")]


@keys.command("import")
def import_keys(
    file: Annotated[Path, typer.Argument(help='JSON: {"SEAL ADDRESS": "32 hexadecimal digits", …}')],
    store: _Store,
    master_key: Annotated[
        Path, typer.Option("--master-key", help="File: 16 bytes, or 32 hexadecimal digits.")
    ],
) -> None:
    """Store the keys of seals; a key that a seal had before is replaced."""
    from meterseal.clock import SystemClock
    from meterseal.systems.metering.keys import MasterKey, put, read_keys, writing

    found, master = read_keys(file), MasterKey.read(master_key)
    with writing(store) as conn:
        done = put(conn, master, found, SystemClock().now())
    typer.echo(f"{done.new} new, {done.changed} changed, {done.known} known already")


@keys.command("list")
def list_keys(
    store: Annotated[Path, typer.Option("--store", help="The system's store; it may be running.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show which seals have a key, and since when."""
    import json

    from meterseal.clock import isoformat
    from meterseal.store.database import Database
    from meterseal.systems.metering.keys import list_all
    from meterseal.systems.metering.tables import SCHEMA

    with closing(Database(store, SCHEMA, read_only=True)) as database, database.reading() as conn:
        rows = [{"seal": key.seal, "imported_at": isoformat(key.imported_at)} for key in list_all(conn)]
    if as_json:
        typer.echo(json.dumps({"keys": rows}))
        return
    for row in rows:
        typer.echo("{seal} {imported_at}".format_map(row))


@keys.command("forget")
def forget_key(
    seal: Annotated[str, typer.Argument(help="Address of the seal.")],
    store: _Store,
) -> None:
    """Remove a seal's key: its records are not checked any more."""
    from meterseal.errors import Failure
    from meterseal.systems.metering.keys import forget, writing

    with writing(store) as conn:
        if not forget(conn, seal.zfill(12)):
            raise Failure(f"seal {seal} has no key in {store}")
