"""The annotated field that both protocols' explanations are made of."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.hexadecimal import hex_bytes

__all__ = ["Annotation", "plain"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One field of a frame: its name in the standard, its wire bytes, their meaning in zh and en."""

    field: str
    raw: bytes
    zh: str
    en: str


def plain(raw: bytes) -> str:
    """Return bytes as they are, in hex; a dash for none."""
    return hex_bytes(raw) or "–"
