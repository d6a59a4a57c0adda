"""The plan of a demo: its seals and meters, files, ports, and the six commands that a user would type."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from meterseal.clock import SystemClock
from meterseal.domain.image import Identity, image
from meterseal.domain.layout import LayoutError
from meterseal.domain.signing import KEY_BYTES
from meterseal.systems.metering import keys
from meterseal.tools.demo.settings import SEALS_MAX, Settings

__all__ = ["LINKS", "Plan", "Site", "make_plan"]

#: The links of the chain in the order in which an event passes them.
LINKS = ("chip", "meter", "terminal", "metering", "marketing", "customer")
_HOST = "127.0.0.1"
_REGION, _TERMINAL = "440106", 1
#: Bit times of the bus that the terminal allows for each poll: twice what it takes.
_POLL_BITS = 2000


@dataclass(frozen=True, slots=True)
class Site:
    """Describes one seal with its meter and its customer."""

    seal: str
    asset: str
    meter: str
    account: str
    name: str
    phone: str

    @classmethod
    def number(cls, n: int) -> Site:
        """Return the n-th site, counted from 1."""
        return cls(
            seal=f"8104{n:08d}",
            asset=f"GD-FY-2026-{n:06d}",
            meter=f"4401{n:08d}",
            account=f"03060{n:07d}",
            name=f"用户{n}",
            phone=f"138000{n:05d}",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Files, ports and commands of one run of the chain. `commands` are arguments of `meterseal`."""

    folder: Path
    sites: tuple[Site, ...]
    baud: int
    #: TCP endpoints of the bus and of the simulated chip's control port.
    bus: tuple[str, int]
    control: tuple[str, int]
    metering_url: str
    marketing_url: str
    #: Whether the first seal has a GSM modem of its own.
    gsm: bool = False
    commands: dict[str, list[str]] = field(default_factory=dict)

    def store(self, link: str) -> Path:
        """Return the durable store of a link; for the chip, its log of the events on the bus."""
        return self.folder / ("chip.log" if link == "chip" else f"{link}.db")

    def shown(self, link: str) -> str:
        """Return the command as a user would type it."""
        return shlex.join(["meterseal", *self.commands[link]])

    def argv(self, link: str) -> list[str]:
        """Return the command as this interpreter runs it, with a trace of JSON lines."""
        return [sys.executable, "-m", "meterseal", *self.commands[link], "--json"]


def make_plan(
    folder: Path,
    *,
    seals: int = Settings.seals,
    baud: int = Settings.baud,
    front_end: str = Settings.front_end,
    netlist: Path | None = None,
    gsm: bool = False,
    poll: float | None = None,
) -> Plan:
    """Choose free ports, and write into `folder` what the links read at their start.

    `netlist` is a file of the chip's gates, to be simulated instead of its source. With `gsm` the first
    seal has a modem of its own, by which it notifies its customer beside the chain. The terminal polls each
    meter every `poll` seconds, by default as often as the bus allows with all the other traffic.
    """
    if not 1 <= seals <= SEALS_MAX:
        raise LayoutError(f"{seals} seals: one bus carries 1 to {SEALS_MAX}")
    sites = tuple(Site.number(n) for n in range(1, seals + 1))
    flashes = [folder / f"seal-{site.seal}.bin" for site in sites]
    signing = {site.seal: secrets.token_bytes(KEY_BYTES) for site in sites}
    for site, flash in zip(sites, flashes, strict=True):
        identity = Identity(
            seal=site.seal,
            asset=site.asset,
            meter=site.meter,
            key=signing[site.seal],
            phone=site.phone,
            baud=baud,
        )
        flash.write_bytes(image(identity))
    _write(folder / "customers.json", [_customer(site) for site in sites])
    _write(folder / "registry.json", [_device(site, point) for point, site in enumerate(sites, 1)])

    bus, control, uplink, metering, marketing = _free_ports(5)
    plan = Plan(
        folder,
        sites,
        baud,
        (_HOST, bus),
        (_HOST, control),
        f"http://{_HOST}:{metering}",
        f"http://{_HOST}:{marketing}",
        gsm,
    )
    serial, modem, own_modem = folder / "rs485", folder / "modem", folder / "modem-of-the-seal"
    rate = ["--baud", str(baud)]
    plan.commands.update(
        chip=[
            *("chip", "run", "--front-end", front_end, "--seals", str(seals), *rate, "--pty", str(serial)),
            *(("--netlist", str(netlist)) if netlist else ()),
            *(("--gsm", str(own_modem)) if gsm else ()),
            *("--tcp", f"{_HOST}:{bus}", "--control", f"{_HOST}:{control}", "--log", str(plan.store("chip"))),
            *(part for flash in flashes for part in ("--flash", str(flash))),
        ],
        meter=[
            *("meter", "run", "--port", str(serial), *rate, "--store", str(plan.store("meter"))),
            *(part for site in sites for part in ("--meter", site.meter)),
            *(part for site in sites for part in ("--seal", f"{site.meter}={site.seal}")),
        ],
        terminal=[
            *("terminal", "run", "--bus", f"socket://{_HOST}:{bus}", "--station", f"{_HOST}:{uplink}", *rate),
            *("--region", _REGION, "--address", str(_TERMINAL), "--store", str(plan.store("terminal"))),
            *("--poll", f"{poll or max(1.0, _POLL_BITS * seals / baud):.1f}"),
            *(part for n, site in enumerate(sites, 1) for part in ("--point", f"{n}={site.meter}")),
        ],
        metering=[
            *("metering", "run", "--listen", f"{_HOST}:{uplink}", "--http", f"{_HOST}:{metering}"),
            *("--marketing", plan.marketing_url, "--registry", str(folder / "registry.json")),
            *("--store", str(plan.store("metering")), "--master-key", str(folder / "master.key")),
        ],
        marketing=[
            *("marketing", "run", "--http", f"{_HOST}:{marketing}", "--store", str(plan.store("marketing"))),
            *("--customers", str(folder / "customers.json"), "--sms-port", str(modem)),
        ],
        customer=[
            *("customer", "run", "--pty", str(modem), "--store", str(plan.store("customer"))),
            *(("--pty", str(own_modem)) if gsm else ()),
        ],
    )
    _import_keys(plan.store("metering"), folder / "master.key", signing)
    return plan


def _import_keys(store: Path, master: Path, signing: dict[str, bytes]) -> None:
    """Do what `meterseal metering keys import` does, with a master key of the folder's own."""
    if not master.exists():
        master.write_text(secrets.token_hex(KEY_BYTES))
    with keys.writing(store) as conn:
        keys.put(conn, keys.MasterKey.read(master), signing, SystemClock().now())


def _customer(site: Site) -> dict[str, str]:
    return {
        "account": site.account,
        "name": site.name,
        "phone": site.phone,
        "meter": site.meter,
        "seal": site.seal,
    }


def _device(site: Site, point: int) -> dict[str, object]:
    terminal = f"{_REGION}:{_TERMINAL}"
    return {"seal": site.seal, "meter": site.meter, "terminal": terminal, "point": point}


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1))


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now: links keep theirs over a restart, so they cannot choose them."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind((_HOST, 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()
