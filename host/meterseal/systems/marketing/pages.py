"""The web pages are plain HTML for a phone, without JavaScript; Chinese, or English with `?lang=en`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from meterseal.i18n import catalogue
from meterseal.store.database import Database
from meterseal.systems.marketing import views

__all__ = ["pages"]

#: Rows of a list on a page; the JSON twins give more.
ROWS = 20
#: A state is shown by colour, icon and word: the word is in the catalogue, icon and CSS class are here.
BADGES = {
    "sealed": ("✔", "good"),
    "open": ("✖", "bad"),
    "low": ("⚠", "odd"),
    "high": ("⚠", "odd"),
    "mismatch": ("⚠", "odd"),
    "unknown": ("?", "unknown"),
}
SEVERITY_BADGES = {"critical": ("✖", "bad"), "major": ("⚠", "odd"), "minor": ("•", "unknown")}


def pages(database: Database) -> APIRouter:
    """Return the routes `/` and `/customers/ACCOUNT`."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    templates = Environment(
        loader=PackageLoader("meterseal.systems.marketing"), autoescape=select_autoescape(), trim_blocks=True
    )
    templates.filters["moment"] = _moment
    templates.filters["masked"] = _masked
    templates.globals.update(badges=BADGES, severity_badges=SEVERITY_BADGES)

    def page(name: str, path: str, lang: str | None, code: int = 200, **values: object) -> HTMLResponse:
        lang = catalogue.language(lang)
        t = partial(catalogue.text, lang=lang)
        html = templates.get_template(name).render(t=t, lang=lang, path=path, **values)
        return HTMLResponse(html, code)

    @router.get("/")
    async def overview(lang: str | None = None) -> HTMLResponse:
        with database.reading() as conn:
            return page(
                "overview.html",
                "/",
                lang,
                seals=views.seals(conn),
                alarms=views.alarm_list(conn, None, None, ROWS),
                events=views.event_list(conn, None, ROWS),
                messages=views.message_list(conn, ROWS),
            )

    @router.get("/customers/{account}")
    async def customer(account: str, lang: str | None = None) -> HTMLResponse:
        path = f"/customers/{account}"
        with database.reading() as conn:
            file = views.customer_file(conn, account, ROWS)
        if file is None:
            return page("unknown.html", "/", lang, 404)
        return page("customer.html", path, lang, file=file)

    return router


def _moment(iso: str | None) -> str:
    """Return `2026-11-22 13:05:09` for a document's time, which is China Standard Time; empty for none."""
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S}" if iso else ""


def _masked(number: str) -> str:
    """Return a phone number with its middle hidden, for a page that others may see."""
    return f"{number[:3]}****{number[-4:]}" if len(number) > 7 else "****"
