"""The seal as second master: pushes each event to its meter until the meter has acknowledged it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import FROM_SLAVE, Function
from ..signatures import FrameHead
from .messages import Message

__all__ = ["Reporter", "has_record_in_time"]

#: Time in ms within which the meter's answer must have come: Td up to 500 ms and the frame at 600 baud. It is
#: also the age at which a record that waits for the pair is made anew, so that its age in seconds is right.
ANSWER_MS = 1024
#: Back-off after a report without acknowledgement: 0.5 s, doubled each time up to 32 s.
BACKOFF_MS, BACKOFF_STEPS = 512, 6
ACKNOWLEDGED = FROM_SLAVE | Function.WRITE
#: Bits of a report before the first of its record: preamble, head, DI, level and password, operator.
AHEAD_BITS = 26 * 11
#: Cycles from an event to the record of it, and seconds that the flash may take for the event's page.
RECORD_CYCLES, PAGE_S = 30_000, 3e-3


def has_record_in_time(clock_hz, baud):
    """Whether a report that begins with its event has the record when its turn comes.

    Test: `verif/chip/test_chip_report.py::test_begins_ahead_only_where_the_record_is_there_in_time`.
    """
    return RECORD_CYCLES / clock_hz + PAGE_S < AHEAD_BITS / baud


class Reporter(wiring.Component):
    """Sends the oldest unacknowledged event until the meter's 94H arrives, then the next one.

    After the first acknowledged report of a power-up it also sends the seal's address and asset number
    once, with the same retries but behind all events. A collision costs only a new draw for the pair. A
    record that waits for the pair is fetched again every second. A new event ends a back-off: the meter
    hears of it at once.

    *Timing:* where the pair is free and nothing else waits, the frame of a new event begins while the log
    still writes it: the record is wanted only `AHEAD_BITS` later. When it is not there by then the frame
    ends there and is sent anew, once, as any other.

    *Guarantees:* an entry is acknowledged in the log only by a normal answer (94H, no data) of exactly the
    meter's address, after a report that was sent whole, before anything else was heard; and a report of a
    record is sent whole only with the record that the log gave for that entry.

    Members
    -------
    enable: identity valid, log restored. offered: an event waits for the log, or is being written; 0 where
    its frame shall not begin before it is logged.
    arrived: strobe, an event was logged. pending: there are unacknowledged events.
    frame, head, tick_ms, free: the pair. draw: new slot.
    slave_busy: the slave holds log and framer. speaking: the framer is the reporter's, the slave must not
    begin. oldest, acknowledge, done, found: commands of `ControlCore`; what is found is a record to send.
    send, message: to the framer. unready: the record is not there yet.
    sent, broken: how the frame ended. exchanged: a report was acknowledged in this power-up.
    failed: the last report was not acknowledged in time. baud_fallback: strobe, not even at the longest
    back-off: what has been changed about the pair since power-up may be why.

    In every cycle: `verif/blocks/test_reporter.py::test_each_cycle_like_the_reference`,
    `test_pauses_double_up_to_32_seconds`; delivery:
    `verif/chip/test_chip_report.py::test_report_until_acknowledged`,
    `verif/chip/test_chip_report.py::test_the_stored_rate_comes_back`,
    `verif/chip/test_chip_bus.py::test_many_seals`; proofs:
    `verif/formal/bus.py::acknowledged_only_what_arrived`, `verif/formal/bus.py::one_speaker_in_the_chip`,
    `verif/formal/bus.py::an_entry_leaves_only_when_told`.
    """

    enable: In(1)
    offered: In(1)
    arrived: In(1)
    pending: In(1)
    frame: In(1)
    head: In(FrameHead)
    tick_ms: In(1)
    free: In(1)
    draw: Out(1)
    slave_busy: In(1)
    speaking: Out(1)
    oldest: Out(1)
    acknowledge: Out(1)
    done: In(1)
    found: In(1)
    send: Out(1)
    message: Out(Message)
    unready: Out(1)
    sent: In(1)
    broken: In(1)
    exchanged: Out(1)
    failed: Out(1)
    baud_fallback: Out(1)

    def elaborate(self, platform):
        m = Module()
        introduced = Signal()  # the meter knows the seal's asset number
        attempts = Signal(range(BACKOFF_STEPS + 1))
        # Each time is a power of two. A pause is over with the first change of its bit; a frame may last
        # longer than a record is good for.
        passed_ms = Signal(range((BACKOFF_MS << BACKOFF_STEPS) + 1))
        answer_due = passed_ms[ANSWER_MS.bit_length() - 1 :].any()
        pause_over = passed_ms[BACKOFF_MS.bit_length() - 1 :].bit_select(attempts, 1)
        held = Signal()  # the record of the oldest entry is ready to send
        tried = Signal()  # a frame has begun ahead of the event that is offered
        introducing = self.message == Message.REPORT_IDENTITY
        acknowledged = (
            self.frame & self.head.meter & (self.head.control == ACKNOWLEDGED) & (self.head.length == 0)
        )
        m.d.comb += self.unready.eq(~held & ~introducing)

        with m.If(self.tick_ms):
            m.d.sync += passed_ms.eq(passed_ms + 1)
        with m.If(self.arrived):
            m.d.sync += tried.eq(0)

        def fetch():
            m.d.comb += self.oldest.eq(1)
            with m.If(self.done):
                m.d.sync += held.eq(self.found)

        with m.FSM(name="state") as fsm:
            m.d.comb += self.speaking.eq(
                fsm.ongoing("send") | fsm.ongoing("sending") | fsm.ongoing("fetch for it")
            )
            # What the first slot is drawn from is known only with the identity.
            with m.State("off"):
                m.d.comb += self.draw.eq(self.enable)
                with m.If(self.enable):
                    m.next = "idle"
            with m.State("idle"):
                m.d.sync += [passed_ms.eq(0), held.eq(0)]
                with m.If(self.enable & ~self.slave_busy):
                    with m.If(self.pending):
                        m.d.sync += self.message.eq(Message.REPORT_RECORD)
                        m.next = "fetch"
                    with m.Elif(self.offered & ~tried):
                        with m.If(self.free):
                            m.d.sync += [self.message.eq(Message.REPORT_RECORD), tried.eq(1)]
                            m.next = "send"
                    with m.Elif(self.exchanged & ~introduced):
                        m.d.sync += self.message.eq(Message.REPORT_IDENTITY)
                        m.next = "contend"
            with m.State("fetch"):
                fetch()
                with m.If(self.done):
                    m.next = "idle"
                    with m.If(self.found):
                        m.next = "contend"
            # The slave may use log and framer while the reporter waits; then the entry is fetched again.
            with m.State("contend"):
                with m.If(self.slave_busy | answer_due):
                    m.next = "idle"
                with m.Elif(self.free):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.send.eq(1)
                m.next = "sending"
            with m.State("sending"):
                with m.If(self.broken):
                    m.d.comb += self.draw.eq(1)
                    m.next = "contend"
                    with m.If(self.unready):
                        m.next = "idle"
                with m.Elif(self.sent):
                    m.d.sync += passed_ms.eq(0)
                    m.next = "await"
                with m.Elif(self.unready & self.pending):
                    m.next = "fetch for it"
            # Nothing but the event for which the frame has begun can be the oldest.
            with m.State("fetch for it"):
                fetch()
                with m.If(self.broken):
                    m.d.comb += self.draw.eq(1)
                    m.next = "fetch"
                with m.Elif(self.done):
                    m.next = "sending"
            with m.State("await"):
                with m.If(acknowledged):
                    m.d.comb += self.draw.eq(1)
                    m.d.sync += [self.failed.eq(0), attempts.eq(0), self.exchanged.eq(1)]
                    m.next = "acknowledge"
                    with m.If(introducing):
                        m.d.sync += introduced.eq(1)
                        m.next = "idle"
                with m.Elif(self.frame | answer_due):
                    m.d.comb += [self.draw.eq(1), self.baud_fallback.eq(attempts == BACKOFF_STEPS)]
                    m.d.sync += [self.failed.eq(1), passed_ms.eq(0)]
                    m.next = "back-off"
            with m.State("acknowledge"):
                m.d.comb += self.acknowledge.eq(1)
                with m.If(self.done):
                    m.next = "idle"
            with m.State("back-off"):
                with m.If(self.arrived | pause_over):
                    m.next = "idle"
                    with m.If(attempts != BACKOFF_STEPS):
                        m.d.sync += attempts.eq(attempts + 1)
        return m
