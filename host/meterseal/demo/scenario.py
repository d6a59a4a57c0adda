"""What happens to the seals in a demo, and what must be seen of it at every link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meterseal.clock import Clock, SystemClock
from meterseal.demo.chain import Chain
from meterseal.demo.control import command
from meterseal.demo.observe import Observation, Seen, observe
from meterseal.demo.plan import LINKS
from meterseal.errors import Failure

__all__ = ["SCENARIOS", "Stage"]

#: Events that the customer is told of.
TOLD = frozenset({"opened", "closed"})
_LOOK_EVERY = 0.2
#: Bits on the pair for one event of one seal, generously: report, answer, the terminal's reads, retries.
_BITS_PER_EVENT = 12_000
#: Time for everything else: a poll of the terminal, retries of the uplink, a message by the modem.
_GRACE = 40.0


@dataclass(slots=True)
class Stage:
    """The running chain, and the two things that a scenario does with it: act and expect."""

    chain: Chain
    tell: Callable[[str], None]
    clock: Clock

    @classmethod
    def of(cls, chain: Chain, tell: Callable[[str], None]) -> Stage:
        """On the machine's own clock."""
        return cls(chain, tell, SystemClock())

    async def act(self, do: str, **values: object) -> None:
        """Do the same to every seal, one right after the other."""
        for site in self.chain.plan.sites:
            self.tell(f"{do} seal {site.seal}")
            await command(self.chain.plan.control, do=do, seal=site.seal, **values)

    async def expect(self, kind: str, count: int = 1) -> Observation:
        """Wait until `count` events of `kind` of every seal have passed every link.

        `Failure` names the first link that has not got one in time.
        """
        plan = self.chain.plan
        last = LINKS if kind in TOLD else LINKS[:-1]
        bits = _BITS_PER_EVENT * len(plan.sites)
        deadline = self.clock.monotonic() + _GRACE + bits / plan.baud
        while True:
            seen = observe(plan)
            missing = [
                lack for site in plan.sites if (lack := _lack(seen, site.seal, kind, count, last)) is not None
            ]
            if not missing:
                return seen
            self.chain.check()
            if self.clock.monotonic() > deadline:
                raise Failure(missing[0])
            await asyncio.sleep(_LOOK_EVERY)


def _lack(seen: Observation, seal: str, kind: str, count: int, links: tuple[str, ...]) -> str | None:
    """What is still missing, and where; None when everything has arrived."""
    of_kind = sorted(
        (event for event in seen.events.values() if event.seal == seal and event.kind == kind),
        key=lambda event: event.counter,
    )
    if len(of_kind) < count:
        return f"chip: seal {seal} has reported {len(of_kind)} of {count} events of kind {kind}"
    return next((lack for event in of_kind[:count] if (lack := _stuck(event, links))), None)


def _stuck(event: Seen, links: tuple[str, ...]) -> str | None:
    for link in links:
        if link not in event.hops:
            what = f"event {event.counter} ({event.kind}) of seal {event.seal}"
            return f"{link}: has not got {what}; had it: {', '.join(event.hops)}"
    return None


async def _standard(stage: Stage) -> None:
    """Power up, close, open, close: each step waits until everybody knows of the one before."""
    await stage.expect("boot")
    await stage.act("close")
    await stage.expect("closed")
    await stage.act("open")
    await stage.expect("opened")
    await stage.act("close")
    await stage.expect("closed", 2)


async def _bounce(stage: Stage) -> None:
    """The standard scenario with a contact that bounces at every movement."""
    await stage.expect("boot")
    await stage.act("bounce", ms=15, edges=9, end="closed")
    await stage.expect("closed")
    await stage.act("bounce", ms=15, edges=9, end="open")
    await stage.expect("opened")
    await stage.act("bounce", ms=15, edges=9, end="closed")
    await stage.expect("closed", 2)


#: Scenarios by name; the docstring's first line is what `--help` and the display say.
SCENARIOS: dict[str, Callable[[Stage], Awaitable[None]]] = {"standard": _standard, "bounce": _bounce}
