"""All theorems, and the table of them in `docs/verification.md`."""

from __future__ import annotations

from formal import transceiver, uart
from formal.theorem import Theorem

__all__ = ["THEOREMS", "table"]

THEOREMS = [
    found for module in (uart, transceiver) for found in vars(module).values() if isinstance(found, Theorem)
]


def table() -> str:
    """Markdown: each theorem with what it says."""
    lines = ["| theorem | says | for | k | covers within | run by |", "|---|---|---|---|---|---|"]
    for it in THEOREMS:
        by = "make verify" if it.long else "make test"
        place = f"`{it.file}::{it.name}`"
        lines.append(f"| {place} | {it.says} | {it.parameters} | {it.k} | {it.reach} cycles | `{by}` |")
    return "\n".join(lines) + "\n"
