"""Theorems about the bus: the seal never transmits into other traffic, no lost report counts as delivered."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value

from sealchip.bus.bus_access import CRASH_MS, GAP_MS, SILENCE_MS, SLOT_BITS, SLOT_MS, STUCK_MS, BusAccess
from sealchip.dlt645.messages import Message
from sealchip.dlt645.reporter import ACKNOWLEDGED, Reporter
from sealchip.dlt645.slave import Slave
from sealchip.signatures import FrameHead
from verif.formal.slave import at_its_step, sends
from verif.formal.theorem import Subject, past, theorem, unchanged

LONGEST_BACKOFF_MS = SLOT_MS * ((1 << SLOT_BITS) - 1)


@theorem(k=1, reach=526, parameters="anything on the bus, ticks at any time, any seed", long=True)
def free_only_when_nobody_else_speaks(m: Module) -> list[Value]:
    """`free` is set only while the line is high, the own driver is off and no frame has just ended, if line
    and driver have been so for 520 ticks; or for 4 ticks, if the last thing received was the end of an answer
    or a broadcast, or the last action was to send a frame that expects no answer; or for 20 ticks, if the
    last action was to give a frame up and the line has not fallen since. After 582 ticks of silence without a
    new draw it is always set. `stuck` is set exactly when the line has been low for 64 ticks.
    """
    access = BusAccess()
    dut = Subject(m, access)
    held = dut.signal("held_ms")
    before = past(m, access.ro, init=1)
    activity = ~access.ro | ~before | access.de

    # Reference: ticks since the last activity and the last draw, and how the traffic before it ended.
    quiet, drawn, low = Signal(range(SILENCE_MS + 1)), Signal(range(1024)), Signal(range(65))
    settled, broken = Signal(), Signal()
    with m.If(activity):
        m.d.sync += quiet.eq(0)
    with m.Elif(access.ticks.ms & (quiet != SILENCE_MS)):
        m.d.sync += quiet.eq(quiet + 1)
    with m.If(activity | access.request.draw | past(m, access.request.draw) | access.frame.valid):
        m.d.sync += drawn.eq(0)
    with m.Elif(access.ticks.ms & (drawn != SILENCE_MS + LONGEST_BACKOFF_MS)):
        m.d.sync += drawn.eq(drawn + 1)
    with m.If(access.ro | before):
        m.d.sync += low.eq(0)
    with m.Elif(access.ticks.ms & (low != STUCK_MS)):
        m.d.sync += low.eq(low + 1)
    falls = ~access.ro & before
    with m.If(access.de | falls):
        m.d.sync += [settled.eq(0), broken.eq(0)]
    with m.If(access.frame.valid):
        m.d.sync += [settled.eq(access.frame.head.control[7] | access.frame.head.broadcast), broken.eq(0)]
    with m.If(access.sent.done):
        m.d.sync += [settled.eq(~access.expects), broken.eq(0)]
    with m.If(access.sent.broken):
        m.d.sync += [settled.eq(0), broken.eq(1)]
    least = Mux(settled, GAP_MS, Mux(broken, CRASH_MS, SILENCE_MS))
    waited = drawn == SILENCE_MS + LONGEST_BACKOFF_MS

    m.d.comb += [
        Assert(~access.request.free | (~activity & ~access.frame.valid)),
        Assert(~access.request.free | (quiet >= least)),
        Assert(access.request.free | ~waited | activity | access.frame.valid),
        Assert(access.silence == (~activity & (quiet == SILENCE_MS))),
        Assert(access.quiet_ms == Mux(activity, 0, quiet)),
        Assert(access.stuck == (~access.ro & (low == STUCK_MS))),
        # Invariants
        Assert((quiet >= drawn) | (quiet == SILENCE_MS)),
        Assert((quiet <= SILENCE_MS) & (drawn <= SILENCE_MS + LONGEST_BACKOFF_MS)),
        Assert(Mux(before, low == 0, quiet == 0)),
        Assert(Mux(before, held == quiet, low == Mux(held < STUCK_MS, held, STUCK_MS))),
        Assert(held <= SILENCE_MS),
        Assert(dut.signal("drawn") == past(m, access.request.draw)),
        Assert(dut.signal("slot_ms") <= LONGEST_BACKOFF_MS),
        Assert((drawn <= SILENCE_MS) | (dut.signal("slot_ms") <= SILENCE_MS + LONGEST_BACKOFF_MS - drawn)),
        Assert(dut.signal("due") == (~settled & ~broken)),
        Assert(~broken | dut.signal("crashed")),
        Assert(dut.signal("high") == before),
        Cover(access.request.free & settled),
        Cover(access.request.free & ~settled & ~broken),
        Cover(access.request.free & broken),
        Cover(access.stuck),
    ]
    return [
        *(
            access.ticks.ms,
            ~access.sent.done & ~access.request.draw & (access.seed == 0),
            access.ro == AnyConst(1),
        ),
        (~access.frame.valid & ~access.sent.broken) | (access.quiet_ms < 5),
        ~access.de & (access.frame.head.control == 0x91),
    ]


@theorem(
    k=1,
    reach=24,
    parameters="any core and bus; while the reporter speaks the slave is not busy, and what is not ready "
    "is not sent whole, as `one_speaker_in_the_chip` says",
)
def acknowledged_only_what_arrived(m: Module) -> list[Value]:
    """The core gets the command to acknowledge only after a report was sent whole and 94H without data from
    the meter was the first frame received since. A record is sent whole only while it is that of the oldest
    entry, as found last. A frame begins only right after a `free`. A command to the core holds until it is
    done. `exchanged` rises only with such a 94H.
    """
    reporter = Reporter()
    dut = Subject(m, reporter)
    sends_record = reporter.send.message == Message.REPORT_RECORD
    answer = is_acknowledgement(reporter.frame.head)

    # Reference: how far the report has come. The slave has another record made later than it becomes busy.
    held, on_wire, arrived, earned, exchanged = (Signal(name=name) for name in STAGES)
    asks, acknowledges = reporter.log.oldest, reporter.log.acknowledge
    with m.If(reporter.turn.answering & past(m, reporter.turn.answering)):
        m.d.sync += held.eq(0)
    with m.If(asks & reporter.log.done):
        m.d.sync += held.eq(reporter.log.found)
    with m.If(reporter.send.start):
        m.d.sync += [on_wire.eq(1), arrived.eq(0), earned.eq(0)]
    with m.Elif(on_wire & reporter.sent.broken):
        m.d.sync += on_wire.eq(0)
    with m.Elif(on_wire & reporter.sent.done):
        m.d.sync += [on_wire.eq(0), arrived.eq(1)]
    with m.Elif(arrived & reporter.frame.valid):
        m.d.sync += [arrived.eq(0), earned.eq(answer & sends_record), exchanged.eq(exchanged | answer)]
    with m.Elif(acknowledges & reporter.log.done):
        m.d.sync += earned.eq(0)
    m.d.comb += [
        Assume(~reporter.turn.reporting | ~reporter.turn.answering),
        Assume(~reporter.sent.done | ~(reporter.turn.reporting & reporter.unready)),
    ]

    whole = on_wire & reporter.sent.done & ~reporter.sent.broken
    m.d.comb += [
        Assert(~acknowledges | earned),
        Assert(~whole | ~sends_record | held),
        Assert(~reporter.send.start | past(m, reporter.request.free & ~reporter.turn.answering)),
        Assert(~reporter.meter.exchanged | exchanged),
        *(Assert(~past(m, command & ~reporter.log.done) | command) for command in (asks, acknowledges)),
        Assert(~(asks & acknowledges)),
        Assert(reporter.turn.reporting == (reporter.send.start | on_wire)),
    ]

    # Invariants: what the states of the reporter mean.
    state, ready = dut.fsm(), dut.signal("held")
    waiting = state.ongoing("idle") | state.ongoing("contend") | state.ongoing("fetch")
    with m.If(state.ongoing("contend") | reporter.turn.reporting):
        m.d.comb += Assert(~(sends_record & ready) | held)
    m.d.comb += [
        Assert(~state.ongoing("contend") | ready | ~sends_record),
        Assert(on_wire == (state.ongoing("sending") | state.ongoing("fetch for it"))),
        Assert(on_wire + arrived + earned <= 1),
        Assert(sends_record | (reporter.send.message == Message.REPORT_IDENTITY)),
        Assert(~state.ongoing("await") | arrived),
        Assert(~state.ongoing("acknowledge") | (earned & sends_record)),
        Assert(~(state.ongoing("fetch") | state.ongoing("fetch for it")) | sends_record),
        Assert(~state.ongoing("fetch for it") | reporter.unready),
        Cover(acknowledges & reporter.log.done),
        Cover(whole & ~sends_record & reporter.meter.exchanged),
        Cover(whole & sends_record & ~past(m, waiting) & dut.signal("tried")),
    ]
    return []


STAGES = ("held", "on_wire", "arrived", "earned", "exchanged")


class Speakers:
    """This holds the slave and the reporter, connected as in the chip, with any framer on any bus.

    The framer sends no byte of a body while it has to wait, as `frames_are_whole` states; a frame breaks off
    or ends at any time.
    """

    def __init__(self, m: Module, *, core: bool) -> None:
        self.reporter, self.slave = reporter, slave = Reporter(), Slave()
        self.busy, self.behind_body, self.message = Signal(), Signal(), Signal(Message)
        self.frame, self.broken, self.done = AnySeq(1), Signal(), Signal()
        self.start = slave.send.start | reporter.send.start
        wait = reporter.unready & reporter.turn.reporting
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), self.behind_body.eq(0)]
        with m.Elif(self.broken | self.done):
            m.d.sync += self.busy.eq(0)
        with m.Elif(self.busy & ~wait & AnySeq(1)):
            m.d.sync += self.behind_body.eq(1)

        own = [reporter.frame.valid, reporter.turn.answering, reporter.request.free]
        own += [reporter.sent.done, reporter.sent.broken]
        kept = [reporter.log.done, reporter.log.found] if core else []
        self.reports = Subject(m, reporter, "reporter", driven=(*own, *kept))
        kept = [slave.core.done, slave.core.right] if core else []
        own = [slave.frame.valid, slave.turn.reporting, slave.sent.done, slave.sent.broken]
        self.replies = Subject(m, slave, "slave", driven=(*own, *kept))
        m.d.comb += [
            self.broken.eq(self.busy & AnySeq(1)),
            self.done.eq(self.busy & self.behind_body & ~self.broken & AnySeq(1)),
            self.message.eq(Mux(slave.turn.answering, slave.send.message, reporter.send.message)),
            reporter.frame.valid.eq(self.frame),
            reporter.turn.answering.eq(slave.turn.answering),
            reporter.request.free.eq(~self.frame & AnySeq(1)),
            reporter.sent.done.eq(self.done),
            reporter.sent.broken.eq(self.broken),
            slave.frame.valid.eq(self.frame),
            slave.turn.reporting.eq(reporter.turn.reporting),
            slave.sent.done.eq(self.done),
            slave.sent.broken.eq(self.broken),
        ]

        # Invariants
        state = self.reports.fsm()
        on_wire = state.ongoing("sending") | state.ongoing("fetch for it")
        m.d.comb += [
            Assert(~reporter.turn.reporting | ~slave.turn.answering),
            Assert(~self.start | ~self.busy),
            *at_its_step(self.replies, slave),
            Assert(self.busy == (on_wire | sends(self.replies))),
            Assert(~(self.busy & self.behind_body & reporter.turn.reporting) | ~reporter.unready),
            Assert(~state.ongoing("fetch for it") | reporter.unready),
        ]


@theorem(k=1, reach=20, parameters="any frames, any core, any framer and bus as `Speakers` says")
def one_speaker_in_the_chip(m: Module) -> None:
    """For slave, reporter and framer, connected as in the chip: while the reporter transmits, the slave is
    not busy; a frame is begun only when nothing is being sent; the message stays the same until it has ended;
    and the report of a record that is not ready never ends whole.
    """
    chip = Speakers(m, core=False)
    reporter, slave = chip.reporter, chip.slave
    m.d.comb += [
        Assert(~reporter.turn.reporting | ~slave.turn.answering),
        Assert(~chip.start | ~chip.busy),
        Assert(~(chip.busy & past(m, chip.busy)) | unchanged(m, chip.message)),
        Assert(~(chip.done & reporter.turn.reporting) | ~reporter.unready),
        Cover(chip.done & reporter.turn.reporting),
        Cover(chip.done & slave.turn.answering),
    ]


@theorem(
    k=1,
    reach=30,
    parameters="any frames; any framer and bus as `Speakers` says; any core that does one thing at a "
    "time, in any order, and may give entries up",
)
def an_entry_leaves_only_when_told(m: Module) -> None:
    """For slave, reporter and core, connected as in the chip: `acknowledge` marks an entry only if the record
    of exactly that entry, complete, was in the record memory when a report was sent whole, and 94H without
    data from the meter was the first frame received since.
    """
    chip = Speakers(m, core=True)
    reporter, slave = chip.reporter, chip.slave
    commands = reporter.log.oldest, reporter.log.acknowledge, slave.core.start
    oldest, acknowledging, slaves = serving = Signal(3)
    begins, done, right = Signal(3), Signal(), AnySeq(1)
    m.d.comb += [
        begins.eq(Mux(serving == 0, AnySeq(3) & Cat(commands), 0)),
        Assume(begins & (begins - 1) == 0),
        done.eq((serving != 0) & AnySeq(1)),
        reporter.log.done.eq(done & ~slaves),
        reporter.log.found.eq(right),
        slave.core.done.eq(done & slaves),
        slave.core.right.eq(right),
    ]
    with m.If(done):
        m.d.sync += serving.eq(0)
    with m.Elif(serving == 0):
        m.d.sync += serving.eq(begins)

    # Reference: `loaded` if the entry found last as the oldest can still be marked, `held` if the record to
    # be read is of that entry, `told` and `earned` for how far its report has come.
    loaded, held, told, earned = (Signal(name=name) for name in ("loaded", "held", "told", "earned"))
    marks = done & acknowledging & loaded
    with m.If(done & oldest):
        m.d.sync += [loaded.eq(right), told.eq(0), earned.eq(0)]
    with m.Elif((done & acknowledging) | AnySeq(1)):
        m.d.sync += loaded.eq(0)
    with m.If(begins[0] | begins[2]):
        m.d.sync += held.eq(0)
    with m.Elif(done & oldest):
        m.d.sync += held.eq(right)
    with m.If(chip.done & reporter.turn.reporting):
        m.d.sync += [told.eq(held & (reporter.send.message == Message.REPORT_RECORD)), earned.eq(0)]
    with m.Elif(chip.frame & told):
        m.d.sync += [told.eq(0), earned.eq(is_acknowledgement(reporter.frame.head))]
    m.d.comb += Assert(~marks | earned)

    # Invariants: a requester that is served has asked, and what the states of the reporter mean.
    state, ready = chip.reports.fsm(), chip.reports.signal("held")
    record = reporter.send.message == Message.REPORT_RECORD
    waits = state.ongoing("contend") & ~slave.turn.answering
    m.d.comb += [
        *(Assert(~served | asked) for served, asked in zip(serving, commands, strict=True)),
        Assert(serving & (serving - 1) == 0),
        Assert(~(waits | reporter.turn.reporting) | ~(record & ready) | held),
        Assert(~state.ongoing("contend") | ~record | ready),
        Assert(record | (reporter.send.message == Message.REPORT_IDENTITY)),
        Assert(~state.ongoing("await") | ~record | told),
        Assert(~state.ongoing("acknowledge") | (record & earned & ~told)),
        Assert(~(state.ongoing("fetch") | state.ongoing("fetch for it")) | record),
        Cover(marks),
        Cover(done & slaves),
    ]


def is_acknowledgement(head: FrameHead) -> Value:
    """Return whether a frame with this head is the meter's 94H without data."""
    return head.meter & (head.control == ACKNOWLEDGED) & (head.length == 0)
