"""The JSON API of the metering system shows its store and reads seals on demand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query
from sqlalchemy import Connection

from meterseal.clock import isoformat
from meterseal.domain.event import SealEvent, event_document
from meterseal.store import alarms, diagnostics, events, outbox
from meterseal.store.database import Database
from meterseal.systems.metering import bindings, terminals
from meterseal.systems.metering.reading import BadAnswerError, From, OnDemand, UnknownSealError, document
from meterseal.systems.metering.registry import Registry
from meterseal.systems.metering.station import OfflineError, Station, UnansweredError
from meterseal.systems.metering.verification import Verifier

__all__ = ["create_app"]

_Seal = Annotated[str | None, Query(description="Only those of this seal", pattern=r"^\d{12}$")]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_Address = Annotated[str, Path(pattern=r"^\d{1,12}$")]


def create_app(
    database: Database, station: Station, registry: Registry, on_demand: OnDemand, verifier: Verifier
) -> FastAPI:
    """Return the application; it only reads the store, and reaches terminals through `on_demand`."""
    app = FastAPI(title="meterseal metering", description="Seal monitoring of the metering automation system")

    @app.get("/healthz")
    def healthz() -> dict[str, Any]:
        """Report that the system runs, how many terminals are connected and how many messages wait."""
        with database.reading() as conn:
            return {"status": "ok", "terminals": len(station.online), "outbox": outbox.pending(conn)}

    @app.get("/api/seals")
    def seals() -> dict[str, Any]:
        """List every seal with its newest event, its measured point and its active alarms."""
        with database.reading() as conn:
            return {"seals": _seals(conn, registry)}

    @app.get("/api/events")
    def list_events(seal: _Seal = None, limit: _Limit = 100, after: int | None = None) -> dict[str, Any]:
        """List events, the newest first, or those stored after the one with id `after`, oldest first."""
        with database.reading() as conn:
            if after is not None:
                found = [one for one in events.after(conn, after, limit) if seal in (None, one.seal)]
            else:
                found = events.history(conn, seal, limit)
            return {"events": [_event(event, verifier) for event in found]}

    @app.get("/api/alarms")
    def list_alarms(seal: str | None = None, active: bool = False, limit: _Limit = 100) -> dict[str, Any]:
        """List alarms, the newest first; `active` leaves out the cleared ones."""
        with database.reading() as conn:
            found = alarms.active(conn, seal) if active else alarms.list_all(conn, seal, limit=limit)
            return {"alarms": [alarms.document(alarm) for alarm in found[::-1][:limit]]}

    @app.get("/api/terminals")
    def list_terminals() -> dict[str, Any]:
        """List every terminal that is registered or ever connected."""
        with database.reading() as conn:
            found = terminals.list_all(conn)
        return {"terminals": [_terminal(terminal, station, registry) for terminal in found]}

    @app.get("/api/diagnostics")
    def list_diagnostics() -> dict[str, Any]:
        """List what was discarded or not understood, and the unreadable bytes that were kept."""
        with database.reading() as conn:
            return {
                "diagnostics": [
                    diagnostics.document(diagnostic) for diagnostic in diagnostics.list_all(conn)
                ],
                "kept": [diagnostics.kept_document(kept) for kept in diagnostics.kept(conn)],
            }

    @app.post("/api/seals/{address}/read")
    async def read(
        address: _Address,
        asked: Annotated[From, Query(alias="from")] = From.SEAL,
        challenge: bool = False,
    ) -> dict[str, Any]:
        """Read the newest record now, from the seal or (`from=meter`) its meter; `challenge=1`: proved."""
        if challenge and asked is not From.SEAL:
            raise HTTPException(422, "only the seal itself can answer a challenge")
        seal = address.zfill(12)
        try:
            return document(await (on_demand.challenge(seal) if challenge else on_demand.read(seal, asked)))
        except UnknownSealError as error:
            raise HTTPException(404, str(error)) from error
        except OfflineError as error:
            raise HTTPException(503, str(error)) from error
        except UnansweredError as error:
            raise HTTPException(504, str(error)) from error
        except BadAnswerError as error:
            raise HTTPException(502, str(error)) from error

    return app


def _event(event: SealEvent, verifier: Verifier) -> dict[str, Any]:
    signature = verifier.check(event.decoded, event.record).value
    return {"id": event.id} | event_document(event) | {"signature": signature}


def _seals(conn: Connection, registry: Registry) -> list[dict[str, Any]]:
    bound = bindings.list_all(conn)
    active: dict[str, list[str]] = {}
    for alarm in alarms.active(conn):
        active.setdefault(alarm.subject, []).append(alarm.code.value)
    return [
        event_document(event)
        | {
            "point": bound[event.seal].point if event.seal in bound else None,
            "registered": registry.is_registered(event.seal),
            "alarms": active.get(event.seal, []),
        }
        for event in events.seals(conn)
    ]


def _terminal(terminal: terminals.Terminal, station: Station, registry: Registry) -> dict[str, Any]:
    peer = station.online.get(terminal.name)
    return {
        "terminal": terminal.name,
        "registered": terminal.name in registry.terminals,
        "online": peer is not None,
        "peer": peer,
        "last_seen": terminal.last_seen_at and isoformat(terminal.last_seen_at),
    }
