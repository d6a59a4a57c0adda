"""Makes the JSON document of one frame that `meterseal frame decode --json` prints."""

from __future__ import annotations

from typing import Any

from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.annotation import Annotation
from meterseal.protocols.csg1209022.explain import explain as explain_uplink
from meterseal.protocols.csg1209022.frame import Frame as UplinkFrame
from meterseal.protocols.dlt645.explain import explain as explain_meter
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.tools.frame.examine import Examined, Protocol

__all__ = ["document", "lines", "text"]


def lines(frame: MeterFrame | UplinkFrame) -> list[Annotation]:
    """Return the frame field by field."""
    return explain_meter(frame) if isinstance(frame, MeterFrame) else explain_uplink(frame)


def text(line: Annotation, lang: str) -> str:
    """Return the text of the line in `zh` or `en`."""
    return line.zh if lang == "zh" else line.en


def document(examined: Examined, lang: str) -> dict[str, Any]:
    """Return the document, with codes and bytes in upper-case hex and an address as its 12 digits.

    That of an invalid frame has `valid` false and `reason`; `protocol` is null where nothing suggests one.
    """
    frame = examined.frame
    if frame is None:
        protocol = None if examined.protocol is Protocol.AUTO else examined.protocol.value
        return {
            "protocol": protocol,
            "valid": False,
            "reason": examined.reason,
            "raw": hex_digits(examined.raw),
        }
    facts = _meter(frame) if isinstance(frame, MeterFrame) else _uplink(frame)
    fields = [
        {"field": line.field, "raw": hex_digits(line.raw), "text": text(line, lang)} for line in lines(frame)
    ]
    return {
        "protocol": examined.protocol.value,
        "valid": True,
        **facts,
        "raw": hex_digits(examined.raw),
        "fields": fields,
    }


def _meter(frame: MeterFrame) -> dict[str, Any]:
    return {
        "address": frame.address,
        "control": f"{frame.control:02X}",
        "di": None if frame.di is None else f"{frame.di:08X}",
        "length": len(frame.data),
        "data": hex_digits(frame.content),
    }


def _uplink(frame: UplinkFrame) -> dict[str, Any]:
    return {
        "control": f"{frame.control:02X}",
        "address": str(frame.address),
        "afn": f"{frame.afn:02X}",
        "di": f"{frame.di:08X}",
        "station": frame.address.station,
        "seq": f"{frame.seq:02X}",
        "da": hex_digits(frame.da),
        "point": frame.point,
        "data": hex_digits(frame.content),
        "password": None if frame.password is None else hex_digits(frame.password),
        "tp": None if frame.tp is None else hex_digits(frame.tp),
    }
