"""Convert between bytes and fields, for every layout that `sealchip.interface` defines."""

from __future__ import annotations

from collections.abc import Mapping

from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import Layout

__all__ = ["LayoutError", "pack", "unpack"]


class LayoutError(ValueError):
    """The bytes do not fit the layout; the message names them."""


def pack(layout: Layout, values: Mapping[str, int | bytes]) -> bytes:
    """Return the bytes of `layout`: an int is written little endian, bytes as they are."""
    parts = []
    for field in layout.fields:
        value = values[field.name]
        raw = value.to_bytes(field.width, "little") if isinstance(value, int) else value
        if len(raw) != field.width:
            raise LayoutError(f"{field.name}: {hex_bytes(raw)} is not {field.width} bytes long")
        parts.append(raw)
    return b"".join(parts)


def unpack(layout: Layout, raw: bytes) -> dict[str, bytes]:
    """Return the raw bytes of each field."""
    if len(raw) != layout.size:
        raise LayoutError(f"{hex_bytes(raw)}: {len(raw)} bytes, expected {layout.size}")
    return {field.name: raw[layout.slice(field.name)] for field in layout.fields}
