"""Our master works with our slaves, in memory, over a line that loses, damages and delays."""

import heapq
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.protocols.dlt645 import Decoder, Frame, Received, requests
from meterseal.protocols.dlt645.master import Answered, Master, Overheard, Refused, Send, TimedOut
from meterseal.protocols.dlt645.slave import Handler, Slave

ADDRESSES = ["000000000731", "000000000732", "681668166816"]
TIMEOUT = 0.6


class Meter(Handler):
    """Answers a read with its parameters and the number of bytes that they request, and keeps all writes."""

    def __init__(self):
        self.written = []

    def read(self, di, parameters):
        size = int.from_bytes(parameters[4:], "little")
        return parameters + bytes(i & 0xFF for i in range(size))

    def write(self, write):
        self.written.append(write.data)


#: Strategies for what happens to one frame on the line.
lost = st.just(("lost", 0))
damaged = st.tuples(st.just("damaged"), st.integers(0, 11))
delayed = st.tuples(st.just("passed"), st.floats(0.02, 0.5))
late = st.tuples(st.just("passed"), st.floats(0.02, 2 * TIMEOUT - 0.01))
garbage = st.tuples(st.just("garbage"), st.binary(min_size=1, max_size=12))


@dataclass
class Line:
    """Holds the bytes under way, in the order of their arrival, and the slaves at the other end."""

    fates: st.DataObject
    fate: st.SearchStrategy
    slaves: list
    queue: list = field(default_factory=list)
    order: count = field(default_factory=count)

    def put(self, raw, now):
        """Send a request; each slave receives it, and answers after its Td."""
        kind, how = self.fates.draw(self.fate)
        if kind == "lost":
            return
        decoder = Decoder()
        for event in decoder.feed(_harm(raw, kind, how), now) + decoder.idle(now + 1):
            for slave in self.slaves:
                answer = slave.receive(event.frame) if isinstance(event, Received) else None
                if answer is not None:
                    self.answer(answer.encode(self.fates.draw(st.integers(0, 4))), now)

    def answer(self, raw, now):
        kind, how = self.fates.draw(self.fate)
        if kind == "lost":
            return
        after = how if kind == "passed" else 0.1
        heapq.heappush(self.queue, (now + after, next(self.order), _harm(raw, kind, how)))


def _harm(raw, kind, how):
    if kind == "damaged":
        return raw[: -1 - how] + bytes([raw[-1 - how] ^ 0x41]) + raw[len(raw) - how :]
    if kind == "garbage":
        return how + raw
    return raw


def exchange(master, line, request, now):
    """Run one exchange to its end; return the outcome, and when."""
    now = max(now, master.ready_at(request.address))
    # Whatever is still under way arrives in the meantime.
    while line.queue and line.queue[0][0] <= now:
        at, _, raw = heapq.heappop(line.queue)
        assert all(not isinstance(event, (Answered, Refused)) for event in master.receive(raw, at))
    line.put(master.start(request, now), now)
    outcomes = []
    while master.busy:
        if line.queue and line.queue[0][0] <= master.deadline:
            now, _, raw = heapq.heappop(line.queue)
            events = master.receive(raw, now)
        else:
            now = max(now, master.deadline)
            events = master.tick(now)
        for event in events:
            if isinstance(event, Send):
                line.put(event.raw, now)
            elif isinstance(event, (Answered, Refused, TimedOut)):
                outcomes.append(event)
    assert len(outcomes) == 1
    return outcomes[0], now


def scenario(data, fate, steps):
    """Run `steps` exchanges over one line; return the requests, their ends, and what the meters took."""
    # At the line's highest speed the time on the wire does not matter to the delays.
    master = Master(baud=19200, timeout=TIMEOUT)
    meters = {address: Meter() for address in ADDRESSES}
    line = Line(data, fate, [Slave(address, meter) for address, meter in meters.items()])
    now = 0.0
    for number in range(steps):
        address = data.draw(st.sampled_from(ADDRESSES))
        stamp = number.to_bytes(4, "little")
        if data.draw(st.booleans()):
            request = requests.write(address, 0x04805380, stamp)
        else:
            size = data.draw(st.sampled_from([0, 10, 300, 700]))
            request = requests.read(address, 0x04805341, stamp + size.to_bytes(2, "little"))
        outcome, now = exchange(master, line, request, now)
        yield request, outcome, meters[address], stamp


@given(st.data())
def test_on_a_good_line_every_exchange_succeeds_at_once(data):
    for request, outcome, meter, stamp in scenario(data, delayed, 5):
        assert isinstance(outcome, Answered)
        assert outcome.request == request
        if outcome.frame.control == 0x94:
            assert meter.written.count(stamp) == 1
        else:
            size = int.from_bytes(request.content[4:], "little")
            assert outcome.content == request.content + bytes(i & 0xFF for i in range(size))


@settings(max_examples=200)
@given(st.data())
def test_no_answer_is_ever_taken_for_another_request(data):
    """Lost, damaged and late frames make an exchange fail; none never succeeds with something else.

    A late frame comes up to twice the timeout after its request, as `Master` promises.
    """
    fate = st.one_of(late, late, delayed, delayed, lost, damaged, garbage)
    for request, outcome, meter, stamp in scenario(data, fate, 6):
        assert outcome.request == request
        if isinstance(outcome, Answered):
            if outcome.frame.control == 0x94:
                assert stamp in meter.written
            else:
                size = int.from_bytes(request.content[4:], "little")
                assert outcome.content == request.content + bytes(i & 0xFF for i in range(size))


@given(st.data())
def test_a_dead_line_times_out(data):
    for request, outcome, meter, _ in scenario(data, lost, 2):
        assert outcome == TimedOut(request)
        assert meter.written == []


def test_a_seal_and_a_terminal_share_the_line():
    """The terminal receives the seal's report and the meter's answer to it, and is answered nevertheless."""
    meter = Meter()
    slave = Slave(ADDRESSES[0], meter)
    terminal = Master()
    request = requests.read(ADDRESSES[0], 1, b"\1\2\3\4\0")
    terminal.start(request, 0.0)
    push = requests.write(ADDRESSES[0], 0x04805380, bytes(38))
    acknowledged = slave.receive(push)
    raw = push.encode() + acknowledged.encode() + slave.receive(request).encode()
    events = terminal.receive(raw, 0.3)
    assert events[:2] == [Overheard(push), Overheard(Frame(ADDRESSES[0], 0x94))]
    assert isinstance(events[2], Answered)
