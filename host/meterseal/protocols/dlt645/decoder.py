"""A byte stream is split into frames and the bytes that belong to none.

Every byte fed comes out again exactly once, in order, as `raw` of a `Received` or a `Discarded`; the last
ones after `idle`. A frame is found by its length and checksum. When those do not fit, only the 68H that
seemed to begin it is given up and the search continues with the byte after it, so that a good frame that
starts inside a damaged one is not lost.

Guarantees: `test_dlt645_decoder.py::test_nothing_is_lost`, `::test_chunking_does_not_matter`,
`::test_memory_is_bounded`, `::test_good_frame_inside_a_bad_one`.
"""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.protocols.dlt645.control import TB_MAX
from meterseal.protocols.dlt645.frame import LONGEST, OVERHEAD, Fault, Frame, check

__all__ = ["PREAMBLE_MAX", "Decoder", "Discarded", "Received"]

#: Most preamble bytes kept with a frame; a longer run of FE is noise.
PREAMBLE_MAX = 64

_NOISE = Fault.NOISE


@dataclass(frozen=True, slots=True)
class Received:
    """A good frame was received; `raw` has its bytes, preamble included."""

    frame: Frame
    raw: bytes


@dataclass(frozen=True, slots=True)
class Discarded:
    """Bytes were discarded that belong to no good frame."""

    raw: bytes
    reason: Fault


class Decoder:
    """Decode one byte stream; never more than two longest frames are held.

    Times are seconds of a steady clock. Bytes that begin a frame wait for the rest of it until `deadline`;
    then `idle`, or the next `feed`, or before that `flush`, gives them up and looks for a frame inside them.
    """

    def __init__(self) -> None:
        #: Bytes not reported yet: refused ones up to `_from`, then what may become a frame.
        self._rest = b""
        self._from = 0
        self._reason = _NOISE
        #: How far the refused frame at the front of them reaches.
        self._refused = 0
        self._last = 0.0

    @property
    def busy(self) -> bool:
        """Whether a frame, or its preamble, has begun and not ended."""
        return bool(self._rest)

    @property
    def deadline(self) -> float | None:
        """Return when the frame that has begun ends for want of bytes (Tb); None when none has begun."""
        return self._last + TB_MAX if self._rest else None

    def feed(self, data: bytes, now: float) -> list[Received | Discarded]:
        """Return what the bytes in `data`, read at `now`, complete."""
        if not data:
            return []
        ended = self.flush() if now - self._last > TB_MAX else []
        self._last = now
        return ended + self._scan(self._rest + data, final=False)

    def idle(self, now: float) -> list[Received | Discarded]:
        """Return the rest of a frame that did not continue within Tb; nothing before `deadline`."""
        return self.flush() if now >= self._last + TB_MAX else []

    def flush(self) -> list[Received | Discarded]:
        """Return the rest of a frame that will not continue, whenever it began."""
        return self._scan(self._rest, final=True) if self._rest else []

    def _scan(self, raw: bytes, *, final: bool) -> list[Received | Discarded]:
        """Return what is decided about `raw` and keep the rest; with `final` nothing is kept."""
        events: list[Received | Discarded] = []
        begin, reason, refused = 0, self._reason, self._refused
        start = raw.find(b"\x68", self._from)
        while start >= 0:
            outcome = check(raw, start)
            if isinstance(outcome, int):
                preamble = _preamble(raw, begin, start)
                if preamble > begin:
                    events.append(Discarded(raw[begin:preamble], reason))
                events.append(Received(Frame.at(raw, start), raw[preamble:outcome]))
                begin, reason, refused = outcome, _NOISE, outcome
                start = raw.find(b"\x68", outcome)
                continue
            if outcome is Fault.INCOMPLETE and not final:
                break
            # Bytes inside a refused frame are refused with it, unless a good frame begins there.
            if outcome is not Fault.NOISE and start >= refused:
                preamble = _preamble(raw, begin, start)
                if preamble > begin:
                    events.append(Discarded(raw[begin:preamble], reason))
                begin, reason = preamble, outcome
                refused = len(raw) if outcome is Fault.INCOMPLETE else start + OVERHEAD + raw[start + 9]
            start = raw.find(b"\x68", start + 1)
        # Refused bytes stay until it is known whether the frame that begins after them is good, and are then
        # reported as one piece. A limit bounds the memory.
        if start < 0 or start - begin > LONGEST:
            keep = len(raw) if final else _preamble(raw, begin, start if start >= 0 else len(raw))
            if keep > begin:
                events.append(Discarded(raw[begin:keep], reason))
            begin, reason, refused = keep, _NOISE, keep
        self._rest = raw[begin:]
        self._from = max(start - begin, 0)
        self._reason = reason
        self._refused = refused - begin
        return events


def _preamble(raw: bytes, begin: int, start: int) -> int:
    """Return where the run of FE before `start` begins, looking back no further than `begin`."""
    return max(begin + len(raw[begin:start].rstrip(b"\xfe")), start - PREAMBLE_MAX)
