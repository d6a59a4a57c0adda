"""Theorems about speaking on the pair: never into others' talk, and acknowledged only what has arrived."""

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem

from sealchip.bus_access import GAP_MS, SILENCE_MS, SLOT_BITS, SLOT_MS, BusAccess
from sealchip.event_log import LogCommand
from sealchip.messages import Message
from sealchip.reporter import ACKNOWLEDGED, Reporter

LONGEST_BACKOFF_MS = GAP_MS + SLOT_MS * ((1 << SLOT_BITS) - 1)


@theorem(k=1, reach=526, parameters="anything on the pair, ticks at any time, any seed", long=True)
def free_only_when_nobody_else_speaks(m: Module) -> list[Value]:
    """`free` only while the line is high, the own driver is off, and both have been so for 4 ticks; and for
    520 more, unless the last thing heard was the end of an answer or a broadcast, or the last thing done was
    to send a frame that wants no answer. After 648 ticks of silence it is always free.
    """
    access = BusAccess()
    dut = Subject(m, access)
    activity = ~access.ro | access.de

    # Reference: ticks since the last activity, and whether the talk before it had come to its end.
    quiet = Signal(range(1 << len(access.quiet_ms)))
    settled = Signal()
    with m.If(activity):
        m.d.sync += [quiet.eq(0), settled.eq(0)]
    with m.Elif(access.tick_ms & ~quiet.all()):
        m.d.sync += quiet.eq(quiet + 1)
    with m.If(access.frame):
        m.d.sync += settled.eq(access.head.control[7] | access.head.broadcast)
    with m.If(access.sent):
        m.d.sync += settled.eq(~access.expects)

    m.d.comb += [
        Assert(~access.free | ~activity),
        Assert(~access.free | (quiet >= Mux(settled, GAP_MS, GAP_MS + SILENCE_MS))),
        Assert(access.free | activity | (quiet < SILENCE_MS + LONGEST_BACKOFF_MS)),
        Assert(access.silence == (quiet >= SILENCE_MS)),
        Assert(access.quiet_ms == quiet),
        # Invariant
        Assert(dut.signal("due") == ~settled),
        Cover(access.free & settled),
        Cover(access.free & ~settled),
    ]
    return [access.ro & ~access.de & access.tick_ms, ~access.sent & ~access.draw & (access.seed == 0)]


@theorem(
    k=1,
    reach=20,
    parameters="any log, slave and pair; the slave is not busy while a report is on the wire",
)
def acknowledged_only_what_arrived(m: Module) -> list[Value]:
    """The log is told to acknowledge only after a report was sent whole and 94H without data from the meter
    was the first frame heard since; and a record is sent only while its entry, found by FETCH_OLDEST, is what
    the log holds, and right after a `free`. `exchanged` rises only with such a 94H.
    """
    reporter = Reporter()
    dut = Subject(m, reporter)
    sends_record = reporter.message == Message.REPORT_RECORD
    answer = reporter.head.meter & (reporter.head.control == ACKNOWLEDGED) & (reporter.head.length == 0)

    # Reference: how far the report has come. The slave loads another entry later than it becomes busy.
    held, on_wire, arrived, earned, exchanged = (Signal(name=name) for name in STAGES)
    asks = reporter.log_start & (reporter.log_command == LogCommand.FETCH_OLDEST)
    acknowledges = reporter.log_start & (reporter.log_command == LogCommand.ACKNOWLEDGE)
    with m.If(reporter.slave_busy & past(m, reporter.slave_busy)):
        m.d.sync += held.eq(0)
    with m.If(asks & reporter.log_done):
        m.d.sync += held.eq(reporter.log_found)
    with m.If(reporter.send):
        m.d.sync += [on_wire.eq(1), arrived.eq(0), earned.eq(0)]
    with m.Elif(on_wire & reporter.collided):
        m.d.sync += on_wire.eq(0)
    with m.Elif(on_wire & reporter.sent):
        m.d.sync += [on_wire.eq(0), arrived.eq(1)]
    with m.Elif(arrived & reporter.frame):
        m.d.sync += [arrived.eq(0), earned.eq(answer & sends_record), exchanged.eq(exchanged | answer)]
    with m.Elif(acknowledges & reporter.log_done):
        m.d.sync += earned.eq(0)
    m.d.comb += Assume(~(reporter.send | on_wire) | ~reporter.slave_busy)

    m.d.comb += [
        Assert(~acknowledges | earned),
        Assert(~reporter.send | ~sends_record | held),
        Assert(~reporter.send | past(m, reporter.free & ~reporter.slave_busy)),
        Assert(~reporter.exchanged | exchanged),
    ]

    # Invariants: what the states of the reporter mean.
    state = dut.fsm()
    with m.If(state.ongoing("contend") | state.ongoing("collided") | state.ongoing("send") | on_wire):
        m.d.comb += Assert(~sends_record | held)
    m.d.comb += [
        Assert(~state.ongoing("collided") | ~past(m, reporter.slave_busy)),
        Assert(on_wire == state.ongoing("sending")),
        Assert(on_wire + arrived + earned <= 1),
        Assert(sends_record | (reporter.message == Message.REPORT_IDENTITY)),
        Assert(~state.ongoing("await") | arrived),
        Assert(~state.ongoing("acknowledge") | (earned & sends_record)),
        Assert(~state.ongoing("fetch") | sends_record),
        Cover(acknowledges & reporter.log_done),
        Cover(reporter.send & ~sends_record & reporter.exchanged),
    ]
    return []


STAGES = ("held", "on_wire", "arrived", "earned", "exchanged")
