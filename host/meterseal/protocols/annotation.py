"""The explanations of both protocols are lists of annotated fields."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.octets.hexadecimal import hex_bytes

__all__ = ["Annotation", "plain", "plain_field"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One field of a frame has its name in the standard, its wire bytes, and their meaning in zh and en."""

    field: str
    raw: bytes
    zh: str
    en: str


def plain(raw: bytes) -> str:
    """Return bytes as they are, in hex; a dash for none."""
    return hex_bytes(raw) or "–"


def plain_field(field: str, raw: bytes) -> list[Annotation]:
    """Annotate bytes whose meaning is not known; no bytes make no annotation."""
    return [Annotation(field, raw, plain(raw), plain(raw))] if raw else []
