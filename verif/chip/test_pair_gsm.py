"""The GSM ports of simulated chips on their way to modems; the puppet says back what it hears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meterseal.chip.build import library
from meterseal.chip.gsm import Modems
from meterseal.chip.pair import Pair
from meterseal.io.pty import PtyEnd

PUPPET = Path(__file__).with_name("puppet.v")
WITHIN = 10.0
DATA = bytes(range(256)) * 20  # more than a port's queue holds


@contextlib.asynccontextmanager
async def simulated(endpoints: list[str]) -> AsyncIterator[list[str]]:
    """Puppets with these modems, simulated meanwhile; what is told is in the list."""
    told: list[str] = []
    with Pair(library(PUPPET.read_text()), chips=len(endpoints), ends=1, clock_hz=38_400) as pair:
        modems = Modems(pair, endpoints, lambda what, **fields: told.append(what))
        for chip in range(pair.chips):
            pair.power(chip, True)

        async def simulate() -> None:
            while True:
                pair.run(0.01)
                await modems.deliver()
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(simulate()), asyncio.create_task(modems.serve())]
        try:
            yield told
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not ready():
            await asyncio.sleep(0.01)


def test_a_modem_on_a_pty_hears_its_chip(tmp_path: Path) -> None:
    async def talk() -> None:
        with PtyEnd(tmp_path / "modem") as modem:
            async with simulated([str(tmp_path / "modem")]) as told:
                await until(lambda: "connected" in told)
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
        async with simulated([f"{host}:{port}" for host, port in places]) as told:
            await until(lambda: len(clients) == 2)
            for number, (reader, writer) in clients.items():
                writer.write(b"AT%d" % number)
                assert await asyncio.wait_for(reader.readexactly(3), WITHIN) == b"AT%d" % number
            clients.pop(1)[1].close()
            await until(lambda: "lost" in told and 1 in clients)
            clients[1][1].write(b"again")
            assert await asyncio.wait_for(clients[1][0].readexactly(5), WITHIN) == b"again"
        for server, (_, writer) in zip(servers, clients.values(), strict=True):
            server.close()
            writer.close()

    asyncio.run(talk())


@pytest.mark.parametrize("cut", [False, True])
def test_a_chip_without_power_hears_nothing(cut: bool) -> None:
    with Pair(library(PUPPET.read_text()), chips=1, ends=1, clock_hz=38_400) as pair:
        pair.open_gsm(0)
        pair.power(0, not cut)
        pair.write_gsm(0, b"AT")
        pair.run(0.01)
        assert pair.read_gsm(0) == (b"" if cut else b"AT")
