"""Addresses are full, shortened (缩位寻址), wildcard or broadcast.

An address is written as its 12 printed digits, high digit first. In a request the high bytes may be `AA`: it
is meant for the slave whose low digits match, which answers with its full address.
"""

from __future__ import annotations

__all__ = ["BROADCAST", "WILDCARD", "matches"]

#: Address of every slave; only for 08H and 16H, which are then not answered.
BROADCAST = "999999999999"
#: Address of the only slave on the line, whatever its own is.
WILDCARD = "AAAAAAAAAAAA"


def matches(asked: str, address: str) -> bool:
    """Return whether a request to `asked` means the slave at `address`; the caller handles broadcasts."""
    while asked.startswith("AA"):
        asked = asked[2:]
    return address.endswith(asked)
