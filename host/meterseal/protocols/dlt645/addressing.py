"""Addresses: full, shortened (缩位寻址), wildcard and broadcast.

An address is its 12 printed digits, high digit first. In a request the high bytes may be `AA`: the slave
whose low digits match is meant, and answers with its full address.
"""

from __future__ import annotations

__all__ = ["BROADCAST", "WILDCARD", "matches"]

#: Every slave; only for 08H and 16H, and nobody answers.
BROADCAST = "999999999999"
#: The only slave on the line, whatever its address.
WILDCARD = "AAAAAAAAAAAA"


def matches(asked: str, address: str) -> bool:
    """Whether a request to `asked` means the slave at `address`; broadcast is the caller's business."""
    while asked.startswith("AA"):
        asked = asked[2:]
    return address.endswith(asked)
