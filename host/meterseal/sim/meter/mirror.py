"""The standard records of the terminal cover, in which a meter mirrors the openings of its seals.

A terminal that does not know the seal's own items finds every opening there: their number, the last ten with
their times and energies, and the active-report word.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.octets import bcd
from meterseal.protocols.dlt645.active_report import TERMINAL_COVER_OPEN, ActiveReport
from meterseal.protocols.dlt645.cover import NO_ENERGIES, CoverRecord
from meterseal.protocols.dlt645.identifiers import RECORDS_KEPT, StandardDi
from meterseal.sim.meter import journal
from meterseal.sim.meter.energy import energies
from meterseal.store import events
from meterseal.store.applied import Applied

__all__ = ["ACTIVE_REPORT_BYTES", "Mirror"]

COVER_COUNT: Final = StandardDi.TERMINAL_COVER_COUNT
COVER_RECORDS: Final = range(COVER_COUNT + 1, COVER_COUNT + 1 + RECORDS_KEPT)
#: Length of the word that resets the active report.
ACTIVE_REPORT_BYTES: Final = 12


class Mirror:
    """The mirrored records of the meter at `address`; every method works in the caller's transaction."""

    def __init__(self, address: str) -> None:
        self._address = address

    def read(self, conn: Connection, di: int) -> bytes | None:
        """Return the record under `di`; None where `di` is not one of these records."""
        if di == COVER_COUNT:
            return bcd.bcd(journal.openings(conn, self._address) % 1_000_000, 3)
        if di in COVER_RECORDS:
            return self._cover_record(conn, di - COVER_COUNT)
        if di == StandardDi.ACTIVE_REPORT:
            count = min(journal.openings_since_clear(conn, self._address), 0xFF)
            return ActiveReport({TERMINAL_COVER_OPEN: count} if count else {}).encode()
        return None

    def reset_report(self, conn: Connection, word: bytes) -> None:
        """Take a write of `ACTIVE_REPORT_RESET`, where a bit of 0 clears and a bit of 1 keeps."""
        if not int.from_bytes(word, "little") >> TERMINAL_COVER_OPEN & 1:
            journal.clear_report(conn, self._address)

    def open(self, conn: Connection, seal: str, applied: Applied) -> None:
        """Mirror each opening that `applied` raised an alarm about."""
        for alarm in applied.raised:
            if alarm.code is not Code.SEAL_OPEN_UNMATCHED:
                continue
            # Not always the event just reported, which can show that the one following it was an opening.
            opened = events.find(conn, seal, alarm.counter)
            closed = events.following(conn, seal, alarm.counter, proves_sealed=True)
            if opened is not None:
                ended_at = None if closed is None else closed.occurred_at
                journal.open_cover(conn, self._address, seal, opened.counter, opened.occurred_at, ended_at)

    def close(self, conn: Connection, event: SealEvent) -> None:
        """End the openings before `event` if it proves that the seal is sealed again."""
        if event.proves_sealed:
            journal.close_openings(conn, self._address, event.seal, event.counter, event.occurred_at)

    def _cover_record(self, conn: Connection, n: int) -> bytes:
        opening = journal.opening(conn, self._address, n)
        if opening is None:
            return bytes(len(CoverRecord(None, None).encode()))
        before = energies(self._address, opening.started_at)
        after = energies(self._address, opening.ended_at) if opening.ended_at else NO_ENERGIES
        return CoverRecord(opening.started_at, opening.ended_at, before, after).encode()
