"""Collects all theorems, and makes the table of them in `docs/verification.md`."""

from __future__ import annotations

from verif.formal import (
    bus,
    control_core,
    deframer,
    framer,
    gsm,
    loop,
    password,
    processor,
    sense,
    slave,
    transceiver,
    uart,
)
from verif.formal.firmware import FIRMWARE_THEOREMS, FirmwareTheorem
from verif.formal.theorem import Theorem

__all__ = ["CIRCUIT_THEOREMS", "THEOREMS", "table"]

MODULES = (
    uart,
    transceiver,
    framer,
    deframer,
    bus,
    loop,
    sense,
    gsm,
    password,
    slave,
    processor,
    control_core,
)
CIRCUIT_THEOREMS = [it for module in MODULES for it in vars(module).values() if isinstance(it, Theorem)]


THEOREMS: list[Theorem | FirmwareTheorem] = [*CIRCUIT_THEOREMS, *FIRMWARE_THEOREMS]


def table() -> str:
    """Return a Markdown table of all theorems with their statements."""
    lines = ["| theorem | says | for | k | covers within | run by |", "|---|---|---|---|---|---|"]
    for it in THEOREMS:
        by = "make verify" if it.long else "make test"
        place = f"`{it.file}::{it.name}`"
        lines.append(f"| {place} | {it.says} | {it.parameters} | {it.k} | {it.reached_within} | `{by}` |")
    return "\n".join(lines) + "\n"
