"""Implements a device's end of a pseudo terminal; programs open the other end like a serial port."""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path
from types import TracebackType

from meterseal.errors import Failure

__all__ = ["PtyEnd"]


class PtyEnd:
    """Opens a raw pseudo terminal; `path`, if given, becomes a symbolic link to the end that programs open.

    The end persists while programs open and close theirs. Without a reader, bytes are lost as on a wire:
    `write` drops what the system's buffer (at least 4 KiB) cannot take rather than wait.

    Guarantees: `test_io_pty.py`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        #: What programs open: `/dev/pts/N`.
        self.device = os.ttyname(self._slave)
        self._link = Path(path) if path is not None else None
        if self._link is not None:
            try:
                _link(self._link, self.device)
            except BaseException:
                self._close_descriptors()
                raise

    @property
    def path(self) -> str:
        """Return the link if there is one, else the device."""
        return str(self._link or self.device)

    async def read(self) -> bytes:
        """Return the next bytes, at least one. Cancel it before `close`."""
        while True:
            try:
                return os.read(self._master, 4096)
            except BlockingIOError:
                await self._readable()

    async def write(self, data: bytes) -> int:
        """Put bytes on the line and return how many it took."""
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Remove the link and close both ends."""
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self.device:
            self._link.unlink()
        self._close_descriptors()

    def __enter__(self) -> PtyEnd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_descriptors(self) -> None:
        # The slave is kept open until here: without it the master reports EIO when a program leaves.
        os.close(self._master)
        os.close(self._slave)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._master, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._master)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _link(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing an older link in one step."""
    if path.exists() and not path.is_symlink():
        raise Failure(f"{path} exists and is not a link: choose another --pty path or remove the file")
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"cannot make the link {path}: {error.strerror}") from None
