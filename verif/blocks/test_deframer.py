"""Tests of what the chip accepts as a frame, and of how it classifies the address."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import ANY_METER, Identity
from meterseal.octets import bcd
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from sealchip.core.firmware.layout import Public
from sealchip.dlt645.deframer import Deframer
from verif.benches.block import Bench, examples

SEAL, METER = "006816000101", "000000440001"
SILENCE = "silence"


class Listener(wiring.Component):
    """The deframer has the public memory, whose addresses it compares with."""

    def __init__(self):
        super().__init__({})
        self.deframer = Deframer()
        self.public = Memory(shape=8, depth=256, init=[])

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer, m.submodules.public = self.deframer, self.public
        read = self.public.read_port()
        m.d.comb += [read.addr.eq(self.deframer.public.address), self.deframer.public.byte.eq(read.data)]
        m.d.comb += read.en.eq(self.deframer.public.reading)  # the core writes whenever it may
        with m.If(~self.deframer.readable):
            m.d.comb += self.deframer.public.byte.eq(self.deframer.received.data)  # as bad as can be
        return m


LISTENER = Bench(Listener)


async def content(ctx, dut, length):
    """Read the DATA of the frame."""
    found = bytearray()
    for position in range(length):
        ctx.set(dut.position, position)
        await ctx.tick()
        found.append(ctx.get(dut.content))
    return bytes(found)


def listen(characters, *, meter=METER, readable=True, bench=LISTENER, contents=None):
    """Return the frames found in `characters` (bytes, (byte, error) or `SILENCE`), as position and head.

    The DATA of each goes into `contents`.
    """
    received, dut = [], bench.dut.deframer

    async def testbench(ctx):
        for n, byte in enumerate(Identity(seal=SEAL, asset="x", meter=meter).encode()):
            ctx.set(bench.dut.public.data[Public.IDENTITY + n], byte)
        ctx.set(dut.readable, readable)
        holds = False
        for position, character in enumerate(characters):
            if character == SILENCE:
                ctx.set(dut.silence, 1)
                ctx.set(dut.received.valid, 1)
                ctx.set(dut.received.error, 0)
                ctx.set(dut.received.data, (0x68, 0x16)[position % 2])
                assert not ctx.get(dut.frame.begun | dut.frame.valid), (
                    "no frame is reported in the same cycle"
                )
                await ctx.tick()
                ctx.set(dut.silence, 0)
                ctx.set(dut.received.valid, 0)
                assert not ctx.get(dut.public.active)
                continue
            byte, error = character if isinstance(character, tuple) else (character, False)
            ctx.set(dut.received.data, byte)
            ctx.set(dut.received.error, error)
            ctx.set(dut.received.valid, 1)
            if byte != 0x68 or error:
                assert not ctx.get(dut.frame.begun)
            if ctx.get(dut.frame.valid):
                received.append((position, ctx.get(dut.frame.head)))
                holds = True
            elif byte == 0x68:
                holds = False
            await ctx.tick()
            ctx.set(dut.received.valid, 0)
            for _ in range(4):
                assert not ctx.get(dut.frame.valid), "valid is high for one cycle only"
                await ctx.tick()
            if contents is not None and received and received[-1][0] == position:
                contents.append(await content(ctx, dut, ctx.get(dut.frame.head).length))
            if holds:
                head = ctx.get(dut.frame.head).as_bits()
                assert head == received[-1][1].as_bits(), "it holds until the next 68H"

    bench.run(testbench)
    return received


def expected(characters):
    """Find each frame, as a reference: (position of 16H, bytes from the first 68H on), by looking ahead."""
    stream = [(c, False) if isinstance(c, int) else c for c in characters]
    found, begin = [], 0
    while begin < len(stream):
        length = reach(stream, begin)
        if length > 0:
            found.append((begin + length - 1, bytes(byte for byte, _ in stream[begin : begin + length])))
        # A byte out of place may itself be a 68H; bytes with an error, and silence, are skipped.
        begin += max(abs(length), 1)
    return found


def reach(stream, begin):
    """Return the length of the frame that begins at `begin`, or minus the place of the byte that
    spoils it.
    """
    raw = b""
    while True:
        size, short = len(raw), len(stream) == begin + len(raw)
        if short:
            return -size - 1
        character = stream[begin + size]
        if character == SILENCE or character[1]:
            return -size - 1
        raw += bytes(character[:1])
        total = 12 + raw[9] if size >= 9 else None
        right = {0: 0x68, 7: 0x68}
        if total:
            right |= {total - 2: sum(raw[: total - 2]) & 0xFF, total - 1: 0x16}
        if raw[size] != right.get(size, raw[size]):
            return -size
        if total == size + 1:
            return total


def matches(pattern, address):
    """Return whether the wire bytes `pattern` match, AA standing for any byte."""
    return all(wanted in (0xAA, got) for wanted, got in zip(pattern, address, strict=True))


def check(characters):
    """Check that frames, heads and DATA are those of the reference."""
    contents = []
    received = listen(characters, contents=contents)
    wanted = expected(characters)
    assert [position for position, _ in received] == [position for position, _ in wanted]
    for (_, head), (_, raw), data in zip(received, wanted, contents, strict=True):
        assert (head.control, head.length) == (raw[8], raw[9])
        assert data == bytes((byte - 0x33) & 0xFF for byte in raw[10:-2])
    return received


# -- Frames

digits = st.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}")
addresses = st.sampled_from([SEAL, METER, "9" * 12, "A" * 12, "AAAAAA" + SEAL[6:]]) | digits
#: These contents are full of bytes that have a meaning elsewhere.
contents = st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x35, 0xE3, 0x00]) | st.integers(0, 255), max_size=20)
frames = st.builds(Frame, addresses, st.integers(0, 255), contents.map(bytes))


@examples(40)
@given(frames=st.lists(frames, min_size=1, max_size=3), preamble=st.integers(0, 4))
def test_all_good_frames_are_received(frames, preamble):
    """Good frames are accepted back to back or apart, with any contents."""
    raw = b"".join(frame.encode(preamble) for frame in frames)
    received = check(raw)
    assert len(received) == len(frames)
    assert [(head.control, head.length) for _, head in received] == [(f.control, len(f.data)) for f in frames]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 200, 254, 255])
def test_every_length(length):
    """Frames are accepted up to the longest that a length byte can state."""
    frame = Frame(SEAL, 0x11, bytes(n & 0xFF for n in range(length)))
    [(position, head)] = listen(frame.encode(0))
    assert position == 11 + length
    assert (head.length, head.to_seal) == (length, 1)


def test_data_holds_until_there_is_other():
    """DATA holds during the head of the next frame, and in its DATA until a byte has arrived."""
    first, following = (Frame(SEAL, 0x11, bytes([n] * 4)).encode(0) for n in (1, 2))
    dut = LISTENER.dut.deframer

    async def testbench(ctx):
        for n, byte in enumerate(first + following[:-2]):
            ctx.set(dut.received.data, byte)
            ctx.set(dut.received.valid, 1)
            await ctx.tick()
            ctx.set(dut.received.valid, 0)
            ctx.set(dut.received.data, 0xFF)
            await ctx.tick()
            if n >= len(first):
                new = max(0, n - len(first) - 9)
                assert await content(ctx, dut, 4) == bytes([2] * new + [1] * (4 - new))

    LISTENER.run(testbench)


def damage(draw, raw):
    """Return `raw` with some of its characters changed, removed, doubled, or with an error."""
    characters = list(raw)
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(characters) - 1))
        kind = draw(st.sampled_from(["change", "error", "drop", "insert", "cut", "silence"]))
        if kind == "change":
            characters[position] = draw(st.sampled_from([0x68, 0x16, 0xFE]) | st.integers(0, 255))
        elif kind == "error" and isinstance(characters[position], int):
            characters[position] = (characters[position], True)
        elif kind == "drop" and len(characters) > 1:
            del characters[position]
        elif kind == "insert":
            characters.insert(position, draw(st.sampled_from([0x68, 0x16, 0xFE])))
        elif kind == "cut":
            del characters[position + 1 :]
        else:
            characters.insert(position, SILENCE)
    return characters


@examples(120)
@given(frames=st.lists(frames, min_size=1, max_size=4), data=st.data())
def test_accepts_exactly_the_frames(frames, data):
    """Of frames, damaged or not, with noise between them, exactly those of the reference are accepted."""
    characters = []
    for frame in frames:
        noise = st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x00, (0x68, True)]), max_size=4)
        characters += [*data.draw(noise), *damage(data.draw, frame.encode(data.draw(st.integers(0, 4))))]
    check(characters)
    for _, raw in expected(characters):
        Frame.decode(raw)


@examples(40)
@given(frames=st.lists(frames, min_size=1, max_size=4), data=st.data())
def test_receives_what_the_host_receives(frames, data):
    """Of frames well apart, each after noise and perhaps with a wrong byte, the host's decoder finds the
    same.
    """
    decoder, now, found, characters, ends = Decoder(), 0.0, [], [], []
    for frame in frames:
        raw = bytearray(data.draw(st.binary(max_size=4)).replace(b"\x68", b"\x00") + frame.encode())
        if data.draw(st.booleans()):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.sampled_from([1, 0x80]))
        now += 1.0
        events = decoder.feed(bytes(raw), now)
        now += 1.0
        events += decoder.idle(now)
        found += [event.frame for event in events if isinstance(event, Received)]
        characters += [*raw, SILENCE]
        ends.append(len(characters))
    received = listen(characters)
    assert [(head.control, head.length) for _, head in received] == [(f.control, len(f.data)) for f in found]


@pytest.mark.parametrize("place", range(1, 20))
def test_an_error_anywhere_is_silence(place):
    """A character with wrong parity or stop bit in the middle ends a good frame."""
    raw = Frame(SEAL, 0x11, bytes.fromhex("01538004")).encode(4)
    characters = [(byte, n == place) for n, byte in enumerate(raw)]
    assert bool(listen(characters)) == (place < 4), "an error in the preamble does no harm"


@pytest.mark.parametrize("place", range(1, 16))
def test_a_frame_cut_short_ends_with_the_silence(place):
    raw = Frame(SEAL, 0x11, bytes.fromhex("01538004")).encode(0)
    [(position, _)] = listen([*raw[:place], SILENCE, *raw])
    assert position == place + len(raw)


def test_68_out_of_place_begins_the_next_frame():
    """A 68H in the place of checksum or end begins the next frame."""
    raw = Frame(SEAL, 0x11, bytes.fromhex("01538004")).encode(0)
    for place in (len(raw) - 2, len(raw) - 1):
        [(position, head)] = listen([*raw[:place], *raw])
        assert position == place + len(raw) - 1
        assert head.to_seal


# -- Address of a frame


places = st.integers(0, 11)


def changed(address, position, digit):
    return address[:position] + digit + address[position + 1 :]


@examples(80)
@given(
    address=st.one_of(
        addresses,
        st.integers(0, 6).map(lambda n: "AA" * n + SEAL[2 * n :]),
        st.integers(0, 6).map(lambda n: "AA" * n + METER[2 * n :]),
        st.builds(
            changed, st.sampled_from([SEAL, METER, "9" * 12]), st.integers(0, 11), st.sampled_from("09A")
        ),
        st.builds(
            lambda n, m: "".join("AA" if k in (n, m) else SEAL[2 * k : 2 * k + 2] for k in range(6)),
            st.integers(0, 5),
            st.integers(0, 5),
        ),
    ),
    meter=st.sampled_from([METER, ANY_METER]),
)
def test_addresses(address, meter):
    """Full and shortened addresses of the seal, the exact address of the meter, and broadcast match; no
    others.
    """
    [(_, head)] = listen(Frame(address, 0x11).encode(), meter=meter)
    wire = bcd.address_bytes(address)
    # A shortened address has digits below, and AA bytes above and nowhere else.
    shown = wire.rstrip(b"\xaa")
    assert head.to_seal == (0xAA not in shown and bcd.address_bytes(SEAL).startswith(shown))
    assert head.meter == matches(bcd.address_bytes(meter), wire)
    assert head.broadcast == (address == "9" * 12)
    assert head.wildcard == (address == "A" * 12)


@pytest.mark.parametrize("address", [SEAL, METER, "AAAAAA" + SEAL[6:], "A" * 12, "9" * 12])
def test_a_changing_identity_matches_no_frame(address):
    """While the identity cannot be read, only addresses that fit any seal match."""
    [(_, head)] = listen(Frame(address, 0x11).encode(), readable=False)
    assert (head.to_seal, head.meter) == (address == "A" * 12, 0)
    assert (head.broadcast, head.wildcard) == (address == "9" * 12, address == "A" * 12)
