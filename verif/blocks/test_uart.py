"""Characters go to and from a GSM module, and over the bus, where the transceiver reads itself back."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from hypothesis import example, given
from hypothesis import strategies as st

from sealchip.bus.transceiver import Transceiver
from sealchip.gsm.uart_rx import Receiver
from sealchip.gsm.uart_tx import Transmitter
from verif.benches.block import Bench, characters, examples, simulate, wave

CHARACTER = 11


class Loopback(wiring.Component):
    """The transmitter drives the receiver."""

    def __init__(self):
        super().__init__({})
        self.tx, self.rx = Transmitter(16), Receiver(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.tx, m.submodules.rx = self.tx, self.rx
        m.d.comb += self.rx.i.eq(self.tx.o)
        return m


class Bus(wiring.Component):
    """The transceiver is on a bus with another driver, whose 0 wins; `ro` comes through a synchroniser."""

    def __init__(self, divisor_max):
        super().__init__({})
        self.transceiver = Transceiver(divisor_max)
        self.other = Signal(init=1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.transceiver = transceiver = self.transceiver
        late = Signal(init=1)
        m.d.sync += [late.eq((transceiver.di | ~transceiver.de) & self.other), transceiver.ro.eq(late)]
        return m


# -- Without parity, for a GSM module


@pytest.mark.parametrize("divisor", [8, 13])
def test_transmitter_wave(divisor):
    """The start bit comes in the cycle after the transfer, then bit by bit, the next byte without a gap."""
    dut, sent = Transmitter(16), [0x00, 0xFF, 0x68, 0x16, 0xA5]
    levels, busy, offered = [], [], list(sent)

    async def testbench(ctx):
        ctx.set(dut.divisor, divisor)
        for cycle in range(10 * divisor * len(sent) + 10):
            ctx.set(dut.i.valid, cycle > 2 and bool(offered))
            ctx.set(dut.i.payload, offered[0] if offered else 0)
            levels.append(ctx.get(dut.o))
            busy.append(ctx.get(dut.busy))
            if ctx.get(dut.i.valid & dut.i.ready):
                offered.pop(0)
            await ctx.tick()

    simulate(dut, testbench)
    expected = wave(sent, divisor, parity=None)
    assert levels == [1] * 4 + expected + [1] * 6
    assert busy == [0] * 4 + [1] * len(expected) + [0] * 6


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
        character = dut.rx.received
        ports = character.valid, character.data, character.error
        async for _, _, valid, data, error in ctx.tick().sample(*ports):
            if valid:
                received.append((data, error))
            if len(received) == len(sent):
                break

    simulate(dut, send, receive)
    assert received == [(byte, 0) for byte in sent]


# -- Receiving: a GSM module without parity, the bus with it


class Port:
    """A port receives characters with the given `parity`, as `wave` has it."""

    def __init__(self, make, line, busy, parity):
        self.bench, self._line, self._busy, self._parity = Bench(make, 32), line, busy, parity

    @property
    def bits(self):
        """Return the number of bits of a character."""
        return CHARACTER - (self._parity is None)

    def wave(self, data, divisor, **fault):
        return wave(data, divisor, **{"parity": self._parity, **fault})

    def receive(self, levels, divisor):
        """Return (cycle, data, error) of each character on the line, and whether it is busy in the end."""
        dut, received, busy = self.bench.dut, [], []

        async def testbench(ctx):
            ctx.set(dut.divisor, divisor)
            for cycle, level in enumerate(levels):
                ctx.set(self._line(dut), level)
                if ctx.get(dut.received.valid):
                    received.append((cycle, ctx.get(dut.received.data), ctx.get(dut.received.error)))
                    assert ctx.get(self._busy(dut)), "it is busy to the middle of the stop bit"
                await ctx.tick()
            busy.append(ctx.get(self._busy(dut)))

        self.bench.run(testbench)
        return received, busy[0]


PORTS = [
    pytest.param(Port(Receiver, lambda dut: dut.i, lambda dut: dut.busy, None), id="module"),
    pytest.param(Port(Transceiver, lambda dut: dut.ro, lambda dut: ~dut.idle, 0), id="bus"),
]
each_port = pytest.mark.parametrize("port", PORTS)


@each_port
def test_receiver_takes_baud_error(port):
    """Characters 2.5 % off in either direction are received, back to back."""

    @examples(30)
    @given(
        data=st.lists(st.integers(0, 255), min_size=1, max_size=5),
        divisor=st.sampled_from([16, 26, 32]),
        error=st.floats(-0.025, 0.025),
        gap=st.integers(0, 40),
    )
    def check(data, divisor, error, gap):
        levels = [1] * gap + port.wave(data, divisor * (1 + error)) + [1] * divisor
        received, busy = port.receive(levels, divisor)
        assert [(byte, error) for _, byte, error in received] == [(byte, 0) for byte in data]
        assert not busy

    check()


@each_port
def test_receiver_samples_mid_bit(port):
    """`valid` comes in the middle of the stop bit, give or take the rounding of the half bit."""

    @examples(10)
    @given(data=st.integers(0, 255), divisor=st.integers(8, 32))
    def check(data, divisor):
        [(cycle, byte, error)], _ = port.receive([1] * 3 + port.wave([data], divisor) + [1], divisor)
        assert (cycle, byte, error) == (3 + divisor // 2 + (port.bits - 1) * divisor, data, 0)

    check()


@pytest.mark.parametrize(
    ("port", "fault"),
    [(*PORTS[0].values, {"stop": 0}), (*PORTS[1].values, {"stop": 0}), (*PORTS[1].values, {"parity": 1})],
    ids=["module-stop", "bus-stop", "bus-parity"],
)
def test_receiver_errors(port, fault):
    """A low stop bit and wrong parity are errors; the character that follows is received."""

    @examples(10)
    @given(data=st.integers(0, 255), following=st.integers(0, 255))
    def check(data, following):
        levels = port.wave([data], 16, **fault) + [1] * 2 + port.wave([following], 16) + [1] * 2
        received, busy = port.receive(levels, 16)
        assert [(byte, error) for _, byte, error in received] == [(data, 1), (following, 0)]
        assert not busy

    check()


@each_port
def test_receiver_waits_out_a_break(port):
    """A break, however long, is one error."""
    received, _ = port.receive([0] * 320, 8)
    assert [error for _, _, error in received] == [1]
    received, busy = port.receive([0] * 320 + [1] + port.wave([0x68], 8) + [1], 8)
    assert [(byte, error) for _, byte, error in received] == [(0, 1), (0x68, 0)]
    assert not busy


@pytest.mark.parametrize("divisor", [8, 13, 16])
@each_port
def test_receiver_ignores_glitches(port, divisor):
    """Low for less than half a bit is not taken for a start bit; the character that follows is received."""
    for length in range(1, divisor // 2 + 1):
        levels = [1, 1] + [0] * length + [1] * divisor + port.wave([0xA5], divisor) + [1]
        received, _ = port.receive(levels, divisor)
        assert [(byte, error) for _, byte, error in received] == [(0xA5, 0)], f"it is low for {length} cycles"


# -- Transceiver


DIVISOR = 8
BUS = Bench(Bus, DIVISOR)


class Watched:
    """These are the levels and characters on pins and outputs, cycle by cycle."""

    def __init__(self):
        self.de, self.di, self.done, self.broken, self.received = [], [], [], [], []

    def at(self, name):
        return [cycle for cycle, level in enumerate(getattr(self, name)) if level]


def converse(frame, cycles, *, other=None, gaps=None, bench=BUS):
    """Offer `frame`, byte `n` after `gaps[n]` cycles, against `other`'s levels."""
    dut, seen, offered, other = bench.dut, Watched(), list(frame), other or []
    wait = dict(gaps or {})

    async def testbench(ctx):
        transceiver = dut.transceiver
        ctx.set(transceiver.divisor, DIVISOR)
        for cycle in range(cycles):
            n = len(frame) - len(offered)
            wait[n] = wait.get(n, 0) - 1
            ready_to_offer = bool(offered) and wait[n] < 0
            ctx.set(transceiver.i.valid, ready_to_offer)
            if offered:
                ctx.set(transceiver.i.payload, {"data": offered[0], "last": len(offered) == 1})
            ctx.set(dut.other, other[cycle] if cycle < len(other) else 1)
            seen.de.append(ctx.get(transceiver.de))
            seen.di.append(ctx.get(transceiver.di))
            seen.done.append(ctx.get(transceiver.sent.done))
            seen.broken.append(ctx.get(transceiver.sent.broken))
            if ctx.get(transceiver.received.valid):
                seen.received.append(
                    (cycle, ctx.get(transceiver.received.data), ctx.get(transceiver.received.error))
                )
            if ctx.get(transceiver.sent.broken):
                offered.clear()  # as the framer does
            elif ready_to_offer and ctx.get(transceiver.i.ready):
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
    assert seen.at("de") == list(range(first - DIVISOR // 2, last + CHARACTER * DIVISOR))
    assert seen.at("done") == [last + CHARACTER * DIVISOR - 1]
    assert not seen.at("broken")
    assert not seen.received, "own bytes are muted"


def test_transceiver_sends_back_to_back():
    """Bytes offered in time leave no gap."""
    frame = [0xFE, 0x68, 0x16]
    seen = converse(frame, 400)
    first = characters(seen.di, DIVISOR)[0][0]
    assert seen.di[first : first + 3 * CHARACTER * DIVISOR] == wave(frame, DIVISOR)


@pytest.mark.parametrize("whole", [1, 2])
def test_a_frame_without_its_next_byte_is_given_up(whole):
    """A frame without its next byte ends in the last cycle of the byte before; no character is cut short, and
    the line is left idle.
    """
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
    """A foreign low in the middle of an own high bit is a collision; the driver is off in the next cycle."""
    lead = DIVISOR // 2 + 1  # cycles before the first start bit
    other = [1] * (lead + begin) + [0] * length
    seen = converse(frame, 400, other=other)
    # The bus is seen two cycles late, at the middle of each bit.
    own = wave(frame, DIVISOR)
    middles = [lead + bit * DIVISOR + DIVISOR // 2 for bit in range(CHARACTER * len(frame))]
    clashes = [
        cycle for cycle in middles if own[cycle - lead] and cycle - 2 < len(other) and not other[cycle - 2]
    ]
    if clashes:
        assert seen.at("broken") == [clashes[0]]
        assert seen.at("de")[-1] == clashes[0], "the driver is released in the next cycle"
        assert not seen.at("done")
        assert all(seen.di[clashes[0] + 1 :]), "the line is left idle"
    else:
        assert not seen.at("broken")
        assert len(seen.at("done")) == 1


@examples(15)
@given(data=st.lists(st.integers(0, 255), min_size=1, max_size=3), pause=st.integers(0, 30))
def test_receives_right_after_sending(data, pause):
    """The first character after the own frame is received, even if it follows the own stop bit at once."""
    own = [0x16]
    ends = DIVISOR + 2 + CHARACTER * DIVISOR
    seen = converse(own, ends + pause + 400, other=[1] * (ends + pause) + wave(data, DIVISOR))
    assert [(byte, error) for _, byte, error in seen.received] == [(byte, 0) for byte in data]


@examples(25)
# The character ends in the very cycle in which the driver comes on.
@example(begin=-10 * DIVISOR - DIVISOR // 2 - 1, data=0xFF)
@given(
    begin=st.integers(-2 * CHARACTER * DIVISOR, CHARACTER * DIVISOR), data=st.sampled_from([0xFF, 0xA5, 0])
)
def test_nothing_is_received_while_driving(begin, data):
    """A character that began before the own frame or during it is muted, unless it ended the own frame."""
    start = 200
    other = [1] * (start + begin) + wave([data], DIVISOR)
    seen = converse([0xFF, 0xFF], 700, other=other, gaps={0: start})
    driving = seen.at("de")
    # The synchroniser takes two cycles after the edge; `valid` comes in the middle of the stop bit.
    valid = start + begin + 2 + DIVISOR // 2 + 10 * DIVISOR
    assert not {cycle for cycle, _, _ in seen.received} & set(driving)
    if valid < driving[0]:
        assert seen.received == [(valid, data, 0)]
    elif not seen.at("broken"):
        assert not seen.received
