"""Simulates seals on a bus, lets everything happen to them that may, and checks what must never be seen."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from meterseal.domain.image import Identity, image
from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Flags, SealRecord, StateClass
from meterseal.domain.signing import verify
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import Loop
from sealchip.interface import SEALED_MV
from verif.campaigns.soak.meters import Meters, Stranger
from verif.campaigns.soak.model import PowerUp, Promise, Report, explain

__all__ = ["PROMISES", "ViolationError", "World"]

BAUD = 2400
#: Seconds within which an undisturbed loop has been reported: more than the longest back-off.
DRAIN_MAX = 120.0

#: Promise by front end. The debounce time is 19 to 20 ms; a converter sees an edge up to 8 ms late, and sees
#: nothing while its driven pattern is off, which takes 20 ms.
PROMISES = {
    "comparator": Promise(hold_min=0.018, hold_max=0.023),
    "sigma-delta": Promise(hold_min=0.010, hold_max=0.060, measures=True),
}


class ViolationError(AssertionError):
    """Raised when the chip did what it must never do; the message states what, when, and which seal."""


@dataclass(slots=True)
class _Seal:
    """Holds one seal, what was done to it since the last settlement, and what resulted from it."""

    index: int
    identity: Identity
    flash: FlashFile
    measures: bool
    closed: bool = False
    loop: Loop = field(default_factory=Loop)
    power_ups: list[PowerUp] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    #: Every record ever seen, by counter.
    facts: dict[int, SealRecord] = field(default_factory=dict)
    #: Counters of the records that the meter has accepted.
    at_meter: set[int] = field(default_factory=set)
    unsealed_since: float = 0.0

    @property
    def powered(self) -> bool:
        return bool(self.power_ups) and self.power_ups[-1].end is None

    @property
    def position(self) -> StateClass:
        """Return the class that the loop has in truth."""
        if self.loop.foreign_mv is not None:
            return StateClass.MISMATCH
        if self.measures and self.loop.jumper:
            return StateClass.HIGH
        if self.measures and self.closed and self.loop.contact_mv < SEALED_MV:
            return StateClass.LOW
        return StateClass.SEALED if self.closed or self.loop.jumper else StateClass.OPEN


class World:
    """Simulates `seals` chips, their meters and a stranger. All randomness comes from `seed`.

    `calm` states how many times rarer things happen than at the rate that keeps all chips busy; idle time is
    skipped where the chips allow it. Raises `ViolationError`.
    Test: `verif/campaigns/soak/test_soak.py`.
    """

    def __init__(
        self, library: Path, folder: Path, *, seals: int, seed: int, promise: Promise, calm: float = 1.0
    ) -> None:
        self._random = random.Random(seed)
        self._promise, self._calm = promise, calm
        self._seals = [self._new_seal(index, folder) for index in range(seals)]
        self._of_meter = {seal.identity.meter: seal for seal in self._seals}
        self.bus = BusSim(library, chips=seals, ends=2, baud=BAUD, seed=seed)
        self.bus.skip_idle()
        self.meters = Meters(self.bus, 0, set(self._of_meter), self._take, self._random)
        addresses = [seal.identity.seal for seal in self._seals]
        self._stranger = Stranger(self.bus, 1, addresses, self._random)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._disturbed_bits, self._disturbed_at = 0, -1.0
        #: Counts of what happened, by kind.
        self.done: dict[str, int] = {}
        for seal in self._seals:
            self.bus.attach_flash(seal.index, seal.flash)

    def close(self) -> None:
        """Power everything off for good."""
        self.bus.close()
        for seal in self._seals:
            seal.flash.close()

    def episode(self, seconds: float) -> None:
        """Let everything happen at once for `seconds` of simulated time, multiplied by `calm`; then rest,
        after which all events must have been reported.
        """
        for seal in self._seals:
            self._power(seal, on=True)
        if not self.done:
            self._seal_all()
        actions = (
            (self._move_one, 1.5),
            (self._bounce_one, 2.0),
            (self._twitch_one, 2.0),
            (self._storm_one, 25.0),
            (self._cut_one, 3.0),
            (self._disturb_bus, 6.0),
            (self._change_meters, 5.0),
            (self._stranger.transmit, 1.0),
            (self._disturb_loop, 10.0),
            (self._attack_one, 8.0),
        )
        end = self.bus.now + seconds * self._calm
        for action, pause in actions:
            self._again(action, pause * self._calm, end)
        self._run(end)
        self._rest()

    def _seal_all(self) -> None:
        """Close every seal for the first time, undisturbed, so that the chip learns the sealed loop."""
        for seal in self._seals:
            self._move(seal, closed=True)
        self._run(self.bus.now + 2.0)

    def _again(self, action: Callable[[], None], pause: float, end: float) -> None:
        """Do `action` at random times, `pause` seconds apart on average, until `end`."""
        at = self.bus.now + self._random.expovariate(1 / pause)

        def act() -> None:
            self._count(action.__name__.strip("_"))
            action()
            self._again(action, pause, end)

        if at < end:
            self._at(at, act)

    def _at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._order), act))

    def _run(self, end: float) -> None:
        """Simulate until `end`; actions that are due happen between any two clock cycles."""
        while (now := self.bus.now) < end:
            until = min(end, self.meters.next_answer, self._due[0][0] if self._due else end)
            self.bus.run_until_seen(max(until - now, 1 / CLOCK_HZ))
            now = self.bus.now
            self._look(now)
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()

    def _rest(self) -> None:
        """Repair everything and leave it alone; every seal must report its state, and the model must agree.

        In the end every head is put in, because only a green lamp shows that nothing is left to report.
        """
        while self._due:
            heapq.heappop(self._due)[2]()
        self.bus.noise(0.0, 0.0)
        self.meters.quality = 1.0
        for seal in self._seals:
            self._move(seal, **asdict(Loop()))
            if not seal.powered:
                self._power(seal, on=True)
        self._settle()
        for seal in self._seals:
            self._move(seal, closed=True)
        self._settle()
        for seal in self._seals:
            self._power(seal, on=False)
            self._count("events", len(seal.reports))
            seal.power_ups, seal.reports = [], []

    def _settle(self) -> None:
        """Wait until every seal is as it must be; raise `ViolationError` when that takes too long."""
        end = self.bus.now + DRAIN_MAX
        while wrong := self._unsettled():
            if self.bus.now > end:
                raise ViolationError(f"{DRAIN_MAX:g} s of rest and still: {wrong}")
            self._run(self.bus.now + 2.0)

    def _unsettled(self) -> str:
        """Describe the first seal that is not as it must be once everything has been reported."""
        for seal in self._seals:
            wrong = explain(seal.power_ups, seal.reports, self._promise, self.bus.now)
            if not wrong and seal.closed != bool(self.bus.chip(seal.index).lamps & 1):
                wrong = f"head {seal.position.name.lower()}, lamps {self.bus.chip(seal.index).lamps}"
            if wrong:
                return f"seal {seal.identity.seal}: {wrong}"
        return ""

    def _new_seal(self, index: int, folder: Path) -> _Seal:
        identity = Identity(
            f"{101 + index:012d}",
            f"SOAK-{index}",
            f"{201 + index:012d}",
            key=self._random.randbytes(16),
            baud=BAUD,
        )
        path = folder / f"{index}.bin"
        path.write_bytes(image(identity))
        return _Seal(index, identity, FlashFile(path), self._promise.measures)

    # Things that may happen

    def _one(self) -> _Seal:
        return self._random.choice(self._seals)

    def _move(self, seal: _Seal, *, closed: bool | None = None, **changes: Any) -> None:
        """Set the position of the head, and change its loop, from now on."""
        before = seal.position
        seal.closed = seal.closed if closed is None else closed
        seal.loop = replace(seal.loop, **changes)
        self.bus.position(seal.index, seal.closed)
        self.bus.loop(seal.index, seal.loop)
        if seal.position is not before:
            seal.unsealed_since = self.bus.now
            # Nothing is done then: the lamp is checked just after the time at which it must be out.
            self._at(self.bus.now + self._promise.latest(seal.position) + 0.001, lambda: None)
            if seal.powered:
                seal.power_ups[-1].positions.append((self.bus.now, seal.position))

    def _move_one(self) -> None:
        seal = self._one()
        self._move(seal, closed=not seal.closed)

    def _bounce_one(self) -> None:
        """Let the contact bounce for up to 15 ms, then stay in the other position."""
        seal = self._one()
        self._flutter(
            seal, [self._random.uniform(0.0002, 0.003) for _ in range(2 * self._random.randrange(3) + 1)]
        )

    def _twitch_one(self) -> None:
        """Change the position for a time that is too short for an event, just long enough, or in between."""
        self._flutter(self._one(), [self._random.uniform(0.0001, 0.040)] * 2)

    def _storm_one(self) -> None:
        """Let the contact chatter."""
        self._flutter(
            self._one(), [self._random.uniform(0.03, 1.0) for _ in range(self._random.randrange(5, 20))]
        )

    def _flutter(self, seal: _Seal, pauses: list[float]) -> None:
        """Change the position, once now and once after each pause but the last."""
        at = self.bus.now
        for pause in pauses:
            self._at(at, lambda: self._move(seal, closed=not seal.closed))
            at += pause

    def _power(self, seal: _Seal, *, on: bool) -> None:
        self.bus.power(seal.index, on)
        if on:
            seal.power_ups.append(PowerUp(self.bus.now, [(self.bus.now, seal.position)]))
        else:
            seal.power_ups[-1].end = self.bus.now
            self.meters.forget(seal.identity.meter)

    def _cut_one(self) -> None:
        """Cut one seal's supply for a time."""
        seal = self._one()
        if not seal.powered:
            return
        self._power(seal, on=False)
        self._at(
            self.bus.now + self._random.choice([0.001, 0.2, 2.0]) * self._random.random(),
            lambda: None if seal.powered else self._power(seal, on=True),
        )

    def _disturb_bus(self) -> None:
        self.bus.noise(self._random.choice([0.001, 0.01, 0.1]), self._random.uniform(0.1, 2.0))

    def _disturb_loop(self) -> None:
        """Set the offset and noise of a poor comparator."""
        noise, offset = self._random.randrange(30), self._random.randrange(-40, 40)
        self._move(self._one(), noise_mv=noise, offset_mv=offset)

    def _attack_one(self) -> None:
        """Attach a jumper, worsen a contact, or put another source in the head's place, for a time."""
        seal = self._one()
        bad: dict[str, Any] = self._random.choice([{"jumper": True}, {"contact_mv": 3000}, {}])
        if not bad and seal.measures and seal.position is StateClass.SEALED:
            bad = {"foreign_mv": SEALED_MV}
        self._move(seal, **bad)
        self._at(
            self.bus.now + self._random.uniform(0.05, 5.0),
            lambda: self._move(seal, jumper=False, contact_mv=SEALED_MV, foreign_mv=None),
        )

    def _change_meters(self) -> None:
        """Let the meters answer badly for a while."""

        def mend() -> None:
            self.meters.quality = 1.0

        self.meters.quality = self._random.choice([0.0, 0.3, 0.9])
        self._at(self.bus.now + self._random.expovariate(1 / 5.0), mend)

    # Things that must never be seen

    def _look(self, now: float) -> None:
        state = self.bus.state
        if (disturbed := state.noisy_bits + state.collided_bits) != self._disturbed_bits:
            self._disturbed_bits, self._disturbed_at = disturbed, now
        self.meters.serve(now)
        for frame in self._stranger.listen(now):
            self._see(next(s for s in self._seals if s.identity.seal == frame.address), frame.content)
        for seal in self._seals:
            green = seal.powered and self.bus.chip(seal.index).lamps & 1
            if (
                green
                and seal.position is not StateClass.SEALED
                and now - seal.unsealed_since > self._promise.latest(seal.position)
            ):
                raise ViolationError(
                    f"seal {seal.identity.seal}: green at {now:.6f} s, "
                    f"{seal.position.name.lower()} since {seal.unsealed_since:.6f} s"
                )

    def _see(self, seal: _Seal, raw: bytes) -> SealRecord | None:
        """Return the record in `raw`; None for one that noise has made, which must not be acknowledged."""
        if not verify(seal.identity.key, raw):
            if self.bus.now > self._disturbed_at + 1.0:
                raise ViolationError(
                    f"seal {seal.identity.seal}: a wrong MAC on a clean bus: {raw.hex(' ').upper()}"
                )
            self._count("wrong MACs out of noise")
            return None
        try:
            record = SealRecord.decode(raw)
        except LayoutError as error:
            raise ViolationError(f"seal {seal.identity.seal} signed nonsense: {error}") from None
        known = seal.facts.setdefault(record.counter, record.fact)
        if known != record.fact:
            raise ViolationError(
                f"counter {record.counter} twice with different contents: {known} and {record.fact}"
            )
        return record

    def _take(self, meter: str, raw: bytes, now: float) -> bool:
        """Receive a report for the meter; return whether the meter accepts it."""
        seal = self._of_meter[meter]
        record = self._see(seal, raw)
        if record is None:
            return False
        if record.counter not in seal.at_meter:
            seal.at_meter.add(record.counter)
            at = None if record.flags & Flags.AGE_UNKNOWN else now - record.age
            seal.reports.append(
                Report(record.boot, record.counter, record.kind, record.state, record.flags, at)
            )
        return True

    def _count(self, what: str, number: int = 1) -> None:
        self.done[what] = self.done.get(what, 0) + number
