"""The seal as second master: it pushes each event to its meter until the meter has acknowledged it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import FROM_SLAVE, Function
from ..signatures import (
    BusRequest,
    CoreStatus,
    EventNotice,
    FrameIn,
    LogCommand,
    MeterStatus,
    SendResult,
    Ticks,
    Turn,
)
from .messages import Message, Send

__all__ = ["Reporter", "has_record_in_time"]

#: Time in ms within which the meter's answer must have come: Td up to 500 ms and the frame at 600 baud. It is
#: also the age at which a record that waits for the bus is made anew, so that its age in seconds is right. A
#: power of two, as is the back-off: then one bit of a counter shows that the time has passed.
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
    once, with the same retries but after all events. A collision costs only a new draw for the bus. A
    record that waits for the bus is fetched again every second. A new event ends a back-off, so that the
    meter receives it at once.

    *Timing:* where the bus is free and nothing else waits, the frame of a new event begins while the log
    still writes it: the record is wanted only `AHEAD_BITS` later. When it is not there by then the frame
    ends there and is sent anew, once, as any other.

    *Guarantees:* an entry is acknowledged in the log only by a normal answer (94H, no data) of exactly the
    meter's address, after a report that was sent whole, before any other frame was received; and a report of
    a record is sent whole only with the record that the log gave for that entry.

    Members
    -------
    status : of the core; nothing is sent before identity and log are there.
    event : a new event; its frame begins before it is logged while `pending` is high.
    frame : frames.
    ticks : the time.
    request : asks the bus access for a slot.
    turn : `reporting` while the framer is the reporter's; not while the slave is answering.
    log : commands to the core.
    send : what to send.
    unready : the frame's record is not there yet.
    sent : how a frame has ended.
    meter : how far the meter knows the events.
    baud_fallback : strobe, even the longest back-off has not helped, so the rate set by 17H may be why.

    In every cycle: `verif/blocks/test_reporter.py::test_each_cycle_like_the_reference`,
    `test_pauses_double_up_to_32_seconds`; delivery:
    `verif/chip/test_chip_report.py::test_report_until_acknowledged`,
    `verif/chip/test_chip_report.py::test_the_stored_rate_comes_back`,
    `verif/chip/test_chip_bus.py::test_many_seals`; proofs:
    `verif/formal/bus.py::acknowledged_only_what_arrived`, `verif/formal/bus.py::one_speaker_in_the_chip`,
    `verif/formal/bus.py::an_entry_leaves_only_when_told`.
    """

    status: In(CoreStatus)
    event: In(EventNotice)
    frame: In(FrameIn)
    ticks: In(Ticks)
    request: Out(BusRequest)
    turn: Out(Turn)
    log: Out(LogCommand)
    send: Out(Send)
    unready: Out(1)
    sent: In(SendResult)
    meter: Out(MeterStatus)
    baud_fallback: Out(1)

    def elaborate(self, platform):
        m = Module()
        head, log, meter, request, sent = self.frame.head, self.log, self.meter, self.request, self.sent
        message, turn, event = self.send.message, self.turn, self.event
        enable = self.status.identity_valid & self.status.log_ready
        introduced = Signal()  # the meter has acknowledged the seal's asset number
        attempts = Signal(range(BACKOFF_STEPS + 1))
        # Each time is a power of two. A pause is over with the first change of its bit; a frame may last
        # longer than a record is good for.
        passed_ms = Signal(range((BACKOFF_MS << BACKOFF_STEPS) + 1))
        answer_due = passed_ms[ANSWER_MS.bit_length() - 1 :].any()
        pause_over = passed_ms[BACKOFF_MS.bit_length() - 1 :].bit_select(attempts, 1)
        held = Signal()  # the record of the oldest entry is ready to send
        tried = Signal()  # a frame has begun ahead of the pending event
        introducing = message == Message.REPORT_IDENTITY
        acknowledged = self.frame.valid & head.meter & (head.control == ACKNOWLEDGED) & (head.length == 0)
        m.d.comb += self.unready.eq(~held & ~introducing)

        with m.If(self.ticks.ms):
            m.d.sync += passed_ms.eq(passed_ms + 1)
        with m.If(event.logged):
            m.d.sync += tried.eq(0)

        def fetch():
            m.d.comb += log.oldest.eq(1)
            with m.If(log.done):
                m.d.sync += held.eq(log.found)

        with m.FSM(name="state") as fsm:
            m.d.comb += turn.reporting.eq(
                fsm.ongoing("send") | fsm.ongoing("sending") | fsm.ongoing("fetch for it")
            )
            # What the first slot is drawn from is known only with the identity.
            with m.State("off"):
                m.d.comb += request.draw.eq(enable)
                with m.If(enable):
                    m.next = "idle"
            with m.State("idle"):
                m.d.sync += [passed_ms.eq(0), held.eq(0)]
                with m.If(enable & ~turn.answering):
                    with m.If(self.status.pending):
                        m.d.sync += message.eq(Message.REPORT_RECORD)
                        m.next = "fetch"
                    with m.Elif(event.pending & ~tried):
                        with m.If(request.free):
                            m.d.sync += [message.eq(Message.REPORT_RECORD), tried.eq(1)]
                            m.next = "send"
                    with m.Elif(meter.exchanged & ~introduced):
                        m.d.sync += message.eq(Message.REPORT_IDENTITY)
                        m.next = "contend"
            with m.State("fetch"):
                fetch()
                with m.If(log.done):
                    m.next = "idle"
                    with m.If(log.found):
                        m.next = "contend"
            # The slave may use log and framer while the reporter waits; then the entry is fetched again.
            with m.State("contend"):
                with m.If(turn.answering | answer_due):
                    m.next = "idle"
                with m.Elif(request.free):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.send.start.eq(1)
                m.next = "sending"
            with m.State("sending"):
                with m.If(sent.broken):
                    m.d.comb += request.draw.eq(1)
                    m.next = "contend"
                    with m.If(self.unready):
                        m.next = "idle"
                with m.Elif(sent.done):
                    m.d.sync += passed_ms.eq(0)
                    m.next = "await"
                with m.Elif(self.unready & self.status.pending):
                    m.next = "fetch for it"
            # Nothing but the event for which the frame has begun can be the oldest.
            with m.State("fetch for it"):
                fetch()
                with m.If(sent.broken):
                    m.d.comb += request.draw.eq(1)
                    m.next = "fetch"
                with m.Elif(log.done):
                    m.next = "sending"
            with m.State("await"):
                with m.If(acknowledged):
                    m.d.comb += request.draw.eq(1)
                    m.d.sync += [meter.failed.eq(0), attempts.eq(0), meter.exchanged.eq(1)]
                    m.next = "acknowledge"
                    with m.If(introducing):
                        m.d.sync += introduced.eq(1)
                        m.next = "idle"
                with m.Elif(self.frame.valid | answer_due):
                    m.d.comb += [request.draw.eq(1), self.baud_fallback.eq(attempts == BACKOFF_STEPS)]
                    m.d.sync += [meter.failed.eq(1), passed_ms.eq(0)]
                    m.next = "back-off"
            with m.State("acknowledge"):
                m.d.comb += log.acknowledge.eq(1)
                with m.If(log.done):
                    m.next = "idle"
            with m.State("back-off"):
                with m.If(event.logged | pause_over):
                    m.next = "idle"
                    with m.If(attempts != BACKOFF_STEPS):
                        m.d.sync += attempts.eq(attempts + 1)
        return m
