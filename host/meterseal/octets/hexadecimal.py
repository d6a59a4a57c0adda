"""Bytes are written as hexadecimal digits in two ways, one for machines and one for people."""

from __future__ import annotations

__all__ = ["hex_bytes", "hex_digits"]


def hex_digits(raw: bytes) -> str:
    """Return the digits of `raw` without a space, as JSON, traces and printed addresses have them."""
    return raw.hex().upper()


def hex_bytes(raw: bytes) -> str:
    """Return the digits of `raw` with a space between the bytes, as messages for people have them."""
    return raw.hex(" ").upper()
