"""GSM ports of simulated chips are connected to modems: those of stub chips, which echo, and the real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from meterseal.clock import CST
from meterseal.domain.image import image
from meterseal.io.pty import PtyEnd
from meterseal.protocols.dlt645.requests import broadcast_time
from meterseal.sim.chip.build import chip_library, library
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.gsm import Modems
from meterseal.tools.demo.settings import Settings
from verif.benches.chip import BAUD, identity, seal_address
from verif.models.gsm_module import Manner, Module, Received

STUB_CHIP = Path(__file__).with_name("stub_chip.v")
WITHIN = 10.0
DATA = bytes(range(256)) * 20  # more than a port's queue holds


@contextlib.asynccontextmanager
async def simulated(endpoints: list[str]) -> AsyncIterator[list[str]]:
    """Simulate stub chips with these modems; the list has the names of all trace lines."""
    traced: list[str] = []
    with BusSim(library(STUB_CHIP.read_text()), chips=len(endpoints), ends=1, clock_hz=38_400) as bus:
        modems = Modems(bus, endpoints, lambda what, **fields: traced.append(what))
        for chip in range(bus.chips):
            bus.power(chip, True)

        async def simulate() -> None:
            while True:
                bus.run(0.01)
                await modems.deliver()
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(simulate()), asyncio.create_task(modems.serve())]
        try:
            yield traced
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not ready():
            await asyncio.sleep(0.01)


def test_a_modem_on_a_pty_receives_from_its_chip(tmp_path: Path) -> None:
    async def talk() -> None:
        with PtyEnd(tmp_path / "modem") as modem:
            async with simulated([str(tmp_path / "modem")]) as traced:
                await until(lambda: "connected" in traced)
                writing = asyncio.create_task(modem.write(DATA))
                heard = b""
                async with asyncio.timeout(WITHIN):
                    while len(heard) < len(DATA):
                        heard += await modem.read()
                    await writing
                assert heard == DATA

    asyncio.run(talk())


def test_each_chip_has_its_own_modem_and_looks_for_it_again() -> None:
    async def talk() -> None:
        clients: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

        def modem(number: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
            return lambda reader, writer: clients.__setitem__(number, (reader, writer))

        servers = [await asyncio.start_server(modem(number), "127.0.0.1", 0) for number in range(2)]
        places = [server.sockets[0].getsockname() for server in servers]
        async with simulated([f"{host}:{port}" for host, port in places]) as traced:
            await until(lambda: len(clients) == 2)
            for number, (reader, writer) in clients.items():
                writer.write(b"AT%d" % number)
                assert await asyncio.wait_for(reader.readexactly(3), WITHIN) == b"AT%d" % number
            clients.pop(1)[1].close()
            await until(lambda: "lost" in traced and 1 in clients)
            clients[1][1].write(b"again")
            assert await asyncio.wait_for(clients[1][0].readexactly(5), WITHIN) == b"again"
        for server, (_, writer) in zip(servers, clients.values(), strict=True):
            server.close()
            writer.close()

    asyncio.run(talk())


@pytest.mark.parametrize("cut", [False, True])
def test_a_chip_without_power_receives_nothing(cut: bool) -> None:
    with BusSim(library(STUB_CHIP.read_text()), chips=1, ends=1, clock_hz=38_400) as bus:
        bus.open_gsm(0)
        bus.power(0, not cut)
        bus.write_gsm(0, b"AT")
        bus.run(0.01)
        assert bus.read_gsm(0) == (b"" if cut else b"AT")


#: A module that refuses, then restarts in the middle of the dialogue, chatters, and only then behaves.
MANNERS = (Manner.CME_ERROR, Manner.CHATTER, Manner.GARBAGE, Manner.BROWN_OUT, Manner.CHATTER)
PHONE = "+8613800138000"


def test_the_chip_sends_the_time_of_its_events(tmp_path: Path) -> None:
    """An event of the loop reaches the phone, with the clock set by a broadcast. The module misbehaves for
    half a minute, so the message arrives in a later minute than it states; the next states the new minute.
    """
    chip = chip_library(clock_hz=CLOCK_HZ, front_end=Settings.front_end, gsm=True)
    path = tmp_path / "seal.bin"
    path.write_bytes(image(replace(identity(1), phone=PHONE)))
    module, flash = Module(list(MANNERS)), FlashFile(path)
    with BusSim(chip, chips=1, ends=1, clock_hz=CLOCK_HZ, baud=BAUD) as bus:
        bus.attach_flash(0, flash)
        bus.open(0)
        bus.open_gsm(0)

        def run(seconds: float, messages: int) -> None:
            """Run until the phone has that number of messages, for `seconds` at most."""
            end = bus.now + seconds
            while bus.now < end and len(module.messages) < messages:
                bus.run(0.005)
                for byte in bus.read_gsm(0):
                    module.receive(byte)
                del module.output[: bus.write_gsm(0, bytes(module.output))]

        bus.position(0, closed=True)
        bus.power(0, True)
        run(2.0, 1)
        began = bus.now
        bus.write(0, broadcast_time(datetime(2026, 11, 22, 13, 5, 40, tzinfo=CST)).encode())
        run(1.0, 1)
        bus.position(0, closed=False)
        run(60.0, 1)
        assert bus.now - began > 21, "the minute is over"
        bus.position(0, closed=True)
        run(10.0, 2)
    flash.close()
    assert module.messages == [
        Received(PHONE, f"【封印】{seal_address(1)} 于2026-11-22 13:{minute} {what}")
        for minute, what in (("05", "开启"), ("06", "闭合"))
    ]
