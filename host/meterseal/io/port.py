"""The interface of an open byte port, whatever it is made of, and the exception for its loss."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Port", "PortLost"]


class PortLost(Exception):
    """The port went away and has to be opened again."""


class Port(Protocol):
    """An open byte port has one reader and one writer at a time."""

    async def read(self) -> bytes:
        """Return the next bytes, at least one; raises `PortLost`."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes; raises `PortLost`."""
        ...

    def close(self) -> None:
        """Release the port; closing it twice is allowed."""
        ...
