"""An open byte port, whatever it is made of, and its loss."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Port", "PortLost"]


class PortLost(Exception):
    """The port went away; open it again."""


class Port(Protocol):
    """An open byte port. One reader and one writer at a time."""

    async def read(self) -> bytes:
        """The next bytes, at least one; raises `PortLost`."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes; raises `PortLost`."""
        ...

    def close(self) -> None:
        """Give the port back; closing twice is no error."""
        ...
