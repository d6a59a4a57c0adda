"""The GSM dialogue sends whole messages or none to a module that misbehaves, and always goes on."""

from __future__ import annotations

import re
from collections import deque

import pytest
from amaranth.hdl import Array, Mux, Signal
from amaranth.hdl import Module as Hdl
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from hypothesis import example, given
from hypothesis import strategies as st

from meterseal.sim.customer.modem import Answer, Modem
from sealchip.gsm.dialogue import GsmDialogue
from sealchip.gsm.notifier import BAUD, GsmNotifier
from sealchip.gsm.text import PHRASES, message
from sealchip.interface import IDENTITY, Kind, StateClass
from verif.benches.block import Bench, characters, examples, simulate, wave
from verif.models.gsm_module import Manner, Module, Received

SEAL, PHONE = "290187654310", "+861234567890975"
COMMANDS = ["AT", "ATE0", "AT+CMGF=1", 'AT+CSCS="UCS2"', "AT+CSMP=17,167,0,8", "AT+CREG?"]
STATES = {1: "开启", 2: "回路电压偏低", 4: "回路电压偏高", 5: "回路响应不符"}
#: The clock has the bytes ss mm hh DD MM YY.
CLOCK, TIME = (0x59, 0x05, 0x13, 0x22, 0x11, 0x26), "2026-11-22 13:05"


class Surroundings(wiring.Component):
    """The dialogue, or a part that has it, reads an identity and a clock, which is EE while not free."""

    def __init__(self, dialogue):
        super().__init__({})
        self.dialogue = dialogue
        self.clock = Signal(48)
        self.identity = Memory(shape=8, depth=IDENTITY.size, init=[])

    def elaborate(self, platform):
        m = Hdl()
        m.submodules.dialogue = self.dialogue
        m.submodules.identity = self.identity
        feed, read = self.dialogue.feed, self.identity.read_port()
        m.d.comb += [read.addr.eq(feed.identity_address), feed.identity_byte.eq(read.data)]
        byte = Array(self.clock.word_select(n, 8) for n in range(6))[feed.clock_index]
        m.d.sync += feed.clock_byte.eq(Mux(feed.clock_free, byte, 0xEE))
        return m

    def furnish(self, ctx, *, phone=PHONE, clock=CLOCK):
        """Set identity and clock."""
        identity, feed = bytearray(IDENTITY.size), self.dialogue.feed
        identity[IDENTITY.slice("seal")] = bytes.fromhex(SEAL)[::-1]
        identity[IDENTITY.slice("phone")] = phone.encode().ljust(16, b"\0")
        for address, byte in enumerate(identity):
            ctx.set(self.identity.data[address], byte)
        ctx.set(feed.clock_valid, clock is not None)
        ctx.set(feed.clock_free, 1)
        ctx.set(self.clock, int.from_bytes(bytes(clock or b"\xff" * 6), "little"))


BENCH = Bench(lambda: Surroundings(GsmDialogue()))
#: So many cycles lie between two characters of the module, and in a second while characters come. What takes
#: longer is silence, and goes by faster.
CHARACTER, SECOND, QUIET = 5, 2000, 60


#: A slow answer comes after so many seconds.
LATE = 20
#: After so many seconds of silence nothing more comes: that is longer than every pause of the script.
IDLE = 190


class Day:
    """A run goes on until all is quiet: events come at their seconds, the module
    answers, and the phone shows messages.

    `at_last` is one event more, when all is quiet for the first time; from then on the module behaves.
    """

    def __init__(self, module, events, *, at_last=None, phone=PHONE, clock=CLOCK):
        self.module, self.events, self.at_last = module, deque(events), at_last
        self.phone, self.clock = phone, clock
        #: Each message came to the phone in this second.
        self.times = []

    def run(self):
        BENCH.run(self._testbench)
        return self.module.messages

    async def _testbench(self, ctx):
        dut = BENCH.dut
        feed, module = dut.dialogue.feed, self.module
        dut.furnish(ctx, phone=self.phone, clock=self.clock)
        ctx.set(dut.dialogue.o.ready, 1)
        o = dut.dialogue.o
        now, of_second, quiet, active = 0, 0, 0, 0
        while self.events or now - active < IDLE or self._begin_anew(now):
            event = self._event(ctx, now, of_second)
            if event:
                kind, state = event
                ctx.set(feed.kind, kind)
                ctx.set(feed.state, state)
                ctx.set(feed.valid, 1)
                quiet, active = 0, now
            if module.late and now - active >= LATE:
                module.output += module.late
                module.late.clear()
            if module.output and of_second % CHARACTER == 0:
                ctx.set(dut.dialogue.data, module.output.pop(0))
                ctx.set(dut.dialogue.valid, 1)
                quiet = 0
            of_second += 1
            if of_second >= (SECOND if quiet < QUIET else 0):
                ctx.set(feed.tick_s, 1)
                now, of_second = now + 1, 0
            _, _, valid, payload = await ctx.tick().sample(o.valid, o.payload)
            quiet += 1
            for strobe in (feed.valid, dut.dialogue.valid, feed.tick_s):
                ctx.set(strobe, 0)
            if valid:
                quiet, active, count = 0, now, len(module.messages)
                module.receive(payload)
                self.times += [now] * (len(module.messages) - count)

    def _event(self, ctx, now, of_second):
        """Return the event of this cycle, if there is one."""
        if self.events and self.events[0][0] <= now and of_second == 0:
            return self.events.popleft()[1:]
        return None

    def _begin_anew(self, now):
        event, self.at_last = self.at_last, None
        if event:
            self.module.manners.clear()
            self.events.append((now, *event))
        return event


