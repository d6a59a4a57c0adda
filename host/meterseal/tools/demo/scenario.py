"""The scenarios of a demo: what is done to the seals, and what every link must then have observed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from meterseal.clock import Clock, SystemClock
from meterseal.domain.alarm_rules import Code
from meterseal.domain.record import Kind
from meterseal.errors import Failure
from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.control import command
from meterseal.tools.demo.forger import Forger
from meterseal.tools.demo.observe import SYSTEMS, Attack, Observation, Seen
from meterseal.tools.demo.plan import LINKS, Site
from sealchip.gsm.text import PHRASES
from sealchip.interface import SEALED_MV

__all__ = ["SCENARIOS", "Stage"]

#: Events that the customer is notified of.
NOTIFIED = frozenset({"opened", "closed"})
_LOOK_EVERY = 0.2
#: Ample bit times on the bus for one event of one seal: report, answer, the terminal's reads, retries.
_BITS_PER_EVENT = 12_000
#: Seconds for everything else: a poll of the terminal, retries of the uplink, a message by the modem.
_GRACE = 40.0
#: Commands that move a loop, and how many of them may follow each other within so many seconds: six changes
#: that take fifteen seconds or longer are never flapping (`sealchip.sense.flapping`).
_MOVES = frozenset({"open", "close", "bounce", "jumper", "loop_mv"})
_MOVES_MAX, _MOVES_WITHIN = 5, 16.0

#: One alarm as a store has it: system, code, seal, when raised.
_Alarm = tuple[str, object, object, object]


@dataclass(slots=True)
class Stage:
    """The running chain and an attacker on its bus, with what a scenario does: act on the seals, and expect.

    Both concern the seals at `sites`. `announce` is called with one line for each step.
    """

    chain: Chain
    sites: tuple[Site, ...]
    forger: Forger
    announce: Callable[[str], None]
    clock: Clock
    attacks: list[Attack] = field(default_factory=list)
    #: By kind, how many events of each seal have been waited for.
    _expected: dict[str, int] = field(default_factory=dict)
    #: When the loops were moved last, in simulated seconds.
    _moved: deque[float] = field(default_factory=deque)

    @classmethod
    def of(cls, chain: Chain, announce: Callable[[str], None]) -> Stage:
        """Make a stage on the system's clock; its forger still has to be entered."""
        clock = SystemClock()
        forger = Forger(chain.plan.bus, chain.plan.baud, clock)
        return cls(chain, chain.plan.sites, forger, announce, clock)

    def first(self) -> Stage:
        """Return the same stage for the first seal alone."""
        return replace(self, sites=self.sites[:1])

    async def act(self, do: str, **values: object) -> None:
        """Give the same command for every seal, one right after the other."""
        if do in _MOVES:
            await self._not_too_often()
        for site in self.sites:
            parameters = " ".join(f"{name}={value}" for name, value in values.items())
            self.announce(f"{do} seal {site.seal} {parameters}".rstrip())
            await command(self.chain.plan.control, do=do, seal=site.seal, **values)
        if do in _MOVES:
            self._moved.append(await self._simulated())
        elif do == "power":
            # A chip counts the changes since its power-up.
            self._moved.clear()

    async def _not_too_often(self) -> None:
        """Wait until one more movement is not taken for flapping, which no scenario is meant to show.

        The time that counts is the chip's: on a busy machine it passes more slowly than real time.
        """
        if self._moved and await self._simulated() < self._moved[-1]:
            # The simulation has been started again, and its chips with it.
            self._moved.clear()
        if len(self._moved) == _MOVES_MAX:
            earliest = self._moved.popleft() + _MOVES_WITHIN
            while (left := earliest - await self._simulated()) > 0:
                await asyncio.sleep(left)

    async def _simulated(self) -> float:
        """Return the simulated time of the bus in seconds."""
        state = await command(self.chain.plan.control, do="state")
        return float(state["pair"]["seconds"])

    async def expect(self, kind: str) -> None:
        """Wait until one more event of `kind` of every seal has passed every link, and until a seal with a
        modem of its own has notified its customer as well.

        `Failure` names the first link that has not received one in time.
        """
        count = self._expected[kind] = self._expected.get(kind, 0) + 1
        last = LINKS if kind in NOTIFIED else LINKS[:-1]

        def lack(seen: Observation) -> str | None:
            lacks = [_lack(seen, site.seal, kind, count, last) for site in self.sites]
            if kind in NOTIFIED and self.chain.plan.gsm:
                lacks.append(_unnotified(seen, self.chain.plan.sites[0].seal, kind, count))
            return next(filter(None, lacks), None)

        await self._until(lack)

    @asynccontextmanager
    async def attack(self, name: str, *codes: Code, still: Code | None = None) -> AsyncIterator[None]:
        """Require a new alarm of each of `codes` in each of the four systems for what happens inside.

        `still` must be active in all of them afterwards. `Failure` names the first system without it.
        """
        before = {_key(system, alarm) for system, alarm in _alarms(self.chain.observe())}
        self.announce(f"attack: {name}")
        yield
        seen = await self._until(lambda seen: self._unnamed(name, seen, before, codes, still))
        new = [(system, alarm) for system, alarm in _alarms(seen) if _key(system, alarm) not in before]
        for site in self.sites:
            named = {
                system: [
                    {part: alarm[part] for part in ("code", "counter", "detail")}
                    for of, alarm in new
                    if of == system and alarm["seal"] == site.seal and alarm["code"] in codes
                ]
                for system in SYSTEMS
            }
            self.attacks.append(Attack(name, site.seal, named))

    def _unnamed(
        self, name: str, seen: Observation, before: set[_Alarm], codes: tuple[Code, ...], still: Code | None
    ) -> str | None:
        raised = {_key(system, alarm) for system, alarm in _alarms(seen)} - before
        here = {(system, code, seal) for system, code, seal, _ in raised}
        active = {(system, one["code"], one["seal"]) for system, one in _alarms(seen) if one["active"]}
        for site in self.sites:
            for system in SYSTEMS:
                for code in codes:
                    if (system, code, site.seal) not in here:
                        return f"{system}: raised no {code} for seal {site.seal} after {name}"
                if still is not None and (system, still, site.seal) not in active:
                    return f"{system}: {still} of seal {site.seal} is not active after {name}"
        return None

    async def _until(self, lack: Callable[[Observation], str | None]) -> Observation:
        """Return the observation once nothing is missing; `Failure` names what is when the time is over."""
        plan = self.chain.plan
        deadline = self.clock.monotonic() + _GRACE + _BITS_PER_EVENT * len(self.sites) / plan.baud
        while True:
            seen = self.chain.observe()
            missing = lack(seen)
            if missing is None:
                return seen
            self.chain.check()
            if self.clock.monotonic() > deadline:
                raise Failure(missing)
            await asyncio.sleep(_LOOK_EVERY)


