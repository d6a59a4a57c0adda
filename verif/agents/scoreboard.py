"""Check what a seal has reported against what the monitors at its pins have seen.

The host's codec decodes, and the rules are written from the requirements, not from the gateware.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meterseal.domain.image import Identity
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.signing import verify
from meterseal.protocols.dlt645.decoder import Decoder, Discarded, Received
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import Di
from verif.agents.uart import Character
from verif.models.analogue import Loop

__all__ = ["ReceivedFrame", "Scoreboard"]

#: A change of the loop that holds for longer than the first is an event, for less than the second not (ns).
HELD, NOT_HELD = 21e6, 19e6
ACKNOWLEDGEMENT = 0x94


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame on the bus, the time (ns) at which it was complete, and whether the chip has sent it."""

    at: float
    frame: Frame
    own: bool

    @property
    def is_report(self) -> bool:
        """Whether it is a seal's report."""
        return self.own and self.frame.control == 0x14 and self.frame.di == Di.REPORT

    @property
    def raw(self) -> bytes:
        """The record in a report, or in an answer to a read."""
        return self.frame.data[12:] if self.is_report else self.frame.content


@dataclass
class Scoreboard:
    """Checks the seal with this `identity`, whose last report before this power-up had this `counter`."""

    identity: Identity
    counter: int = 0
    frames: list[ReceivedFrame] = field(default_factory=list)
    #: Bytes outside of frames, and whether the chip has sent them.
    garbage: list[tuple[bool, bytes]] = field(default_factory=list)
    _decoders: dict[bool, Decoder] = field(default_factory=lambda: {True: Decoder(), False: Decoder()})

    def character(self, character: Character, own: bool) -> ReceivedFrame | None:
        """Take a character from the bus monitor; return the frame that it completes, if any."""
        found = None
        if not character.good:
            self.garbage.append((own, bytes([character.value])))
            return None
        for event in self._decoders[own].feed(bytes([character.value]), character.end / 1e9):
            if isinstance(event, Received):
                found = ReceivedFrame(character.end, event.frame, own)
                self.frames.append(found)
            elif isinstance(event, Discarded):
                self.garbage.append((own, event.raw))
        return found

    def records(self) -> list[SealRecord]:
        """Return the reported records, each event once and in order; check signature and seal of each."""
        found: dict[int, SealRecord] = {}
        for heard in self.frames:
            if heard.is_report:
                record = self.record(heard)
                assert record.counter >= max(found, default=0), "an event was reported after a later one"
                found.setdefault(record.counter, record)
        return list(found.values())

    def boot(self) -> SealRecord | None:
        """Return the first event since this power-up, once it has been reported."""
        fresh = [record for record in self.records() if not record.flags & Flags.AGE_UNKNOWN]
        return fresh[0] if fresh else None

    def assets(self) -> list[str]:
        """Return the asset number of each report that has one."""
        reports = [heard.frame for heard in self.frames if heard.own and heard.frame.di == Di.REPORT_IDENTITY]
        return [frame.data[18:].rstrip(b"\0")[::-1].decode("ascii") for frame in reports]

    def record(self, heard: ReceivedFrame) -> SealRecord:
        """Return the verified record of a frame."""
        record = SealRecord.decode(heard.raw)
        assert verify(self.identity.key, heard.raw), "the record's MAC is wrong"
        assert record.seal == self.identity.seal
        return record

    def check(self, moved: list[tuple[float, Loop]], states: dict[Loop, StateClass], end: float) -> None:
        """Check the reports for a loop that was `moved` so; `states` has the class of each of its states."""
        records = self.records()
        assert [(record.kind, record.state) for record in records] == _events(moved, states, end)
        counters = [record.counter for record in records]
        assert counters == [self.counter + 1 + n for n in range(len(counters))]
        assert len({record.boot for record in records}) == 1
        for heard in self.frames:
            if heard.is_report:
                assert heard.frame.address == self.identity.meter
                assert self.record(heard).age * 1e9 <= heard.at


def _events(
    moved: list[tuple[float, Loop]], states: dict[Loop, StateClass], end: float
) -> list[tuple[Kind, StateClass]]:
    """Return the events of a loop that was `moved` so; the first one is the state found at power-up."""
    events: list[tuple[Kind, StateClass]] = []
    seen: list[tuple[float, StateClass]] = []
    for at, loop in moved:
        if not seen or seen[-1][1] != states[loop]:
            seen.append((at, states[loop]))
    for (at, state), until in zip(seen, [at for at, _ in seen[1:]] + [end], strict=True):
        held = until - at
        assert not NOT_HELD < held < HELD, "the test leaves open whether there is an event"
        if held > HELD and (not events or events[-1][1] != state):
            kind = Kind.CLOSED if state == StateClass.SEALED else Kind.OPENED
            events.append((kind if events else Kind.BOOT, state))
    return events
