"""A port is recorded, and the recording is replayed in the port's place."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from meterseal.errors import Failure
from meterseal.io.port import Port
from meterseal.io.ports import open_port
from meterseal.io.pty import PtyEnd

EVERY_BYTE = bytes(range(256))


async def exactly(port: Port, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += await port.read()
    return got


async def exchange(port: Port) -> bytes:
    """Send two requests, the second after the first one's answer."""
    await port.write(b"one")
    got = await exactly(port, 256)
    await port.write(b"two")
    return got + await exactly(port, 3)


async def recorded(path: Path) -> None:
    with PtyEnd() as end:

        async def device() -> None:
            assert await end.read() == b"one"
            await end.write(EVERY_BYTE)
            assert await end.read() == b"two"
            await end.write(b"end")

        port = await open_port(str(end.path), record=path)
        _, got = await asyncio.gather(device(), exchange(port))
        assert got == EVERY_BYTE + b"end"
        port.close()


def test_what_passed_is_in_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    asyncio.run(recorded(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    passed = {way: b"".join(bytes.fromhex(line.get(way, "")) for line in lines) for way in ("tx", "rx")}
    assert passed == {"tx": b"onetwo", "rx": EVERY_BYTE + b"end"}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


def test_a_replay_is_the_exchange_again(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"

    async def main() -> None:
        await recorded(path)
        port = await open_port(f"replay:{path}")
        assert await exchange(port) == EVERY_BYTE + b"end"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await port.read()
        port.close()

    asyncio.run(main())


def test_another_request_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    path.write_text('{"at": 0.0, "tx": "6F6E65"}\n{"at": 0.1, "rx": "00"}\n')

    async def main() -> None:
        port = await open_port(f"replay:{path}")
        with pytest.raises(Failure, match="74776F is written where the recording has tx 6F6E65"):
            await port.write(b"two")
        # A request that is sent in pieces is still the same request.
        await port.write(b"o")
        await port.write(b"ne")
        assert await port.read() == b"\0"
        with pytest.raises(Failure, match="has nothing"):
            await port.write(b"more")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("content", "says"),
    [("nonsense\n", "is no recording"), ('{"at": 1}\n', "neither"), (None, "cannot read")],
)
def test_a_file_that_is_not_a_recording_is_named(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Failure, match=says):
        asyncio.run(open_port(f"replay:{path}"))


def test_a_recording_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        with PtyEnd() as end, pytest.raises(Failure, match="cannot write the recording"):
            await open_port(str(end.path), record=tmp_path / "nowhere" / "wire.jsonl")

    asyncio.run(main())
