"""Parses `HOST:PORT` as users type it, and opens the listening socket of every TCP server in the chain."""

from __future__ import annotations

import socket

from meterseal.errors import Failure

__all__ = ["bound_to", "format_endpoint", "open_listener", "parse_endpoint"]

#: Connections that may wait to be accepted, enough for all terminals to come back at once.
_BACKLOG = 1024


def parse_endpoint(text: str) -> tuple[str, int]:
    """Return host and TCP port of `HOST:PORT` or `[IPV6]:PORT`; port 0 stands for any free one.

    Raises `Failure` when the text is anything else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise Failure(f"{text!r} is not HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:7000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_endpoint(host: str, port: int) -> str:
    """Write an endpoint as `parse_endpoint` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_listener(endpoint: str) -> socket.socket:
    """Open a socket that listens at `endpoint`; `Failure` when the address is taken or not this machine's."""
    host, port = parse_endpoint(endpoint)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A name may have addresses of both families; IPv4 first, as a port that is typed as digits is.
        family, *_, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Failure(
            f"cannot listen on {endpoint}: {error.strerror or error}; choose another HOST:PORT"
        ) from None


def bound_to(listener: socket.socket) -> str:
    """Return the endpoint where `listener` listens, with its true port."""
    return format_endpoint(*listener.getsockname()[:2])
