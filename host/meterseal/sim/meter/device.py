"""One simulated meter: how it answers a read and carries out a write.

A report is stored, mirrored and alarmed in one transaction before `write` returns, and so before the 94H
goes out: `test_meter_run.py::test_sigkill_loses_and_doubles_nothing`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from meterseal.clock import Clock
from meterseal.domain.alarm_rules import Code
from meterseal.domain.event import SealEvent
from meterseal.domain.layout import LayoutError, unpack
from meterseal.domain.verdict import RecordVerdict
from meterseal.octets import bcd
from meterseal.protocols.dlt645.control import Err
from meterseal.protocols.dlt645.cover import ENERGIES
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.identifiers import StandardDi
from meterseal.protocols.dlt645.requests import Write
from meterseal.protocols.dlt645.slave import Handler, Refusal
from meterseal.protocols.dlt645.values import text_bytes
from meterseal.sim.meter import journal
from meterseal.sim.meter.energy import energy
from meterseal.sim.meter.mirror import ACTIVE_REPORT_BYTES, Mirror
from meterseal.sim.meter.timekeeper import CLOCK_ITEMS, Timekeeper
from meterseal.store import alarms, diagnostics, ingest
from meterseal.store.applied import Applied
from meterseal.store.database import Database
from meterseal.store.events import Outcome
from meterseal.store.trace_events import trace_alarms, trace_event
from meterseal.trace import Trace
from sealchip.interface import IDENTITY_REPORT, RECORD, Di

__all__ = ["Meter"]

#: Password levels that may set the clock and clear the active-report word.
LEVELS = (2, 4)
RECORDS = range(Di.RECORD_HISTORY, Di.RECORD_HISTORY + 16)


class Meter(Handler):
    """The meter at `address` and its own `seals`; without any, the first seal that reports becomes one.

    `password` is P0 P1 P2 for the levels 02 and 04; a seal's report needs none.
    """

    def __init__(
        self,
        address: str,
        database: Database,
        *,
        clock: Clock,
        trace: Trace,
        seals: list[str] | None = None,
        password: bytes = bytes(3),
    ) -> None:
        self.address = bcd.address(bcd.address_bytes(address))
        self._database = database
        self._system = clock
        self._trace = trace
        self._password = password
        with database.transaction() as conn:
            journal.register(conn, self.address, seals or [])
        self._mirror = Mirror(self.address)
        self._timekeeper = Timekeeper(self.address, database, system=clock, trace=trace)
        self._reads: dict[int, Callable[[], bytes]] = {
            Di.ADDRESS: lambda: bcd.address_bytes(self.address),
            StandardDi.METER_NUMBER: lambda: bcd.address_bytes(self.address),
            Di.ASSET_NUMBER: lambda: text_bytes(f"METER{self.address}", IDENTITY_REPORT["asset"].width),
        }

    def read(self, di: int, parameters: bytes) -> bytes:
        """Return what the meter keeps under `di`."""
        if di in self._reads:
            return self._reads[di]()
        if di in CLOCK_ITEMS:
            return self._timekeeper.read(di)
        if di in ENERGIES:
            return bcd.bcd(energy(self.address, di, self._timekeeper.now()), 4)
        with self._database.reading() as conn:
            content = self._stored(conn, di, parameters)
        if content is None:
            raise Refusal(Err.NO_DATA)
        return content

    def write(self, write: Write) -> None:
        """Take a seal's report, the verdict on one, a clock setting, or the end of an active report."""
        if write.di == Di.REPORT:
            self._report(write.data)
        elif write.di == Di.REPORT_IDENTITY:
            self._identify(write.data)
        elif write.di not in CLOCK_ITEMS | {StandardDi.ACTIVE_REPORT_RESET, Di.VERDICT}:
            raise Refusal(Err.NO_DATA)
        elif write.password[0] not in LEVELS or write.password[1:] != self._password:
            self.count("wrong_password", self.address, write.password + write.operator)
            raise Refusal(Err.UNAUTHORISED)
        elif write.di == StandardDi.ACTIVE_REPORT_RESET:
            self._reset_report(write.data)
        elif write.di == Di.VERDICT:
            self._apply_verdict(write.data)
        else:
            self._set_clock(write)

    def set_time(self, at: datetime) -> None:
        """Take a broadcast time."""
        self._timekeeper.set(at, "broadcast")

    def malformed(self, request: Frame) -> None:
        """Count a request that cannot be parsed."""
        self.count("malformed_request", f"control {request.control:02X}", request.encode(preamble=0))

    def count(self, what: str, detail: str = "", raw: bytes = b"") -> None:
        """Count a diagnostic."""
        with self._database.transaction() as conn:
            diagnostics.count(conn, what, detail, at=self._system.now(), raw=raw)

    def _stored(self, conn: Connection, di: int, parameters: bytes) -> bytes | None:
        if di == Di.RECORD_NEWEST or di in RECORDS:
            n = 0 if di == Di.RECORD_NEWEST else di - Di.RECORD_HISTORY
            return journal.newest_record(conn, self.address, n)
        if di == Di.JOURNAL_BOUNDS:
            first, last = journal.bounds(conn, self.address)
            return first.to_bytes(4, "little") + last.to_bytes(4, "little")
        if di == Di.JOURNAL_ENTRY and len(parameters) == 4:
            entry = journal.entry(conn, self.address, int.from_bytes(parameters, "little"))
            return None if entry is None else entry.encode()
        if di == Di.REPORT_IDENTITY and len(parameters) in (0, 6):
            return journal.identity(conn, self.address, bcd.address(parameters) if parameters else None)
        return self._mirror.read(conn, di)

    def _report(self, record: bytes) -> None:
        system = self._system.now()
        try:
            age = int.from_bytes(unpack(RECORD, record)["age"], "little")
            event = SealEvent.from_record(
                record,
                meter=self.address,
                occurred_at=self._timekeeper.event(system, age),
                received_at=self._timekeeper.at(system),
            )
        except LayoutError as error:
            self._unreadable(record, str(error))
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            known = journal.bound(conn, self.address)
            if not known:
                journal.bind(conn, self.address, event.seal)
            applied = ingest.apply(conn, event, system)
            number = journal.add_entry(conn, self.address, event, _again(event, applied))
            self._mirror.open(conn, event.seal, applied)
            if applied.outcome is Outcome.NEW:
                self._mirror.close(conn, event)
            if known and event.seal not in known:
                self._stranger(conn, event, applied, system)
        self._tell(event, applied, number)

    def _reset_report(self, word: bytes) -> None:
        if len(word) != ACTIVE_REPORT_BYTES:
            raise Refusal(Err.OTHER)
        with self._database.transaction() as conn:
            self._mirror.reset_report(conn, word)

    def _set_clock(self, write: Write) -> None:
        try:
            to = self._timekeeper.requested(write.di, write.data)
        except ValueError:
            raise Refusal(Err.OTHER) from None
        self._timekeeper.set(to, "write", write.operator)

    def _apply_verdict(self, raw: bytes) -> None:
        try:
            verdict = RecordVerdict.decode(raw)
        except LayoutError:
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            applied = ingest.apply_verdict(conn, verdict, "found by the master station", self._system.now())
            self._mirror.open(conn, verdict.seal, applied)
            own = applied.own
            # It was taken for a repetition of the forged one, so the journal does not have it yet.
            if own is not None and not journal.has(conn, self.address, own.record):
                journal.add_entry(conn, self.address, own, own.record)
                self._mirror.close(conn, own)
        trace_alarms(self._trace, applied)

    def _stranger(self, conn: Connection, event: SealEvent, applied: Applied, at: datetime) -> None:
        if alarms.active(conn, event.seal, Code.UNKNOWN_DEVICE):
            return
        detail = f"not one of the seals of meter {self.address}"
        new = alarms.raise_alarm(conn, Code.UNKNOWN_DEVICE, event.seal, event.counter, at, detail)
        applied.note(raised=new)
        diagnostics.count(conn, "unknown_seal", self.address, at=at, raw=event.record)

    def _tell(self, event: SealEvent, applied: Applied, number: int | None) -> None:
        if number is not None:
            trace_event(self._trace, event, meter=self.address, number=number)
        trace_alarms(self._trace, applied)

    def _unreadable(self, record: bytes, reason: str) -> None:
        """Count and alarm a record of unknown layout; its refusal shows on the seal's red lamp."""
        at = self._system.now()
        with self._database.transaction() as conn:
            diagnostics.count(conn, "unreadable_record", self.address, at=at, raw=record)
            applied = Applied()
            applied.note(raised=alarms.raise_alarm(conn, Code.RECORD_UNREADABLE, self.address, 0, at, reason))
        trace_alarms(self._trace, applied)

    def _identify(self, report: bytes) -> None:
        try:
            seal = bcd.address(unpack(IDENTITY_REPORT, report)["seal"])
        except LayoutError:
            self.count("unreadable_identity", self.address, report)
            raise Refusal(Err.OTHER) from None
        with self._database.transaction() as conn:
            journal.keep_identity(conn, self.address, seal, report)


def _again(event: SealEvent, applied: Applied) -> bytes:
    """Return what distinguishes the event from one of the same fact that the journal has; empty: nothing."""
    if applied.outcome is Outcome.NEW:
        # The earlier one was disowned, and this record has the same content.
        return event.record
    return b"replayed" if any(alarm.code is Code.SEAL_REPLAY for alarm in applied.raised) else b""
