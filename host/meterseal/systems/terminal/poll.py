"""A turn polls one meter: which requests the terminal sends, in which order, and what the answers mean.

A meter with the project's seal items is read by its journal; any other by the standard count and records
of its terminal cover. Guarantees: `test_terminal_poll.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from meterseal.clock import Clock
from meterseal.domain.alarm_rules import Code
from meterseal.domain.journal import JournalEntry
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.dlt645 import Frame, requests
from meterseal.protocols.dlt645.identifiers import RECORDS_KEPT, StandardDi
from meterseal.protocols.dlt645.values import clock as clock_of
from meterseal.store.applied import Applied
from meterseal.systems.terminal.bus import RefusedError, SilentError
from meterseal.systems.terminal.store import TerminalStore
from sealchip.interface import Di

__all__ = ["Poller"]

#: Journal entries that one turn reads, so that a long journal does not hold up the neighbours.
ENTRIES = 4
#: Seconds between the records of one meter and those of the next, so that events go first.
LOOK_PAUSE = 3.0
#: Tries to read a journal entry before the terminal goes past it.
TRIES = 3
#: How often a meter's clock is compared, and from which difference on it is alarmed.
CLOCK_FIRST, CLOCK_PERIOD = 30.0, 3600.0
DRIFT = timedelta(seconds=30)


class Poller:
    """A poller reads meters through `ask`, which returns the data that follows the DI of the answer."""

    def __init__(
        self,
        ask: Callable[[Frame], Awaitable[bytes]],
        store: TerminalStore,
        clock: Clock,
        publish: Callable[[str, Applied], None],
    ) -> None:
        self._ask = ask
        self._store = store
        self._clock = clock
        self._publish = publish
        #: Meters without the seal items; each run of the terminal determines them anew.
        self._stock: set[str] = set()
        #: Meters whose journal is read and contains an opening.
        self._look: set[str] = set()
        self._look_from = clock.monotonic()
        self._clock_due: dict[str, float] = {}
        #: The first comparison waits until what is urgent at the start has been done.
        self._clock_from = clock.monotonic() + CLOCK_FIRST
        self._tries: dict[str, int] = {}

    async def turn(self, meter: str) -> bool:
        """Poll once; True when there is more to fetch. Raises `SilentError`.

        The records of openings have turns of their own, with pauses for the events of all other seals.
        """
        if meter in self._stock or self._may_look(meter):
            more = await self._openings(meter)
        else:
            more = await self._journal(meter)
        if not more and self._clock.monotonic() >= self._clock_due.get(meter, self._clock_from):
            await self._compare_clock(meter)
        return more

    async def _journal(self, meter: str) -> bool:
        """Fetch new entries; True when there are more, or openings among them."""
        try:
            bounds = await self._ask(requests.read(meter, Di.JOURNAL_BOUNDS))
        except RefusedError:
            self._stock.add(meter)
            return True
        if len(bounds) != 8:
            raise SilentError(f"{hex_bytes(bounds)}: journal bounds have 8 bytes")
        first, last = (int.from_bytes(bounds[at : at + 4], "little") for at in (0, 4))
        position = self._store.journal_position(meter)
        if last < position:
            self._store.restart(meter, "journal")
            position = 0
        if first > position + 1:
            self._store.count("journal_gap", meter, bounds)
        numbers = range(max(position + 1, first), last + 1)
        for number in numbers[:ENTRIES]:
            await self._entry(meter, number)
        if len(numbers) > ENTRIES:
            return True
        if self._store.openings_due(meter):
            self._look.add(meter)
        return self._may_look(meter)

    def _may_look(self, meter: str) -> bool:
        return meter in self._look and self._clock.monotonic() >= self._look_from

    async def _entry(self, meter: str, number: int) -> None:
        raw = b""
        try:
            raw = await self._ask(requests.read(meter, Di.JOURNAL_ENTRY, number.to_bytes(4, "little")))
            entry = _entry(raw, number)
        except (RefusedError, ValueError) as error:
            self._wrong_entry(meter, number, raw, str(error))
            return
        self._tries.pop(meter, None)
        self._publish(meter, self._store.store_entry(meter, entry))

    def _wrong_entry(self, meter: str, number: int, raw: bytes, reason: str) -> None:
        """A disturbance is tried again; what stays wrong must not hide the entries that follow it."""
        self._store.count("bad_journal_entry", meter, raw)
        self._tries[meter] = self._tries.get(meter, 0) + 1
        if self._tries[meter] < TRIES:
            raise SilentError(reason)
        del self._tries[meter]
        self._publish(meter, self._store.skip_entry(meter, number, raw, reason))

    async def _openings(self, meter: str) -> bool:
        """Fetch the records of new openings; return whether the count moved meanwhile."""
        count = await self._count(meter)
        seen = self._store.covers_position(meter)
        if count is None:
            count = seen
        if count < seen:
            self._store.restart(meter, "covers")
            seen = 0
        records = [await self._record(meter, back) for back in range(min(count - seen, RECORDS_KEPT), 0, -1)]
        # A new opening in between would have shifted the records by one.
        if records and await self._count(meter) != count:
            return True
        if records or meter in self._look:
            applied = self._store.store_openings(meter, count, records, explained=meter not in self._stock)
            self._publish(meter, applied)
        self._look.discard(meter)
        self._look_from = self._clock.monotonic() + LOOK_PAUSE
        return False

    async def _count(self, meter: str) -> int | None:
        """Return how often the terminal cover was opened; None when the meter does not count."""
        try:
            raw = await self._ask(requests.read(meter, StandardDi.TERMINAL_COVER_COUNT))
            return bcd.number(raw)
        except RefusedError:
            return None
        except ValueError as error:
            raise SilentError(str(error)) from None

    async def _record(self, meter: str, back: int) -> bytes:
        """Return the record of the `back`-th last opening; empty when the meter has none."""
        try:
            return await self._ask(requests.read(meter, StandardDi.TERMINAL_COVER_COUNT + back))
        except RefusedError:
            return b""

    async def _compare_clock(self, meter: str) -> None:
        raw = b""
        with contextlib.suppress(RefusedError):
            raw = await self._ask(requests.read(meter, StandardDi.CLOCK))
        self._clock_due[meter] = self._clock.monotonic() + CLOCK_PERIOD
        try:
            shown = clock_of(raw)
        except ValueError:
            self._store.count("no_meter_clock", meter, raw)
            return
        drift = shown - self._clock.now()
        if abs(drift) > DRIFT:
            seconds = round(drift / timedelta(seconds=1))
            self._publish(meter, self._store.begin(Code.CLOCK_DRIFT, meter, f"meter clock {seconds:+d} s"))
        else:
            self._publish(meter, self._store.end(Code.CLOCK_DRIFT, meter))


def _entry(raw: bytes, number: int) -> JournalEntry:
    entry = JournalEntry.decode(raw)
    if entry.number != number:
        raise ValueError(f"{hex_bytes(raw)} is entry {entry.number}, not {number}")
    return entry
