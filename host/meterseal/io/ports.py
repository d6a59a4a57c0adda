"""Offers byte ports for asyncio: pyserial URLs, `socket://HOST:PORT`, `listen://HOST:PORT`, `replay:FILE`.

`open_port` opens one connection, which ends with `PortLost`. The links of the chain use `Line`, which opens
the port again whenever it went away.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import serial

from meterseal.errors import Failure
from meterseal.io.endpoint import bound_to, open_listener, parse_endpoint
from meterseal.io.port import Port, PortLost
from meterseal.io.recording import SCHEME, RecordedPort, ReplayPort
from sealchip.interface import DEFAULT_BAUD

__all__ = ["Line", "open_port"]

#: Chunks that may wait for the reader; with as many the port is read no further.
QUEUE_LIMIT = 64
CHUNK = 4096
#: Seconds after which a port that takes no bytes counts as lost.
WRITE_TIMEOUT = 2.0


async def open_port(
    url: str, baud: int = DEFAULT_BAUD, *, even: bool = True, record: Path | None = None
) -> Port:
    """Open `url` once: a device, a PTY, `socket://HOST:PORT`, any other pyserial URL, or `replay:FILE`.

    Real ports are set to 8E1, or 8N1 without `even`. All bytes are added to the file `record`. Raises
    `Failure` when the port is busy or not permitted, `PortLost` when it is not there (yet).
    """
    port = await _open(url, baud, even)
    return port if record is None else RecordedPort(port, record)


async def _open(url: str, baud: int, even: bool) -> Port:
    if url.startswith(SCHEME):
        return ReplayPort(Path(url.removeprefix(SCHEME)))
    if url.startswith("socket://"):
        return await _connect(url.removeprefix("socket://"))
    return await asyncio.to_thread(_open_serial, url, baud, even, asyncio.get_running_loop())


class StreamPort:
    """A TCP connection serves as a port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # A peer that vanished without closing must not hold the line for ever.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def read(self) -> bytes:
        try:
            data = await self._reader.read(CHUNK)
        except OSError as error:
            raise PortLost(str(error)) from None
        if not data:
            raise PortLost("the peer closed the connection")
        return data

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._writer.drain()
        except OSError as error:
            raise PortLost(str(error) or "the peer takes no more bytes") from None

    def close(self) -> None:
        self._writer.close()


class SerialPort:
    """A pyserial port is read by a thread of its own, which also closes it."""

    def __init__(self, port: serial.SerialBase, device: str, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._device = device
        self._loop = loop
        self._queue: asyncio.Queue[bytes | PortLost] = asyncio.Queue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._pump, name=f"read {port.name}", daemon=True)
        self._thread.start()

    async def read(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, PortLost):
            # Stays lost for every later read.
            self._queue.put_nowait(item)
            raise item
        return item

    async def write(self, data: bytes) -> None:
        if self._closing.is_set():
            raise PortLost("the port is closed")
        try:
            await asyncio.to_thread(self._port.write, data)
        except (serial.SerialException, OSError) as error:
            raise PortLost(str(error)) from None

    def close(self) -> None:
        self._closing.set()
        # The thread may be closing the port at this very moment; then there is no read to cancel.
        with contextlib.suppress(OSError, TypeError):
            if hasattr(self._port, "cancel_read"):
                self._port.cancel_read()
        self._thread.join()

    def _pump(self) -> None:
        try:
            while not self._closing.is_set():
                # With a full queue nothing is read, as with a UART whose buffer is full.
                if self._queue.qsize() >= QUEUE_LIMIT:
                    self._closing.wait(0.01)
                elif data := self._port.read(1):
                    self._post(data + self._port.read(min(self._port.in_waiting, CHUNK)))
                else:
                    self._check_link()
        except (serial.SerialException, OSError) as error:
            self._post(PortLost(str(error)))
        else:
            self._post(PortLost("the port is closed"))
        finally:
            self._port.close()

    def _check_link(self) -> None:
        # A simulated chip that starts again makes a new PTY and moves the link; the old number may by
        # then belong to some other program's terminal.
        if os.path.realpath(self._port.portstr) != self._device:
            raise OSError(f"{self._port.portstr} leads to another device now")

    def _post(self, item: bytes | PortLost) -> None:
        # The loop may have ended before the thread did.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


async def _connect(endpoint: str) -> Port:
    host, port = parse_endpoint(endpoint)
    try:
        return StreamPort(*await asyncio.open_connection(host, port))
    except OSError as error:
        raise PortLost(str(error)) from None


