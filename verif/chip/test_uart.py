"""Characters on the pair: transmitter, receiver, and the transceiver that listens to itself."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from chip.support import Bench, characters, examples, simulate, wave
from hypothesis import example, given
from hypothesis import strategies as st

from sealchip.transceiver import Transceiver
from sealchip.uart_rx import Receiver
from sealchip.uart_tx import Transmitter

CHARACTER = 11


class Loopback(wiring.Component):
    """Transmitter into receiver."""

    def __init__(self):
        super().__init__({})
        self.tx, self.rx = Transmitter(16), Receiver(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.tx, m.submodules.rx = self.tx, self.rx
        m.d.comb += self.rx.i.eq(self.tx.o)
        return m


class Pair(wiring.Component):
    """Transceiver on a pair with somebody else, whose 0 wins; `ro` comes through a synchroniser."""

    def __init__(self, divisor_max):
        super().__init__({})
        self.pair = Transceiver(divisor_max)
        self.other = Signal(init=1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.pair = pair = self.pair
        late = Signal(init=1)
        m.d.sync += [late.eq((pair.di | ~pair.de) & self.other), pair.ro.eq(late)]
        return m


# -- Transmitter


@pytest.mark.parametrize("divisor", [8, 13])
def test_transmitter_wave(divisor):
    """Start bit in the cycle after the transfer, then bit by bit, the next byte without a gap."""
    dut, sent = Transmitter(16), [0x00, 0xFF, 0x68, 0x16, 0xA5]
    levels, busy, sample, offered = [], [], [], list(sent)

    async def testbench(ctx):
        ctx.set(dut.divisor, divisor)
        for cycle in range(CHARACTER * divisor * len(sent) + 10):
            ctx.set(dut.i.valid, cycle > 2 and bool(offered))
            ctx.set(dut.i.payload, offered[0] if offered else 0)
            levels.append(ctx.get(dut.o))
            busy.append(ctx.get(dut.busy))
            sample.append(ctx.get(dut.sample))
            if ctx.get(dut.i.valid & dut.i.ready):
                offered.pop(0)
            await ctx.tick()

    simulate(dut, testbench)
    expected = wave(sent, divisor)
    assert levels == [1] * 4 + expected + [1] * 6
    assert busy == [0] * 4 + [1] * len(expected) + [0] * 6
    assert [n for n, strobe in enumerate(sample) if strobe] == [
        4 + bit * divisor + divisor // 2 for bit in range(CHARACTER * len(sent))
    ]


@pytest.mark.parametrize("at", [0, 1, 7, 8, 40, 86, 87])
def test_transmitter_abort(at):
    """The line is idle in the next cycle and the next byte is sent whole."""
    dut = Transmitter(16)

    async def testbench(ctx):
        ctx.set(dut.divisor, 8)
        ctx.set(dut.i.payload, 0)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(at):
            await ctx.tick()
        ctx.set(dut.abort, 1)
        await ctx.tick()
        ctx.set(dut.abort, 0)
        assert (ctx.get(dut.o), ctx.get(dut.busy)) == (1, 0)
        ctx.set(dut.i.payload, 0x5A)
        ctx.set(dut.i.valid, 1)
        levels = []
        for _ in range(100):
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            levels.append(ctx.get(dut.o))
        assert characters(levels, 8) == [(0, 0x5A)]

    simulate(dut, testbench)


# -- Receiver


@pytest.mark.parametrize("divisor", [8, 13, 16])
def test_uart_loopback(divisor):
    """Every byte arrives, once, without an error, at the middle of its stop bit."""
    dut, received = Loopback(), []
    sent = list(range(256)) if divisor == 8 else list(range(divisor, 256, divisor))

    async def send(ctx):
        ctx.set(dut.tx.divisor, divisor)
        ctx.set(dut.rx.divisor, divisor)
        ctx.set(dut.tx.i.valid, 1)
        for byte in sent:
            ctx.set(dut.tx.i.payload, byte)
            await ctx.tick().until(dut.tx.i.ready)
        ctx.set(dut.tx.i.valid, 0)
        await ctx.tick().until(~dut.tx.busy)

    async def receive(ctx):
        async for _, _, valid, data, error in ctx.tick().sample(dut.rx.valid, dut.rx.data, dut.rx.error):
            if valid:
                received.append((data, error))
            if len(received) == len(sent):
                break

    simulate(dut, send, receive)
    assert received == [(byte, 0) for byte in sent]


RECEIVER = Bench(Receiver, 32)


def receive(levels, divisor, bench=RECEIVER):
    """What the receiver makes of the line: (cycle, data, error) of each character, and `busy` at the end."""
    dut, heard, busy = bench.dut, [], []

    async def testbench(ctx):
        ctx.set(dut.divisor, divisor)
        for cycle, level in enumerate(levels):
            ctx.set(dut.i, level)
            if ctx.get(dut.valid):
                heard.append((cycle, ctx.get(dut.data), ctx.get(dut.error)))
            await ctx.tick()
        busy.append(ctx.get(dut.busy))

    bench.run(testbench)
    return heard, busy[0]


@examples(30)
@given(
    data=st.lists(st.integers(0, 255), min_size=1, max_size=5),
    divisor=st.sampled_from([16, 26, 32]),
    error=st.floats(-0.025, 0.025),
    gap=st.integers(0, 40),
)
def test_receiver_takes_baud_error(data, divisor, error, gap):
    """2.5 % off in either direction, back to back."""
    levels = [1] * gap + wave(data, divisor * (1 + error)) + [1] * divisor
    heard, busy = receive(levels, divisor)
    assert [(byte, error) for _, byte, error in heard] == [(byte, 0) for byte in data]
    assert not busy


@examples(10)
@given(data=st.integers(0, 255), divisor=st.integers(8, 32))
def test_receiver_samples_mid_bit(data, divisor):
    """`valid` comes in the middle of the stop bit, give or take the rounding of the half bit."""
    [(cycle, byte, error)], _ = receive([1] * 3 + wave([data], divisor) + [1], divisor)
    assert (cycle, byte, error) == (3 + divisor // 2 + 10 * divisor, data, 0)


@examples(20)
@given(data=st.integers(0, 255), following=st.integers(0, 255), fault=st.sampled_from(["parity", "stop"]))
def test_receiver_errors(data, following, fault):
    """Wrong parity and a low stop bit are errors; the character behind is received."""
    divisor = 16
    bad = {"parity": wave([data], divisor, parity=1), "stop": wave([data], divisor, stop=0)}[fault]
    heard, busy = receive(bad + [1] * 2 + wave([following], divisor) + [1] * 2, divisor)
    assert [(byte, error) for _, byte, error in heard] == [(data, 1), (following, 0)]
    assert not busy


def test_receiver_waits_out_a_break():
    """A break, however long, is one error."""
    divisor = 8
    heard, busy = receive([0] * (40 * divisor), divisor)
    assert [(byte, error) for _, byte, error in heard] == [(0, 1)]
    assert busy
    heard, busy = receive([0] * (40 * divisor) + [1] + wave([0x68], divisor) + [1], divisor)
    assert [(byte, error) for _, byte, error in heard] == [(0, 1), (0x68, 0)]
    assert not busy


@pytest.mark.parametrize("divisor", [8, 13, 16])
def test_receiver_ignores_glitches(divisor):
    """Low for less than half a bit is no start bit; the character behind it is received."""
    for length in range(1, divisor // 2 + 1):
        heard, _ = receive([1, 1] + [0] * length + [1] * divisor + wave([0xA5], divisor) + [1], divisor)
        assert [(byte, error) for _, byte, error in heard] == [(0xA5, 0)], f"{length} cycles low"


# -- Without parity


RECEIVER_8N1 = Bench(lambda: Receiver(16, parity=False))


def test_transmitter_8n1_wave():
    """Ten bits a character, the next one without a gap."""
    dut, sent, levels = Transmitter(16, parity=False), [0x00, 0xFF, 0xA5], []

    async def testbench(ctx):
        ctx.set(dut.divisor, 8)
        ctx.set(dut.i.valid, 1)
        for byte in sent:
            ctx.set(dut.i.payload, byte)
            while not ctx.get(dut.i.ready):
                levels.append(ctx.get(dut.o))
                await ctx.tick()
            levels.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench)
    expected = wave(sent, 8, parity=None)
    assert levels == [1, *expected][: len(levels)]
    assert len(levels) == 1 + 8 * 10 * 2


def test_receiver_8n1():
    """Characters without a gap; a low stop bit is an error, the character behind it is received."""
    levels = wave([0x4F, 0x4B], 16, parity=None) + wave([0x55], 16, parity=None, stop=0) + [1] * 2
    levels += [*wave([1], 16, parity=None), 1]
    heard, _ = receive(levels, 16, RECEIVER_8N1)
    assert [(byte, error) for _, byte, error in heard] == [(0x4F, 0), (0x4B, 0), (0x55, 1), (0x01, 0)]


# -- Transceiver


DIVISOR = 8
PAIR = Bench(Pair, DIVISOR)


class Watched:
    """What happened on the pins and outputs, cycle by cycle."""

    def __init__(self):
        self.de, self.di, self.done, self.broken, self.heard = [], [], [], [], []

    def at(self, name):
        return [cycle for cycle, level in enumerate(getattr(self, name)) if level]


def converse(frame, cycles, *, other=None, gaps=None, bench=PAIR):
    """Offer `frame`, byte `n` after `gaps[n]` cycles, against `other`'s levels."""
    dut, seen, offered, other = bench.dut, Watched(), list(frame), other or []
    wait = dict(gaps or {})

    async def testbench(ctx):
        pair = dut.pair
        ctx.set(pair.divisor, DIVISOR)
        for cycle in range(cycles):
            n = len(frame) - len(offered)
            wait[n] = wait.get(n, 0) - 1
            ready_to_offer = bool(offered) and wait[n] < 0
            ctx.set(pair.i.valid, ready_to_offer)
            if offered:
                ctx.set(pair.i.payload, {"data": offered[0], "last": len(offered) == 1})
            ctx.set(dut.other, other[cycle] if cycle < len(other) else 1)
            for name in ("de", "di", "done", "broken"):
                getattr(seen, name).append(ctx.get(getattr(pair, name)))
            if ctx.get(pair.valid):
                seen.heard.append((cycle, ctx.get(pair.data), ctx.get(pair.error)))
            if ctx.get(pair.broken):
                offered.clear()  # as the framer does
            elif ready_to_offer and ctx.get(pair.i.ready):
                offered.pop(0)
            await ctx.tick()

    bench.run(testbench)
    return seen


