"""`HOST:PORT` as users type it, and the socket that listens there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from meterseal.errors import Failure

__all__ = ["bound_to", "format_endpoint", "listening", "parse_endpoint"]


def parse_endpoint(text: str) -> tuple[str, int]:
    """Host and TCP port of `HOST:PORT` or `[IPV6]:PORT`; port 0 stands for any free one.

    Raises `Failure` when the text is anything else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise Failure(f"{text!r} is not HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:7000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_endpoint(host: str, port: int) -> str:
    """What `parse_endpoint` reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def listening(endpoint: str) -> Iterator[socket.socket]:
    """A socket that listens at `endpoint`; a `Failure` when the address is taken or not this machine's."""
    host, port = parse_endpoint(endpoint)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Failure(f"cannot listen on {endpoint}: {error.strerror}; choose another HOST:PORT") from error
    with listener:
        yield listener


def bound_to(listener: socket.socket) -> str:
    """Where it listens, with its true port."""
    return format_endpoint(*listener.getsockname()[:2])
