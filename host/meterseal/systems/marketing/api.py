"""Marketing receives events over HTTP (CloudEvents) and answers in JSON; each list of a page has its twin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request

from meterseal.protocols.handover import CONTENT_TYPE, PATH, HandoverError
from meterseal.store import outbox
from meterseal.store.database import Database
from meterseal.systems.marketing import views
from meterseal.systems.marketing.messages import record_number
from meterseal.systems.marketing.receiver import Receiver
from meterseal.systems.marketing.sms import SmsSender
from meterseal.systems.marketing.views import Document

__all__ = ["BODY_MAX", "events_in", "json_out"]

#: An event takes about 1 KB.
BODY_MAX = 64 * 1024
_Limit = Annotated[int, Query(ge=1, le=1000, description="At most this many of the newest.")]
_Seal = Annotated[str | None, Query(description="Only those of this seal.")]
_Active = Annotated[bool | None, Query(description="Only active alarms, or only cleared ones.")]

_BODY = {"requestBody": {"required": True, "content": {CONTENT_TYPE: {"schema": {"type": "object"}}}}}


def events_in(receiver: Receiver) -> APIRouter:
    """Return the route to which metering posts its events."""
    router = APIRouter()

    @router.post(PATH, openapi_extra=_BODY)
    async def take_event(request: Request) -> Document:
        """Store one seal event or finding (CloudEvents 1.0, structured JSON); answered once it is durable.

        A repetition is answered like the first time. 415: another content type. 413: too long. 422:
        neither; the body is kept and the reason returned.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != CONTENT_TYPE:
            raise HTTPException(415, f"content type {content_type!r}: expected {CONTENT_TYPE}")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX:
                raise HTTPException(413, f"an event has at most {BODY_MAX} bytes")
        try:
            applied = await receiver.take(body)
        except HandoverError as error:
            raise HTTPException(422, str(error)) from None
        number = None if applied.event is None else record_number(applied.event)
        return {"outcome": applied.outcome.name.lower(), "number": number}

    return router


def json_out(database: Database, sms: SmsSender | None) -> APIRouter:
    """Return the routes `/api/…` and `/healthz`."""
    router = APIRouter()

    @router.get("/api/seals")
    async def seals() -> Document:
        """List every seal: state, when last verified, customer, active alarms."""
        with database.reading() as conn:
            return {"seals": views.seals(conn)}

    @router.get("/api/seals/{address}")
    async def seal(address: str, limit: _Limit = 100) -> Document:
        """Show one seal with its history."""
        with database.reading() as conn:
            return _found(views.seal(conn, address.rjust(12, "0"), limit), f"seal {address}")

    @router.get("/api/events")
    async def events(seal: _Seal = None, limit: _Limit = 100) -> Document:
        """List stored events, the newest first."""
        with database.reading() as conn:
            return {"events": views.event_list(conn, seal, limit)}

    @router.get("/api/alarms")
    async def alarms(seal: _Seal = None, active: _Active = None, limit: _Limit = 100) -> Document:
        """List alarms, the newest first."""
        with database.reading() as conn:
            return {"alarms": views.alarm_list(conn, seal, active, limit)}

    @router.get("/api/customers")
    async def customers() -> Document:
        """List the customer files, each with the state of its seal."""
        with database.reading() as conn:
            return {"customers": views.customer_list(conn)}

    @router.get("/api/customers/{account}")
    async def customer(account: str, limit: _Limit = 100) -> Document:
        """Show one customer's file with the seal's history."""
        with database.reading() as conn:
            return _found(views.customer_file(conn, account, limit), f"account {account}")

    @router.get("/api/messages")
    async def messages(limit: _Limit = 100) -> Document:
        """List messages to customers and staff, sent and waiting, the newest first."""
        with database.reading() as conn:
            return {"messages": views.message_list(conn, limit)}

    @router.get("/api/diagnostics")
    async def diagnostics(limit: _Limit = 100) -> Document:
        """List what could not be understood, with counts, and the unreadable bodies that were kept."""
        with database.reading() as conn:
            return views.diagnostic_list(conn, limit)

    @router.get("/healthz")
    async def health() -> Document:
        """Report that the store answers, how many messages wait, and any trouble of the SMS modem."""
        with database.reading() as conn:
            waiting = outbox.pending(conn)
        modem = "none" if sms is None else sms.trouble or "ready"
        return {"status": "ok", "waiting": waiting, "modem": modem}

    return router


def _found(document: Document | None, what: str) -> Document:
    if document is None:
        raise HTTPException(404, f"there is no {what}")
    return document
