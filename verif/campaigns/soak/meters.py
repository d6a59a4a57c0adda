"""Simulate the hosts of the soak: meters that may be late or silent, and a stranger that sends at will."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write, read, read_address, write
from meterseal.sim.chip.bus import BusSim
from sealchip.interface import Di

__all__ = ["Meters", "Stranger"]

#: Called with the meter's address, a record written to it, and the time; returns whether it is taken.
Take = Callable[[str, bytes, float], bool]
_ANSWER = 0x80


class Meters:
    """Simulates all meters at one host end; an answer comes in time with the probability `quality`."""

    def __init__(self, bus: BusSim, end: int, addresses: set[str], take: Take, chance: random.Random) -> None:
        self.quality = 1.0
        self._bus, self._end, self._addresses = bus, end, addresses
        self._take, self._random = take, chance
        self._decoder = Decoder()
        self._answers: list[tuple[float, Frame]] = []
        bus.open(end)

    def serve(self, now: float) -> None:
        """Receive and answer; must be called when anything was sent, and at `next_answer`."""
        heard = self._decoder.feed(self._bus.read(self._end), now) + self._decoder.idle(now)
        for decoded in heard:
            if isinstance(decoded, Received):
                self._receive(decoded.frame, now)
        for answer in [answer for answer in self._answers if answer[0] <= now]:
            self._answers.remove(answer)
            self._bus.write(self._end, answer[1].encode())

    @property
    def next_answer(self) -> float:
        """Return the time at which `serve` must be called even if nothing was sent."""
        return min((at for at, _ in self._answers), default=math.inf)

    def forget(self, address: str) -> None:
        """Drop the answers that are still due from the meter at `address`.

        An answer has no number: one that comes later than the standard allows, and after a power-up of the
        seal, cannot be distinguished from that to the seal's next report.
        """
        self._answers = [answer for answer in self._answers if answer[1].address != address]

    def _receive(self, frame: Frame, now: float) -> None:
        if frame.control != Function.WRITE or frame.address not in self._addresses:
            return
        if frame.di == Di.REPORT and not self._take(frame.address, Write.parse(frame).data, now):
            return
        if self._random.random() < self.quality:
            delay = self._random.uniform(0.02, 0.4)
        elif self._random.random() < 0.5:
            delay = self._random.uniform(0.6, 2.0)
        else:
            return
        self._answers.append((now + delay, Frame(frame.address, _ANSWER | Function.WRITE)))


class Stranger:
    """Reads the seals, exchanges frames with others and sends noise, without waiting for its turn."""

    def __init__(self, bus: BusSim, end: int, seals: list[str], chance: random.Random) -> None:
        self._bus, self._end, self._seals, self._random = bus, end, seals, chance
        self._decoder = Decoder()
        bus.open(end)

    def listen(self, now: float) -> list[Frame]:
        """Return the answers with a record that arrived whole."""
        heard = self._decoder.feed(self._bus.read(self._end), now) + self._decoder.idle(now)
        frames = [decoded.frame for decoded in heard if isinstance(decoded, Received)]
        return [frame for frame in frames if frame.from_slave and frame.di == Di.RECORD_NEWEST]

    def transmit(self) -> None:
        """Transmit a frame or noise, as any station on a bus may."""
        seal = self._random.choice(self._seals)
        other = f"{self._random.randrange(900, 999):012d}"
        self._bus.write(
            self._end,
            self._random.choice(
                [
                    read(seal, Di.RECORD_NEWEST).encode(),
                    read(seal, Di.ASSET_NUMBER).encode(),
                    read(other, 0x00010000).encode(),
                    write(other, 0x04000101, self._random.randbytes(4)).encode(),
                    Frame(other, 0x91, b"\0\0\1\0" + self._random.randbytes(4)).encode(),
                    read_address().encode(),
                    self._random.randbytes(self._random.randrange(1, 40)),
                ]
            ),
        )
