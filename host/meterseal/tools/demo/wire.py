"""The bytes of a trace line, summarised for the display."""

from __future__ import annotations

from typing import Any

from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.csg1209022.codes import AFN_NAMES, DI_NAMES
from meterseal.protocols.csg1209022.frame import Frame as UplinkFrame
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.protocols.dlt645.items import find
from meterseal.tools.frame.examine import examine

__all__ = ["summary"]

_SHOWN_BYTES, _SHOWN_CHARACTERS = 24, 160


def summary(line: dict[str, Any]) -> str:
    """Return the content of a `wire` line: its frames decoded, or the text unchanged."""
    if line["wire"] not in ("rs485", "uplink"):
        text = str(line["bytes"]).strip()
        return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"
    raw = bytes.fromhex(line["bytes"])
    parts = [_frame(found.frame) for found in examine(raw) if found.frame is not None]
    shown = hex_bytes(raw) if len(raw) <= _SHOWN_BYTES else hex_bytes(raw[:_SHOWN_BYTES]) + " …"
    return f"{shown}  [{'; '.join(parts) or f'{len(raw)} bytes'}]"


def _frame(frame: MeterFrame | UplinkFrame) -> str:
    if isinstance(frame, MeterFrame):
        item = "" if frame.di is None else f" {frame.di:08X} {find(frame.di).en}"
        return f"645 {frame.control:02X} {frame.address}{item}"
    name = AFN_NAMES.get(frame.afn, ("", ""))[1]
    item = DI_NAMES.get(frame.di, ("", ""))[1]
    return f"CSG {frame.control:02X} AFN {frame.afn:02X} {name} {frame.di:08X} {item}".rstrip()
