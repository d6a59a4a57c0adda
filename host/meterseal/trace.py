"""A running link writes a trace, one line for each thing that it received, sent or did.

A line is JSON (`--json`) or plain text. Traces serve users and the demo's display; nothing in the chain
depends on them.
"""

from __future__ import annotations

import json
import sys
from typing import TextIO

from meterseal.clock import Clock, SystemClock, isoformat
from meterseal.octets.hexadecimal import hex_digits

__all__ = ["Trace"]


class Trace:
    """Write the lines of one system (`chip`, `meter`, `terminal`, `metering`, `marketing`, `customer`)."""

    def __init__(
        self,
        system: str,
        *,
        as_json: bool = False,
        stream: TextIO | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._system = system
        self._as_json = as_json
        self._stream = stream or sys.stdout
        self._clock = clock or SystemClock()

    def __call__(self, what: str, **fields: object) -> None:
        """Report that `what` happened.

        The demo knows `ready`, `wire` (direction `tx`/`rx`, `wire`, `bytes` in hex), `event` (seal,
        boot, counter, kind), `alarm` (code, seal, counter, `raised` or cleared), `lamps`, `message`
        (number, text), `discarded` (bytes, reason), `lost` (a connection, reason).
        """
        time = isoformat(self._clock.now())
        if self._as_json:
            line = json.dumps(
                {"time": time, "system": self._system, "what": what, **fields}, ensure_ascii=False
            )
        else:
            rest = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{time} {self._system}: {what} {rest}".rstrip()
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError:
            # The reader has gone; the chain goes on without it.
            self._stream = open("/dev/null", "w")  # noqa: PTH123, SIM115

    def wire(self, wire: str, direction: str, raw: bytes) -> None:
        """Report bytes that passed on `wire`, sent (`tx`) or received (`rx`)."""
        self("wire", direction=direction, wire=wire, bytes=hex_digits(raw))
