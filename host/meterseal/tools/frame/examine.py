"""Bytes of unknown origin, split in order into frames of either protocol and bytes that are no frame."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from meterseal.protocols.csg1209022 import frame as uplink
from meterseal.protocols.csg1209022.decoder import Decoder as UplinkDecoder
from meterseal.protocols.csg1209022.decoder import Received as UplinkReceived
from meterseal.protocols.csg1209022.frame import Frame as UplinkFrame
from meterseal.protocols.dlt645 import frame as dlt645
from meterseal.protocols.dlt645.decoder import Decoder as MeterDecoder
from meterseal.protocols.dlt645.decoder import Received as MeterReceived
from meterseal.protocols.dlt645.frame import Frame as MeterFrame

__all__ = ["Examined", "Protocol", "examine", "parse_hex"]

START = 0x68


class Protocol(StrEnum):
    """The protocol by which bytes are decoded."""

    AUTO = "auto"
    DLT645 = "dlt645"
    UPLINK = "uplink"


@dataclass(frozen=True, slots=True)
class Examined:
    """One frame with its bytes; for bytes that are none, `frame` is None and `reason` explains it."""

    protocol: Protocol
    raw: bytes
    frame: MeterFrame | UplinkFrame | None
    reason: str = ""


def parse_hex(text: str) -> bytes:
    """Return the bytes of hexadecimal digits; blanks, newlines, colons, commas, dashes, `0x` are skipped."""
    digits = re.sub(r"0[xX]|[\s:,-]", "", text)
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a hexadecimal digit")
    if len(digits) % 2:
        raise ValueError(f"{len(digits)} hexadecimal digits: one is missing or one too many")
    return bytes.fromhex(digits)


def examine(raw: bytes, protocol: Protocol = Protocol.AUTO) -> list[Examined]:
    """Return every frame in `raw` and the bytes between them; the raw parts together are `raw`.

    A meter frame inside an uplink frame belongs to it. Guarantee:
    `test_frame_examine.py::test_parts_together_are_the_input`.
    """
    candidates = []
    if protocol is not Protocol.UPLINK:
        candidates += _meter_frames(raw)
    if protocol is not Protocol.DLT645:
        candidates += _uplink_frames(raw)
    # The candidate that starts first is the frame; of two that start together, the longer one.
    candidates.sort(key=lambda found: (found[0], -len(found[1].raw)))
    parts: list[Examined] = []
    done = 0
    for start, found in candidates:
        if start < done:
            continue
        parts += _no_frame(raw, done, start, protocol)
        parts.append(found)
        done = start + len(found.raw)
    return parts + _no_frame(raw, done, len(raw), protocol)


def _meter_frames(raw: bytes) -> list[tuple[int, Examined]]:
    decoder = MeterDecoder()
    found, position = [], 0
    for event in decoder.feed(raw, 0.0) + decoder.idle(math.inf):
        if isinstance(event, MeterReceived):
            found.append((position, Examined(Protocol.DLT645, event.raw, event.frame)))
        position += len(event.raw)
    return found


def _uplink_frames(raw: bytes) -> list[tuple[int, Examined]]:
    decoder = UplinkDecoder()
    found, position = [], 0
    for event in decoder.feed(raw) + decoder.flush():
        if isinstance(event, UplinkReceived):
            found.append((position, Examined(Protocol.UPLINK, event.raw, event.frame)))
        position += len(event.raw)
    return found


def _no_frame(raw: bytes, begin: int, end: int, protocol: Protocol) -> list[Examined]:
    """Return the part from `begin` to `end`, with the reason why no frame starts where one seems to."""
    if begin == end:
        return []
    part = raw[begin:end]
    start = raw.find(START, begin, end)
    if start < 0:
        return [Examined(protocol, part, None, "no byte 68 starts a frame")]
    claimed = raw[start:]
    if protocol is Protocol.AUTO:
        twice = claimed[5:6] == bytes([START]) or claimed[1:3] == claimed[3:5]
        protocol = Protocol.UPLINK if twice and claimed[7:8] != bytes([START]) else Protocol.DLT645
    if protocol is Protocol.UPLINK:
        reason = _reason(UplinkFrame.decode, claimed[: _uplink_total(claimed)])
    else:
        reason = _reason(MeterFrame.decode, claimed[: _meter_total(claimed)])
    return [Examined(protocol, part, None, reason)]


def _uplink_total(claimed: bytes) -> int:
    return int.from_bytes(claimed[1:3], "little") + uplink.OVERHEAD_BYTES


def _meter_total(claimed: bytes) -> int:
    return dlt645.OVERHEAD + claimed[9] if len(claimed) > 9 else len(claimed)


def _reason(decode: Callable[[bytes], object], claimed: bytes) -> str:
    try:
        decode(claimed)
    except ValueError as error:
        return str(error)
    return "the frame overlaps another one"