def _alarms(seen: Observation) -> list[tuple[str, dict[str, object]]]:
    return [(system, alarm) for system in SYSTEMS for alarm in seen.alarms[system]]


def _key(system: str, alarm: dict[str, object]) -> _Alarm:
    return (system, alarm["code"], alarm["seal"], alarm["raised_at"])


def _lack(seen: Observation, seal: str, kind: str, count: int, links: tuple[str, ...]) -> str | None:
    """Return what is still missing, and where; None when everything has arrived."""
    of_kind = sorted(
        (event for event in seen.events.values() if event.seal == seal and event.kind == kind),
        key=lambda event: event.counter,
    )
    if len(of_kind) < count:
        return f"chip: seal {seal} has reported {len(of_kind)} of {count} events of kind {kind}"
    return next((lack for event in of_kind[:count] if (lack := _stuck(event, links))), None)


def _unnotified(seen: Observation, seal: str, kind: str, count: int) -> str | None:
    """Return what the customer still misses of the seal's own messages."""
    phrases = [f" {phrase.zh}" for phrase in PHRASES if phrase.kind == Kind[kind.upper()]]
    sent = [
        message
        for message in seen.messages
        if (message["by"], message["seal"]) == ("chip", seal)
        and any(phrase in str(message["text"]) for phrase in phrases)
    ]
    if len(sent) >= count:
        return None
    return f"customer: seal {seal} has itself sent {len(sent)} of {count} events of kind {kind}"


