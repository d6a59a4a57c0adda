"""Every system with a store has the same three queries: `events`, `alarms` and `diagnostics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["add_queries"]

_Store = Annotated[Path, typer.Option("--store", help="The system's store; it may be running.")]
_Seal = Annotated[str | None, typer.Option("--seal", help="Only those of this seal.")]
_Limit = Annotated[int, typer.Option("--limit", min=1, help="Show at most this many of the newest.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def add_queries(app: typer.Typer) -> None:
    """Add the three queries to a system's commands; they only read, and may run while the system runs."""

    @app.command()
    def events(store: _Store, seal: _Seal = None, limit: _Limit = 100, as_json: _Json = False) -> None:
        """Show the stored events, the newest first."""
        from meterseal.domain.event import event_document
        from meterseal.store import events as table

        with _reading(store) as conn:
            rows = [event_document(row) for row in table.history(conn, seal, limit)]
        _show(
            "events", rows, as_json, "{occurred_at} {seal} {counter} {kind} {state} meter={meter}".format_map
        )

    @app.command()
    def alarms(store: _Store, seal: _Seal = None, limit: _Limit = 100, as_json: _Json = False) -> None:
        """Show the alarms, active and cleared, the oldest first."""
        from meterseal.store import alarms as table

        with _reading(store) as conn:
            rows = [table.document(row) for row in table.list_all(conn, seal, limit=limit)]
        _show("alarms", rows, as_json, _alarm_line)

    @app.command()
    def diagnostics(store: _Store, as_json: _Json = False) -> None:
        """Show what was discarded or not understood, and how often."""
        from meterseal.store import diagnostics as table

        with _reading(store) as conn:
            rows = [table.document(row) for row in table.list_all(conn)]
        _show("diagnostics", rows, as_json, "{count} × {what} {detail} last {last_at}".format_map)


def _alarm_line(alarm: dict[str, object]) -> str:
    until = "active" if alarm["active"] else f"cleared {alarm['cleared_at']}"
    return "{raised_at} {severity} {code} {seal} {counter}: ".format_map(alarm) + f"{until} {alarm['detail']}"


@contextmanager
def _reading(store: Path) -> Iterator[Connection]:
    from meterseal.store.database import Database

    database = Database(store, read_only=True)
    try:
        with database.reading() as conn:
            yield conn
    finally:
        database.close()


def _show(
    name: str, rows: list[dict[str, object]], as_json: bool, line: Callable[[dict[str, object]], str]
) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({name: rows}, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(line(row))