@examples(15)
@given(
    frame=st.lists(st.integers(0, 255), min_size=1, max_size=4),
    begin=st.integers(0, 20),
)
def test_transceiver(frame, begin):
    """The driver is on from half a bit before the frame to the end of its last stop bit, without a break."""
    seen = converse(frame, 60 + (CHARACTER * DIVISOR + 40) * len(frame), gaps={0: begin})
    sent = characters(seen.di, DIVISOR)
    assert [byte for _, byte in sent] == frame
    first, last = sent[0][0], sent[-1][0]
    assert seen.at("de") == list(range(first - DIVISOR // 2 - 1, last + CHARACTER * DIVISOR))
    assert seen.at("done") == [last + CHARACTER * DIVISOR - 1]
    assert not seen.at("broken")
    assert not seen.heard, "own bytes are muted"


def test_transceiver_sends_back_to_back():
    """Bytes offered in time leave no gap."""
    frame = [0xFE, 0x68, 0x16]
    seen = converse(frame, 400)
    first = characters(seen.di, DIVISOR)[0][0]
    assert seen.di[first : first + 3 * CHARACTER * DIVISOR] == wave(frame, DIVISOR)


@pytest.mark.parametrize("whole", [1, 2])
def test_a_frame_without_its_next_byte_is_given_up(whole):
    """In the last cycle of the byte before; nothing is half said, and the line is left idle."""
    frame = [0x68, 0xA5, 0x16]
    seen = converse(frame, 500, gaps={whole: 500})
    sent = characters(seen.di, DIVISOR)
    assert [byte for _, byte in sent] == frame[:whole]
    assert seen.at("broken") == [sent[-1][0] + CHARACTER * DIVISOR - 1] == [seen.at("de")[-1]]
    assert not seen.at("done")


@examples(25)
@given(
    frame=st.lists(st.integers(0, 255), min_size=1, max_size=3),
    begin=st.integers(0, 3 * CHARACTER * DIVISOR),
    length=st.integers(1, 3 * DIVISOR),
)
def test_collision_releases_the_driver(frame, begin, length):
    """Somebody else's low in the middle of an own high bit: collision, the driver off in the next cycle."""
    lead = DIVISOR // 2 + 2  # cycles before the first start bit
    other = [1] * (lead + begin) + [0] * length
    seen = converse(frame, 400, other=other)
    # The pair is seen two cycles late, at the middle of each bit.
    own = wave(frame, DIVISOR)
    middles = [lead + bit * DIVISOR + DIVISOR // 2 for bit in range(CHARACTER * len(frame))]
    clashes = [
        cycle for cycle in middles if own[cycle - lead] and cycle - 2 < len(other) and not other[cycle - 2]
    ]
    if clashes:
        assert seen.at("broken") == [clashes[0]]
        assert seen.at("de")[-1] == clashes[0], "released in the next cycle"
        assert not seen.at("done")
        assert all(seen.di[clashes[0] + 1 :]), "the line is left idle"
    else:
        assert not seen.at("broken")
        assert len(seen.at("done")) == 1


@examples(15)
@given(data=st.lists(st.integers(0, 255), min_size=1, max_size=3), pause=st.integers(0, 30))
def test_receives_right_after_sending(data, pause):
    """The first character behind the own frame is heard, even if it follows the own stop bit at once."""
    own = [0x16]
    ends = DIVISOR + 2 + CHARACTER * DIVISOR
    seen = converse(own, ends + pause + 400, other=[1] * (ends + pause) + wave(data, DIVISOR))
    assert [(byte, error) for _, byte, error in seen.heard] == [(byte, 0) for byte in data]


@examples(25)
# Told in the very cycle in which the driver comes on.
@example(begin=-10 * DIVISOR - DIVISOR // 2 - 1, data=0xFF)
@given(
    begin=st.integers(-2 * CHARACTER * DIVISOR, CHARACTER * DIVISOR), data=st.sampled_from([0xFF, 0xA5, 0])
)
def test_nothing_is_heard_while_driving(begin, data):
    """A character that began before the own frame or during it is muted, unless it ended the own frame."""
    start = 200
    other = [1] * (start + begin) + wave([data], DIVISOR)
    seen = converse([0xFF, 0xFF], 700, other=other, gaps={0: start})
    driving = seen.at("de")
    # Two cycles of synchroniser behind the edge; `valid` comes in the middle of the stop bit.
    valid = start + begin + 2 + DIVISOR // 2 + 10 * DIVISOR
    assert not {cycle for cycle, _, _ in seen.heard} & set(driving)
    if valid < driving[0]:
        assert seen.heard == [(valid, data, 0)]
    elif not seen.at("broken"):
        assert not seen.heard
