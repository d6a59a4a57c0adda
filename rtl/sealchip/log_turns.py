"""The one event log and the one signer between their two users: reporter and slave."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .event_log import LogCommand

__all__ = ["LogTurns"]


class LogTurns(wiring.Component):
    """Lets reporter and slave use the log in turns: who has begun goes on to the end, the reporter first.

    What was fetched is made a record before they hear of it. Only the slave's records are challenged.

    Members
    -------
    reporter_start, reporter_command, reporter_done: a command of the reporter, held until done.
    slave_start, slave_done: FETCH_NTH of the slave, the same way. slave_challenged: it has a challenge.
    log_start, log_command, log_done, log_found: to the log.
    signer_start, signer_busy, signer_done, challenged: to the signer.

    Guarantees: `verif/chip/test_log_turns.py::test_who_has_begun_goes_on_to_the_end`;
    proof: `verif/formal/bus.py::an_entry_leaves_only_when_told`.
    """

    reporter_start: In(1)
    reporter_command: In(LogCommand)
    reporter_done: Out(1)
    slave_start: In(1)
    slave_done: Out(1)
    slave_challenged: In(1)
    log_start: Out(1)
    log_command: Out(LogCommand)
    log_done: In(1)
    log_found: In(1)
    signer_start: Out(1)
    signer_busy: In(1)
    signer_done: In(1)
    challenged: Out(1)

    def elaborate(self, platform):
        m = Module()
        slaves_turn = Signal()
        start = Signal()
        done = Signal()
        fetched = Signal()
        with m.If(~self.slave_start):
            m.d.sync += slaves_turn.eq(0)
        with m.Elif(~self.reporter_start):
            m.d.sync += slaves_turn.eq(1)
        with m.If(slaves_turn):
            m.d.comb += [start.eq(self.slave_start), self.log_command.eq(LogCommand.FETCH_NTH)]
        with m.Else():
            m.d.comb += [start.eq(self.reporter_start), self.log_command.eq(self.reporter_command)]
        m.d.comb += [
            fetched.eq(self.log_done & self.log_found),
            self.log_start.eq(start & ~self.signer_busy),
            self.signer_start.eq(fetched),
            self.challenged.eq(slaves_turn & self.slave_challenged),
            done.eq(self.signer_done | (self.log_done & ~fetched)),
            self.slave_done.eq(done & slaves_turn),
            self.reporter_done.eq(done & ~slaves_turn),
        ]
        return m
