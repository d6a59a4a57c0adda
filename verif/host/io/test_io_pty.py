"""The device's end of a pseudo terminal carries bytes, and its link follows it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import serial

from meterseal.errors import Failure
from meterseal.io.pty import PtyEnd

EVERY_BYTE = bytes(range(256))


def test_every_byte_passes_both_ways_unchanged() -> None:
    async def main() -> None:
        with PtyEnd() as end, serial.Serial(end.path, timeout=1) as port:
            assert await end.write(EVERY_BYTE) == 256
            assert await asyncio.to_thread(port.read, 256) == EVERY_BYTE
            port.write(EVERY_BYTE)
            got = b""
            while len(got) < 256:
                got += await end.read()
            assert got == EVERY_BYTE

    asyncio.run(main())


def test_a_program_may_leave_and_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        with PtyEnd(tmp_path / "bus") as end:
            for word in (b"one", b"two"):
                with serial.Serial(end.path, timeout=1) as port:
                    port.write(word)
                    assert await end.read() == word

    asyncio.run(main())


def test_a_line_without_listener_loses_bytes_and_never_waits() -> None:
    async def main() -> None:
        with PtyEnd() as end:
            async with asyncio.timeout(5):
                while await end.write(bytes(1000)):
                    pass

    asyncio.run(main())


def test_the_link_replaces_a_stale_one_and_goes_with_the_end(tmp_path: Path) -> None:
    link = tmp_path / "bus"
    link.symlink_to("/dev/pts/99999")
    with PtyEnd(link) as end:
        assert os.path.realpath(link) == end.device
        with PtyEnd(link) as newer:
            pass
        assert not link.exists()
        assert newer.device != end.device
    assert not link.is_symlink()


def test_an_end_leaves_the_link_of_its_successor_alone(tmp_path: Path) -> None:
    link = tmp_path / "bus"
    older = PtyEnd(link)
    with PtyEnd(link) as newer:
        older.close()
        assert os.path.realpath(link) == newer.device


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    with pytest.raises(Failure, match="exists and is not a link"):
        PtyEnd(file)
    assert file.read_text() == "mine"
    with pytest.raises(Failure, match="cannot make the link"):
        PtyEnd(tmp_path / "nowhere" / "bus")
