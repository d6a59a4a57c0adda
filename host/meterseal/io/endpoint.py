"""`HOST:PORT` as users type it."""

from __future__ import annotations

from meterseal.errors import Failure

__all__ = ["format_endpoint", "parse_endpoint"]


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
