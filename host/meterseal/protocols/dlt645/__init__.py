"""Implements DL/T 645-2007 over any byte stream, sans-IO: frames, decoder, requests, master, slave, items.

It is written from secondary sources (open implementations, transcriptions and real frames), since the text of
the standard is not public; `docs/protocol.md` lists them.
"""

from __future__ import annotations

from meterseal.protocols.dlt645.addressing import BROADCAST, WILDCARD, matches
from meterseal.protocols.dlt645.control import Err, Function
from meterseal.protocols.dlt645.decoder import Decoder, Discarded, Received
from meterseal.protocols.dlt645.frame import Fault, Frame, FrameError

__all__ = [
    "BROADCAST",
    "WILDCARD",
    "Decoder",
    "Discarded",
    "Err",
    "Fault",
    "Frame",
    "FrameError",
    "Function",
    "Received",
    "matches",
]
