"""Uplink frames are found in a byte stream of any chunking, and all discarded bytes are reported."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.protocols.csg1209022.frame import (
    HEADER_BYTES,
    MAX_LENGTH,
    MIN_LENGTH,
    OVERHEAD_BYTES,
    START,
    Frame,
    FrameError,
)
from meterseal.protocols.csg1209022.timing import PARTIAL_FRAME

__all__ = ["Decoder", "Discarded", "Received", "TimedDecoder"]

NO_START = "no frame starts here"


@dataclass(frozen=True, slots=True)
class Received:
    """A whole frame was received; `raw` has its bytes."""

    frame: Frame
    raw: bytes


@dataclass(frozen=True, slots=True)
class Discarded:
    """Bytes were discarded that belong to no frame, for this reason."""

    raw: bytes
    reason: str


class Decoder:
    """Find frames by length and checksum; 68 and 16 may occur anywhere inside one.

    A start whose length, end byte or checksum is wrong is given up one byte at a time, so that a real
    frame after it, even inside its claimed length, is found. At most `max_length` + 8 bytes are held
    back. A partial frame waits for its rest until `flush`, which the owner calls when the line has been
    quiet for too long or has ended.

    Guarantees: `test_uplink_decoder.py::test_every_byte_is_accounted_for`,
    `test_chunking_does_not_matter`, `test_memory_is_bounded`.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Return the number of bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Received | Discarded]:
        """Take bytes as they came; return frames and discarded bytes in their order."""
        self._buffer += data
        return self._scan(ended=False)

    def flush(self) -> list[Received | Discarded]:
        """Give up the partial frame, since no more bytes come, and find frames inside it."""
        return self._scan(ended=True)

    def _scan(self, *, ended: bool) -> list[Received | Discarded]:
        buffer = self._buffer
        events: list[Received | Discarded] = []
        reason = NO_START
        done = position = 0

        def discard() -> None:
            if position > done:
                events.append(Discarded(bytes(buffer[done:position]), reason))

        while (start := buffer.find(START, position)) >= 0:
            position = start
            total = self._total(position)
            if total == 0:
                position += 1
                continue
            if position + total > len(buffer):
                if not ended:
                    break
                outcome: Frame | str = "the frame is not complete"
            else:
                outcome = _decoded(bytes(buffer[position : position + total]))
            discard()
            done = position
            if isinstance(outcome, Frame):
                position += total
                events.append(Received(outcome, bytes(buffer[done:position])))
                done, reason = position, NO_START
            else:
                position, reason = position + 1, outcome
        else:
            position = len(buffer)
        discard()
        del buffer[:position]
        return events

    def _total(self, position: int) -> int:
        """Return the size of the frame that may start here, as far as it is known; 0 when none can."""
        header = self._buffer[position : position + HEADER_BYTES]
        if len(header) < HEADER_BYTES:
            return HEADER_BYTES if header[:1] == bytes([START]) else 0
        length = int.from_bytes(header[1:3], "little")
        plausible = header[5] == START and header[1:3] == header[3:5]
        return length + OVERHEAD_BYTES if plausible and MIN_LENGTH <= length <= self._max_length else 0


class TimedDecoder:
    """This decoder gives up a partial frame without progress for `PARTIAL_FRAME` seconds."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        #: When `tick` must be called, None while no frame is partial.
        self.deadline: float | None = None

    def feed(self, data: bytes, now: float) -> list[Received | Discarded]:
        """Take bytes as they came."""
        events = self._decoder.feed(data)
        if not self._decoder.pending:
            self.deadline = None
        elif events or self.deadline is None:
            self.deadline = now + PARTIAL_FRAME
        return events

    def tick(self, now: float) -> list[Received | Discarded]:
        """Give up the partial frame when its time is over."""
        return self.flush() if self.deadline is not None and now >= self.deadline else []

    def flush(self) -> list[Received | Discarded]:
        """Give up the partial frame, since no more bytes come."""
        self.deadline = None
        return self._decoder.flush()


def _decoded(raw: bytes) -> Frame | str:
    try:
        return Frame.decode(raw)
    except FrameError as error:
        return str(error)