def opened(at=1):
    return at, Kind.OPENED, StateClass.OPEN


def test_a_message_arrives():
    day = Day(Module(), [opened()])
    assert day.run() == [Received(PHONE, f"【封印】{SEAL} 于{TIME} 开启")]
    number = PHONE.encode("utf-16-be").hex().upper()
    assert day.module.received[:-1] == [*COMMANDS, f'AT+CMGS="{number}"']


class HostsModem:
    """The customer's modem takes the place of `Module`."""

    def __init__(self, modem):
        self._modem, self.output, self.late, self.messages = modem, bytearray(), bytearray(), []

    def receive(self, byte):
        events = self._modem.receive(bytes([byte]))
        while events:
            event = events.pop(0)
            if isinstance(event, Answer):
                self.output += event.raw
            else:
                self.messages.append(Received(event.message.number, event.message.text))
                events += self._modem.accepted(event.message.reference)


@pytest.mark.parametrize("misbehaves", [False, True])
def test_the_customers_modem_understands(misbehaves):
    """The simulated customer's phone shows two messages, one after another."""
    modem = HostsModem(Modem(echo=misbehaves, unsolicited=misbehaves))
    day = Day(modem, [opened(), (2, Kind.CLOSED, StateClass.SEALED)])
    assert day.run() == [Received(PHONE, message(SEAL, zh, time=TIME)) for zh in ("开启", "闭合")]


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda it: it.en)
def test_every_phrase(phrase):
    state = StateClass.OPEN if phrase.state is None else phrase.state
    day = Day(Module(), [(1, phrase.kind, state)])
    assert [it.text for it in day.run()] == [message(SEAL, phrase.zh, time=TIME)]


@pytest.mark.parametrize("kind", [Kind.LOCKED_OUT, Kind.PROVISIONED, Kind.BOOT])
def test_other_events_send_nothing(kind):
    day = Day(Module(), [(1, kind, StateClass.SEALED)])
    assert day.run() == []
    assert day.module.received == []


def test_no_phone_no_message():
    """Nothing is even sent to the module, and nothing counts as lost later."""
    day = Day(Module(), [opened(at) for at in range(1, 12)], phone="")
    assert day.run() == []
    assert day.module.received == []


