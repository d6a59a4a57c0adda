"""Seals on a simulated bus with everything that may happen to them, and what must never be seen."""

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
#: Seconds within which a sealed or open loop, left alone, has been told: the longest back-off and more.
DRAIN_MAX = 120.0

#: By front end. A debounce time of 19 to 20 ms; a converter sees an edge up to 8 ms late, and while its
#: driven pattern is off, 20 ms, nothing.
PROMISES = {
    "comparator": Promise(hold_min=0.018, hold_max=0.023),
    "sigma-delta": Promise(hold_min=0.010, hold_max=0.060, measures=True),
}


class ViolationError(AssertionError):
    """The chip did what it must never do; the message says what, when, and to which seal."""


@dataclass(slots=True)
class _Seal:
    """One seal, what was done to it since the last settlement, and what came of it."""

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
    #: Counters that the meter has.
    told: set[int] = field(default_factory=set)
    unsealed_since: float = 0.0

    @property
    def powered(self) -> bool:
        return bool(self.power_ups) and self.power_ups[-1].end is None

    @property
    def position(self) -> StateClass:
        """Class of the loop as it is."""
        if self.loop.foreign_mv is not None:
            return StateClass.MISMATCH
        if self.measures and self.loop.jumper:
            return StateClass.HIGH
        if self.measures and self.closed and self.loop.contact_mv < SEALED_MV:
            return StateClass.LOW
        return StateClass.SEALED if self.closed or self.loop.jumper else StateClass.OPEN


class World:
    """`seals` chips, their meters and a stranger. Everything random comes from `seed`.

    `calm`: how many times rarer things happen than they would keep everybody busy; time in which nothing
    does is skipped where the chips can be. Raises `ViolationError`.
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
        #: What happened, counted.
        self.done: dict[str, int] = {}
        for seal in self._seals:
            self.bus.attach_flash(seal.index, seal.flash)

    def close(self) -> None:
        """Power off for good."""
        self.bus.close()
        for seal in self._seals:
            seal.flash.close()

    def episode(self, seconds: float) -> None:
        """Everything at once for `seconds` of simulated time, as many more as it is calmer; then rest, after
        which all must have been told.
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
            (self._stranger.speak, 1.0),
            (self._disturb_loop, 10.0),
            (self._attack_one, 8.0),
        )
        end = self.bus.now + seconds * self._calm
        for action, pause in actions:
            self._again(action, pause * self._calm, end)
        self._run(end)
        self._rest()

    def _seal_all(self) -> None:
        """The first closing, in peace: what the loop is when sealed is learned from it."""
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
        """Simulate until `end`; what is due happens between two clock cycles, any two."""
        while (now := self.bus.now) < end:
            until = min(end, self.meters.next_answer, self._due[0][0] if self._due else end)
            self.bus.run_until_seen(max(until - now, 1 / CLOCK_HZ))
            now = self.bus.now
            self._look(now)
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()

    def _rest(self) -> None:
        """Leave everything alone and mend it; every seal must say how it is, and the model must agree.

        In the end every head is put in: only a green lamp says that there is nothing more to be told.
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
        """Wait until all is as it must be."""
        end = self.bus.now + DRAIN_MAX
        while wrong := self._unsettled():
            if self.bus.now > end:
                raise ViolationError(f"{DRAIN_MAX:g} s of rest and still: {wrong}")
            self._run(self.bus.now + 2.0)

    def _unsettled(self) -> str:
        """What is not as it must be once everything has been told."""
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

    # What may happen.

    def _one(self) -> _Seal:
        return self._random.choice(self._seals)

    def _move(self, seal: _Seal, *, closed: bool | None = None, **changes: Any) -> None:
        """The head is in or out, its loop like this, from now on."""
        before = seal.position
        seal.closed = seal.closed if closed is None else closed
        seal.loop = replace(seal.loop, **changes)
        self.bus.position(seal.index, seal.closed)
        self.bus.loop(seal.index, seal.loop)
        if seal.position is not before:
            seal.unsealed_since = self.bus.now
            # To look at the lamp when it has just had to be out.
            self._at(self.bus.now + self._promise.latest(seal.position) + 0.001, lambda: None)
            if seal.powered:
                seal.power_ups[-1].positions.append((self.bus.now, seal.position))

    def _move_one(self) -> None:
        seal = self._one()
        self._move(seal, closed=not seal.closed)

    def _bounce_one(self) -> None:
        """A contact as it is: up to 15 ms of touching and leaving, then the other position."""
        seal = self._one()
        self._flutter(
            seal, [self._random.uniform(0.0002, 0.003) for _ in range(2 * self._random.randrange(3) + 1)]
        )

    def _twitch_one(self) -> None:
        """Too short to be an event, or just long enough, or anything between."""
        self._flutter(self._one(), [self._random.uniform(0.0001, 0.040)] * 2)

    def _storm_one(self) -> None:
        """The contact chatters."""
        self._flutter(
            self._one(), [self._random.uniform(0.03, 1.0) for _ in range(self._random.randrange(5, 20))]
        )

    def _flutter(self, seal: _Seal, pauses: list[float]) -> None:
        """Change the position, once now and once behind each pause but the last."""
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
        """Take one seal's supply for a time, sometimes again and again."""
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
        """Offset and noise of a comparator that is not a good one."""
        noise, offset = self._random.randrange(30), self._random.randrange(-40, 40)
        self._move(self._one(), noise_mv=noise, offset_mv=offset)

    def _attack_one(self) -> None:
        """A jumper for a time, a contact that is mended again, or another source in the head's place."""
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
        """They are bad at answering for a while."""

        def mend() -> None:
            self.meters.quality = 1.0

        self.meters.quality = self._random.choice([0.0, 0.3, 0.9])
        self._at(self.bus.now + self._random.expovariate(1 / 5.0), mend)

    # What must never be seen.

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
        """The record in `raw`; None where noise has made it, which nobody acknowledges."""
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
        """The meter hears a report; whether it takes it."""
        seal = self._of_meter[meter]
        record = self._see(seal, raw)
        if record is None:
            return False
        if record.counter not in seal.told:
            seal.told.add(record.counter)
            at = None if record.flags & Flags.AGE_UNKNOWN else now - record.age
            seal.reports.append(
                Report(record.boot, record.counter, record.kind, record.state, record.flags, at)
            )
        return True

    def _count(self, what: str, number: int = 1) -> None:
        self.done[what] = self.done.get(what, 0) + number
