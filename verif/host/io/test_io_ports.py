"""Ports of every kind carry bytes, and a lost line is opened again."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from pathlib import Path
from typing import Protocol

import pytest
import serial
import serial.rfc2217

from meterseal.errors import Failure
from meterseal.io.endpoint import format_endpoint, parse_endpoint
from meterseal.io.port import PortLost
from meterseal.io.ports import Line, open_port
from meterseal.io.pty import PtyEnd
from meterseal.trace import Trace

EVERY_BYTE = bytes(range(256))


def line(url: str) -> Line:
    return Line(url, trace=Trace("test", stream=io.StringIO()))


class Readable(Protocol):
    async def read(self) -> bytes: ...


async def read_exactly(port: Readable, count: int) -> bytes:
    got = b""
    async with asyncio.timeout(5):
        while len(got) < count:
            got += await port.read()
    return got


def test_a_pty_carries_every_byte() -> None:
    async def main() -> None:
        with PtyEnd() as end:
            port = await open_port(end.path)
            await port.write(EVERY_BYTE)
            assert await read_exactly(end, 256) == EVERY_BYTE
            await end.write(EVERY_BYTE)
            assert await read_exactly(port, 256) == EVERY_BYTE
            port.close()
            port.close()

    asyncio.run(main())


def test_a_socket_carries_every_byte_and_reports_when_the_peer_leaves() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(256))
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = await open_port(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            await port.write(EVERY_BYTE)
            assert await read_exactly(port, 256) == EVERY_BYTE
            with pytest.raises(PortLost):
                await port.read()
            port.close()

    asyncio.run(main())


# pyserial's own client starts its thread in the old way.
@pytest.mark.filterwarnings("ignore:set.* is deprecated:DeprecationWarning")
def test_rfc2217_carries_every_byte() -> None:
    """The peer is pyserial's own RFC 2217 server, whose port sends back what it receives."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve_rfc2217, args=[listener])
    thread.start()

    async def main() -> None:
        port = await open_port(f"rfc2217://127.0.0.1:{listener.getsockname()[1]}")
        await port.write(EVERY_BYTE)
        assert await read_exactly(port, 256) == EVERY_BYTE
        port.close()

    asyncio.run(main())
    thread.join()
    listener.close()


def serve_rfc2217(listener: socket.socket) -> None:
    class Connection:
        def __init__(self, client: socket.socket) -> None:
            self.write = client.sendall

    client, _ = listener.accept()
    with client, serial.serial_for_url("loop://", timeout=0) as behind:
        manager = serial.rfc2217.PortManager(behind, Connection(client))
        client.settimeout(5)
        while data := client.recv(1024):
            behind.write(b"".join(manager.filter(data)))
            client.sendall(b"".join(manager.escape(behind.read(1024))))


def test_a_busy_port_is_one_clear_sentence() -> None:
    async def main() -> None:
        with (
            PtyEnd() as end,
            serial.Serial(end.path, exclusive=True),
            pytest.raises(Failure, match="in use by another program"),
        ):
            await line(end.path).open()

    asyncio.run(main())


def test_a_missing_device_is_waited_for_and_then_one_clear_sentence(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(Failure, match="is not there"):
            await line(str(tmp_path / "nothing")).open(wait=0.3)
        with pytest.raises(Failure, match="cannot use the port"):
            await line("what://ever").open()

    asyncio.run(main())


def test_a_line_follows_its_link_to_the_next_pty(tmp_path: Path) -> None:
    async def main() -> None:
        first = PtyEnd(tmp_path / "bus")
        end = line(str(tmp_path / "bus"))
        await end.open()
        with PtyEnd(tmp_path / "bus") as second:
            reading = asyncio.create_task(end.read())
            async with asyncio.timeout(5):
                while not reading.done():
                    await second.write(b"!")
                    await asyncio.sleep(0.05)
            assert set(await reading) == {ord("!")}
            end.close()
        first.close()

    asyncio.run(main())


def test_a_link_that_is_older_than_its_terminal_is_not_followed(tmp_path: Path) -> None:
    """A killed program's link persists while the number of its PTY goes to another program."""

    async def main() -> None:
        link = tmp_path / "port"
        with PtyEnd() as foreign:
            link.symlink_to(foreign.path)
            (await open_port(str(link))).close()
            before = Path(foreign.path).stat().st_ctime - 1
            os.utime(link, (before, before), follow_symlinks=False)
            with pytest.raises(PortLost, match="no longer its own"):
                await open_port(str(link))

    asyncio.run(main())


def test_a_line_connects_again_after_its_peer_came_back() -> None:
    async def main() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        end = line(f"socket://{host}:{port}")
        await end.open()
        assert await read_exactly(end, 5) == b"hello"
        server.close()
        await server.wait_closed()
        later = asyncio.create_task(read_exactly(end, 5))
        await asyncio.sleep(0.3)
        assert not await end.write(b"into the void")
        async with await asyncio.start_server(greet, host, port):
            assert await later == b"hello"
            end.close()

    asyncio.run(main())


def test_a_read_that_timed_out_loses_nothing() -> None:
    async def main() -> None:
        with PtyEnd() as end:
            port = line(end.path)
            await port.open()
            assert await port.read(timeout=0.01) == b""
            await end.write(b"later")
            assert await read_exactly(port, 5) == b"later"
            port.close()

    asyncio.run(main())


def test_a_listening_line_serves_one_client_after_the_other() -> None:
    async def main() -> None:
        end = line("listen://127.0.0.1:0")
        await end.open()
        host, port = parse_endpoint(end.url.removeprefix("listen://"))
        for word in (b"one", b"two"):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(word)
            assert await read_exactly(end, 3) == word
            assert await end.write(word)
            assert await reader.readexactly(3) == word
            writer.close()
            await writer.wait_closed()
        end.close()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "host", ":1", "host:", "host:x", "host:65536", "host:-1", "host:²"])
def test_a_wrong_endpoint_is_one_clear_sentence(text: str) -> None:
    with pytest.raises(Failure, match="is not HOST:PORT"):
        parse_endpoint(text)


@pytest.mark.parametrize(("text", "value"), [("a:0", ("a", 0)), ("[::1]:80", ("::1", 80))])
def test_an_endpoint_reads_back(text: str, value: tuple[str, int]) -> None:
    assert parse_endpoint(text) == value
    assert format_endpoint(*value) == text