def test_without_a_clock_the_message_has_the_age():
    """The module is not registered for a while, so the event is some minutes old when it is reported."""
    day = Day(Module(unregistered=5), [opened()], clock=None)
    [received] = day.run()
    minutes = [day.times[0] // 60 - n for n in (0, 1)]
    assert received.text in [message(SEAL, "开启", time=None, age=age) for age in minutes]
    assert day.times[0] > 100


def test_silence_ends_in_giving_up():
    """After eight attempts comes the next event; the message that arrives states how many are missing."""
    silent = [Manner.DEAF] * 8
    day = Day(Module(silent), [opened(), (2, Kind.CLOSED, StateClass.SEALED)])
    assert [it.text for it in day.run()] == [message(SEAL, "闭合", time=TIME, lost=1)]


def test_the_newest_are_kept():
    """Of seven within seven seconds, the first being under way, the oldest three are dropped and counted."""
    events = [(at, Kind.OPENED, state) for at, state in enumerate((1, 2, 4, 5, 1, 2, 4), start=2)]
    day = Day(Module([Manner.DEAF]), events)
    expected = [message(SEAL, STATES[state], time=TIME) for state in (5, 1, 2, 4)]
    expected[0] = message(SEAL, STATES[5], time=TIME, lost=3)
    assert [it.text for it in day.run()] == expected


def test_one_that_is_dropped_while_its_answer_is_awaited_counts_only_if_it_was_not_sent():
    """The text is out, and before its answer comes, four more push it out of the queue. It counts as lost
    only if no answer comes.
    """
    for answer, lost in ((Manner.SLOW, 0), (Manner.SILENT, 1)):
        manners = [*[Manner.WELL] * 7, answer]
        events = [(at, Kind.OPENED, state) for at, state in [(1, 1), (10, 2), (11, 4), (12, 5), (13, 1)]]
        day = Day(Module(manners), events)
        expected = [message(SEAL, STATES[state], time=TIME) for state in (1, 2, 4, 5, 1)]
        expected[1] = message(SEAL, STATES[2], time=TIME, lost=lost)
        assert [it.text for it in day.run()] == expected


def test_one_in_the_place_of_a_dropped_one_has_all_its_attempts():
    """After three attempts at the first, four push it out; the next one is refused, and six times ignored."""
    manners = [*[Manner.DEAF] * 3, *[Manner.WELL] * 6, Manner.ERROR, *[Manner.DEAF] * 6]
    events = [(at, Kind.OPENED, state) for at, state in [(1, 1), (36, 2), (37, 4), (38, 5), (39, 1)]]
    day = Day(Module(manners), events)
    expected = [message(SEAL, STATES[state], time=TIME) for state in (2, 4, 5, 1)]
    expected[0] = message(SEAL, STATES[2], time=TIME, lost=1)
    assert [it.text for it in day.run()] == expected


class Crowded(Day):
    """One more event comes before the number is sent, while the clock is not free for a time, and five more
    come within the text.
    """

    def __init__(self, before, within):
        super().__init__(Module(), [opened()])
        self._before, self._within, self._busy = [before], deque(within), 0

    def _event(self, ctx, now, of_second):
        line = bytes(self.module.line)
        self._busy -= 1
        if self._busy == 0:
            ctx.set(BENCH.dut.dialogue.feed.clock_free, 1)
        if self._before and line == b"AT+CMGS=":
            ctx.set(BENCH.dut.dialogue.feed.clock_free, 0)
            self._busy = 150
            return self._before.pop()
        if self._within and self.module.number is not None and line and of_second % 40 == 0:
            return self._within.popleft()
        return super()._event(ctx, now, of_second)


def test_what_comes_while_a_message_is_sent_follows_it():
    """What is being sent stays as it is; of what comes meanwhile the newest is reported next, with the
    rest counted.
    """
    within = [(Kind.OPENED, state) for state in (4, 5, 1, 4)]
    day = Crowded((Kind.OPENED, StateClass.LOW), [*within, (Kind.CLOSED, StateClass.SEALED)])
    assert [it.text for it in day.run()] == [
        message(SEAL, STATES[1], time=TIME),
        message(SEAL, STATES[2], time=TIME, lost=len(within)),
        message(SEAL, "闭合", time=TIME),
    ]


ANY_MODULE = given(
    manners=st.lists(st.sampled_from(Manner), max_size=30),
    events=st.lists(st.tuples(st.integers(0, 60), st.sampled_from([*STATES])), min_size=1, max_size=7),
    unregistered=st.integers(0, 2),
    echoes=st.booleans(),
)


@examples(4)
@ANY_MODULE
# The answer to the text always gets lost: it is sent eight times, given up, and the next one arrives.
@example(manners=[*[Manner.WELL] * 7, Manner.SILENT] * 8, events=[(0, 1)], unregistered=0, echoes=False)
def test_any_module(manners, events, unregistered, echoes):
    check_any_module(manners, events, unregistered, echoes)


def check_any_module(manners, events, unregistered, echoes):
    """Whatever the module does: each message on the phone is exactly an event's, they come in order, what is
    missing is counted, and once the module behaves the next event arrives.
    """
    events = sorted(events)
    module = Module(manners, unregistered, echoes)
    day = Day(
        module,
        [(at, Kind.OPENED, state) for at, state in events],
        at_last=(Kind.CLOSED, StateClass.SEALED),
    )
    *received, last = day.run()
    lost = [re.search(r",另有([1-9])条短信未送达$", it.text) for it in [*received, last]]
    lost = [int(it[1]) if it else 0 for it in lost]
    shown = [next(zh for zh in [*STATES.values(), "闭合"] if f" {zh}" in it.text) for it in [*received, last]]
    assert [*received, last] == [
        Received(PHONE, message(SEAL, zh, time=TIME, lost=number))
        for zh, number in zip(shown, lost, strict=True)
    ]
    assert shown.pop() == "闭合"
    arrived = in_order([STATES[state] for _, state in events], shown)
    assert len(events) - arrived <= sum(lost)


@pytest.mark.long
@examples(100)
@ANY_MODULE
def test_any_module_at_length(manners, events, unregistered, echoes):
    """The check of any module holds for many examples."""
    check_any_module(manners, events, unregistered, echoes)


def in_order(events, shown):
    """Return how many events `shown` has, each one or more times, in their order; refuse any other."""
    arrived, place = 0, 0
    for n, phrase in enumerate(shown):
        if n and phrase == shown[n - 1] and phrase not in events[place:]:
            continue
        place = events.index(phrase, place) + 1
        arrived += 1
    return arrived


class Wire:
    """A module is at the pins of a chip: characters are 8N1, `bit` cycles a bit, both ways.

    Before its first answer come two lines that do not count as refusals: in one a character has an error, in
    the other all have their highest bit.
    """

    def __init__(self, bit):
        self.module, self._bit = Module(), bit
        self._from_chip, self._to_chip = [], deque()
        self._disturbs = True
        #: It becomes true once the chip has sent anything.
        self.used = False

    def cycle(self, txd):
        """Pass one cycle with this level from the chip; return the level to the chip."""
        bit, module = self._bit, self.module
        if txd == 0 or self._from_chip:
            self._from_chip.append(txd)
            self.used = True
        if len(self._from_chip) == 10 * bit:
            [(_, byte)] = characters(self._from_chip, bit, parity=None)
            module.receive(byte)
            self._from_chip.clear()
        if module.received and self._disturbs:
            for data, stop in ((b"\rERRO", 1), (b"R", 0)):
                self._to_chip.extend(wave(data, bit, parity=None, stop=stop))
            high = bytes(0x80 | character for character in b"ERROR")
            self._to_chip.extend([1] * bit + wave(b"\r" + high + b"\r", bit, parity=None))
            self._disturbs = False
        if module.output and not self._to_chip:
            self._to_chip.extend(wave([module.output.pop(0)], bit, parity=None))
        return self._to_chip.popleft() if self._to_chip else 1


def on_the_wire(clock_hz, events, until):
    """Return the module after `events` at the chip's pins, once `until(module)`; a second has 100 bits."""
    dut, bit = Surroundings(GsmNotifier(clock_hz)), clock_hz // BAUD
    chip, wire = dut.dialogue, Wire(bit)

    async def testbench(ctx):
        dut.furnish(ctx)
        waiting, rxd = deque(events), 1
        for cycle in range(4000 * bit):
            if cycle % (30 * bit) == 0 and waiting:
                assert not wire.used
                kind, state = waiting.popleft()
                ctx.set(chip.feed.kind, kind)
                ctx.set(chip.feed.state, state)
                ctx.set(chip.feed.valid, 1)
            if cycle % (100 * bit) in (0, 1):
                ctx.set(chip.feed.tick_s, cycle % bit == 0)
            before, rxd = rxd, wire.cycle(ctx.get(chip.txd))
            if rxd != before:
                ctx.set(chip.rxd, rxd)
            await ctx.tick()
            if cycle % bit == 0:
                ctx.set(chip.feed.valid, 0)
            if until(wire.module):
                return
        raise AssertionError(wire.module)

    simulate(dut, testbench)
    return wire.module


def test_on_the_wire():
    """A whole message arrives at the first attempt."""
    module = on_the_wire(8 * BAUD, [(Kind.OPENED, StateClass.MISMATCH)], lambda it: it.messages)
    assert module.messages == [Received(PHONE, message(SEAL, STATES[5], time=TIME))]
    assert module.received[: len(COMMANDS)] == COMMANDS


@pytest.mark.parametrize("cycles", [2, 3])
def test_on_the_wire_in_longer_steps(cycles):
    """Of three events only the last one is reported."""
    events = [
        (Kind.LOCKED_OUT, StateClass.OPEN),
        (Kind.BOOT, StateClass.SEALED),
        (Kind.BOOT, StateClass.OPEN),
    ]
    module = on_the_wire(8 * cycles * BAUD, events, lambda it: len(it.received) == 2)
    assert module.received == COMMANDS[:2]