def _open_serial(url: str, baud: int, even: bool, loop: asyncio.AbstractEventLoop) -> Port:
    # A PTY drops the parity bit, and asking it for parity twice fails with EINVAL.
    device = os.path.realpath(url)
    if _is_stale(url, device):
        raise PortLost(f"{url} leads to a terminal that is no longer its own")
    parity = serial.PARITY_EVEN if even and not device.startswith("/dev/pts/") else serial.PARITY_NONE
    # pyserial's RFC 2217 client refuses a write timeout.
    write_timeout = None if "://" in url else WRITE_TIMEOUT
    try:
        port = serial.serial_for_url(
            url, baudrate=baud, parity=parity, timeout=0.2, write_timeout=write_timeout, exclusive=True
        )
    except ValueError as error:
        raise Failure(f"cannot use the port {url}: {error}") from None
    except serial.SerialException as error:
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            raise Failure(f"the port {url} is in use by another program: end that program first") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Failure(f"no permission to open the port {url}: join the group that owns it") from None
        raise PortLost(os.strerror(error.errno) if error.errno else str(error)) from None
    except (OSError, termios.error) as error:
        # The other end of the PTY closed while it was being opened; pyserial passes the system's error on.
        raise PortLost(str(error)) from None
    return SerialPort(port, device, loop)


def _is_stale(url: str, device: str) -> bool:
    """Return whether the link `url` is older than the PTY that it leads to.

    A program that was killed cannot remove its link, and the number of its PTY soon belongs to another
    program's. Guarantee: `test_io_ports.py::test_a_link_that_is_older_than_its_terminal_is_not_followed`.
    """
    try:
        if not (device.startswith("/dev/pts/") and Path(url).is_symlink()):
            return False
        return Path(device).stat().st_ctime_ns > Path(url).lstat().st_mtime_ns
    except OSError:
        # It has gone meanwhile, which opening it will report.
        return False


class Listener:
    """The TCP server of `listen://HOST:PORT` serves one client at a time, the others in turn."""

    #: Clients that may wait for their turn.
    BACKLOG = 8

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[StreamPort] = asyncio.Queue(self.BACKLOG)
        self._server: asyncio.Server | None = None

    async def start(self, endpoint: str) -> str:
        """Bind and return the endpoint with its true port."""
        listener = open_listener(endpoint)
        self._server = await asyncio.start_server(self._accepted, sock=listener)
        return bound_to(listener)

    async def accept(self) -> Port:
        return await self._waiting.get()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        while not self._waiting.empty():
            self._waiting.get_nowait().close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = StreamPort(reader, writer)
        try:
            self._waiting.put_nowait(port)
        except asyncio.QueueFull:
            port.close()


class Line:
    """A port that is opened again, with growing pauses (0.2 s to 2 s), whenever it was lost.

    With `listen://HOST:PORT` it waits for a client instead. It reports `connected` and `lost` by `trace`.
    """

    def __init__(
        self, url: str, *, trace: Callable[..., None], baud: int = DEFAULT_BAUD, record: Path | None = None
    ) -> None:
        #: The URL; of `listen://` with its true port after `open`.
        self.url = url
        self._baud = baud
        self._record = record
        self._trace = trace
        self._port: Port | None = None
        self._listener: Listener | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._reason = ""

    async def open(self, wait: float = 5.0) -> None:
        """Open for the first time; raises `Failure` when the port is not there within `wait` seconds."""
        if self.url.startswith("listen://"):
            self._listener = Listener()
            self.url = "listen://" + await self._listener.start(self.url.removeprefix("listen://"))
            return
        try:
            async with asyncio.timeout(wait):
                await self._reopen(PortLost)
        except TimeoutError:
            raise Failure(f"the port {self.url} is not there: {self._reason}") from None

    async def read(self, timeout: float | None = None) -> bytes:
        """Return the next bytes, however often the port goes away before; none after `timeout` seconds."""
        # The task outlives a timeout: a port that is just being opened must not be forgotten half-way.
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait({self._reading}, timeout=timeout)
        if not done:
            return b""
        task, self._reading = self._reading, None
        return task.result()

    async def write(self, data: bytes) -> bool:
        """Send bytes; return False when the port is away, since like a wire it keeps nothing."""
        port = self._port
        if port is None:
            return False
        try:
            await port.write(data)
        except PortLost as lost:
            self._lose(port, lost)
            return False
        return True

    def close(self) -> None:
        """Release the port and its listener."""
        if self._reading is not None:
            self._reading.cancel()
        if self._port is not None:
            self._port.close()
        if self._listener is not None:
            self._listener.close()

    async def _read(self) -> bytes:
        while True:
            port = self._port or await self._reopen(PortLost, Failure)
            try:
                return await port.read()
            except PortLost as lost:
                self._lose(port, lost)

    async def _reopen(self, *retry: type[Exception]) -> Port:
        self._reason = "no answer"
        pause = 0.2
        while self._port is None:
            try:
                if self._listener is not None:
                    self._port = await self._listener.accept()
                else:
                    self._port = await open_port(self.url, self._baud, record=self._record)
            except retry as refused:
                self._reason = str(refused)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
        self._trace("connected", port=self.url)
        return self._port

    def _lose(self, port: Port, lost: PortLost) -> None:
        port.close()
        if self._port is port:
            self._port = None
            self._trace("lost", port=self.url, reason=str(lost))