def _stuck(event: Seen, links: tuple[str, ...]) -> str | None:
    for link in links:
        if link not in event.hops:
            what = f"event {event.counter} ({event.kind}) of seal {event.seal}"
            return f"{link}: has not got {what}; had it: {', '.join(event.hops)}"
    return None


async def _sealed(stage: Stage) -> None:
    """Power up and close, as every scenario begins."""
    await stage.expect("boot")
    await stage.act("close")
    await stage.expect("closed")


async def _standard(stage: Stage) -> None:
    """Power up, close, open, close, each after every link has the event before it."""
    await _sealed(stage)
    await _open(stage)
    await _close(stage)


async def _bounce(stage: Stage) -> None:
    """Run the standard scenario with a contact that bounces at every movement."""
    await stage.expect("boot")
    for end, kind in (("closed", "closed"), ("open", "opened"), ("closed", "closed")):
        await stage.act("bounce", ms=15, edges=9, end=end)
        await stage.expect(kind)


async def _open(stage: Stage) -> None:
    await stage.act("open")
    await stage.expect("opened")


async def _close(stage: Stage) -> None:
    await stage.act("close")
    await stage.expect("closed")


async def _jumper(stage: Stage) -> None:
    """Bridge the plates of a sealed seal with a wire, past the resistor in its head."""
    async with stage.attack("jumper", Code.SEAL_HIGH):
        await stage.act("jumper", on=True)
    await stage.expect("opened")
    await stage.act("jumper", on=False)
    await stage.expect("closed")


async def _foreign(stage: Stage) -> None:
    """Hold the loop at the voltage of a sealed one from outside."""
    async with stage.attack("foreign voltage", Code.SEAL_MISMATCH):
        await stage.act("loop_mv", mv=SEALED_MV)  # what a sealed loop has
    await stage.expect("opened")
    await stage.act("loop_mv", mv=None)
    await stage.expect("closed")


async def _replayed(stage: Stage) -> None:
    """Replay the last report of a closing while the seal is open."""
    async with stage.attack("replayed record", Code.SEAL_REPLAY, still=Code.SEAL_OPEN_UNMATCHED):
        for site in stage.sites:
            await stage.forger.replay(site.seal, site.meter, Kind.CLOSED)


async def _forged(stage: Stage) -> None:
    """Report a forged closing while the seal is open."""
    async with stage.attack("forged record", Code.SEAL_AUTH_FAIL, still=Code.SEAL_OPEN_UNMATCHED):
        for site in stage.sites:
            await stage.forger.forge_closing(site.seal, site.meter)


async def _power_cut(stage: Stage) -> None:
    """Open the seal while it has no power."""
    async with stage.attack("power cut", Code.SEAL_UNOBSERVED, Code.SEAL_OPEN_UNMATCHED):
        await stage.act("power", on=False)
        await stage.act("open")
        await stage.act("power", on=True)
    await stage.expect("boot")
    await _close(stage)


async def _on_the_loop(stage: Stage, attack: Callable[[Stage], Awaitable[None]]) -> None:
    await _sealed(stage)
    await attack(stage)


async def _on_the_bus(stage: Stage, attack: Callable[[Stage], Awaitable[None]]) -> None:
    """Run an attack that is meant to hide an opening."""
    await _sealed(stage)
    await _open(stage)
    await attack(stage)
    await _close(stage)


async def _all(stage: Stage) -> None:
    """Run the standard scenario with every seal, and every attack on the first of them."""
    first = stage.first()
    await _sealed(stage)
    await _open(stage)
    for attack in (_replayed, _forged):
        await attack(first)
    await _close(stage)
    for attack in (_jumper, _foreign, _power_cut):
        await attack(first)


#: Scenarios by name.
SCENARIOS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "standard": _standard,
    "bounce": _bounce,
    "jumper": lambda stage: _on_the_loop(stage, _jumper),
    "foreign": lambda stage: _on_the_loop(stage, _foreign),
    "replayed": lambda stage: _on_the_bus(stage, _replayed),
    "forged": lambda stage: _on_the_bus(stage, _forged),
    "power-cut": lambda stage: _on_the_loop(stage, _power_cut),
    "attacks": _all,
}
