"""The identity: which slot is taken, how it is changed, and that it is never lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from chip.identity_bench import DEFAULT_BAUD, rate_number, seed_of
from chip.support import Bench, Flash, PowerFailureError, examples
from hypothesis import given
from hypothesis import strategies as st

from meterseal import bcd
from meterseal.seal.image import ANY_METER, Identity, crc16, image
from meterseal.seal.layout import unpack
from sealchip.identity import IdentityStore
from sealchip.interface import BAUD_FEATURE, FLASH_IDENTITY_SLOTS, IDENTITY, PROVISIONING
from sealchip.spi_flash import FlashOp

GOOD = Identity(
    seal="730415926535",
    asset="GD-0000000101",
    meter="000000000001",
    key=bytes(range(16)),
    baud=9600,
    phone="13800000000",
    password="123456",
)
OTHER = replace(GOOD, seal="897932384626", baud=600, sequence=1)
RATES = list(BAUD_FEATURE.values())
SECRETS = ("key", "password")
BLANK_SLOT = b"\xff" * IDENTITY.size
NO_SECRET = {name: bytes(IDENTITY[name].width) for name in SECRETS}


class Keeper(wiring.Component):
    """The store and the frame's DATA."""

    def __init__(self):
        super().__init__({})
        self.store = IdentityStore(DEFAULT_BAUD)
        self.data = Memory(shape=8, depth=64, init=[])

    def elaborate(self, platform):
        m = Module()
        m.submodules.store, m.submodules.data = self.store, self.data
        read = self.data.read_port()
        m.d.comb += [read.addr.eq(self.store.position), self.store.content.eq(read.data)]
        return m


KEEPER = Bench(Keeper)


@dataclass
class Kept:
    """What a store says when it is ready."""

    valid: int
    baud: int
    seed: int
    has_key: int
    secret: bytes
    public: bytes
    gsm: bytes


@dataclass
class Command:
    """A check without `item`, else an update."""

    data: bytes
    origin: int
    item: int | None = None
    spoiled: int = 0


def change(name, data, password="123456"):
    """An update as a 14H write asks for it."""
    head = bytes(5) + bytes.fromhex(password)[::-1] + bytes(4)
    return Command(head + data, 12, {field: item for item, field in PROVISIONING.items()}[name])


def check(password, **others):
    return Command(bytes(5) + bytes.fromhex(password)[::-1], 5, **others)


def flash_of(slot_a, slot_b):
    flash = Flash(image(GOOD), pace=3)
    for start, content in zip(FLASH_IDENTITY_SLOTS, (slot_a, slot_b), strict=True):
        flash.content[start : start + IDENTITY.size] = content
    return flash


async def until_ready(ctx, store, flash):
    while not ctx.get(store.ready):
        await flash.serve(ctx, store.flash)


async def command(ctx, dut, flash, wanted):
    """Let the store obey; whether it has accepted."""
    store = dut.store
    for n, byte in enumerate(wanted.data.ljust(64, b"\x5a")[:64]):
        ctx.set(dut.data.data[n], byte)
    ctx.set(store.update, wanted.item is not None)
    ctx.set(store.item, 6 if wanted.item is None else wanted.item)
    ctx.set(store.origin, wanted.origin)
    ctx.set(store.length, len(wanted.data))
    ctx.set(store.spoiled, wanted.spoiled)
    ctx.set(store.start, 1)
    while True:
        # `done` answers the flash's in the same cycle.
        if ctx.get(store.flash.start):
            await flash._operate(ctx, store.flash)
            ctx.set(store.flash.done, 1)
        done, accepted = ctx.get(store.done), ctx.get(store.accepted)
        if done:
            ctx.set(store.start, 0)
        await ctx.tick()
        ctx.set(store.flash.done, 0)
        if done:
            return accepted


async def look(ctx, store):
    """Everything that the store offers."""
    secret, public, gsm = (bytearray(IDENTITY.size) for _ in range(3))
    for number in range(IDENTITY.size):
        # Each port goes its own way.
        places = number, IDENTITY.size - 1 - number, number ^ 0x55
        for port, place in zip((store.secret_address, store.address, store.gsm_address), places, strict=True):
            ctx.set(port, place)
        await ctx.tick()
        secret[places[0]], public[places[1]] = ctx.get(store.secret_data), ctx.get(store.data)
        gsm[places[2]] = ctx.get(store.gsm_data)
    facts = (ctx.get(port) for port in (store.valid, store.baud, store.seed, store.has_key))
    valid, baud, seed, has_key = facts
    return Kept(valid, RATES[baud], seed, has_key, *map(bytes, (secret, public, gsm)))


def keep(flash, *commands, bench=KEEPER):
    """Power the store up on `flash` and give it `commands`; what it says then, and what it accepted."""
    result = []

    async def testbench(ctx):
        dut = bench.dut
        await until_ready(ctx, dut.store, flash)
        accepted = [await command(ctx, dut, flash, wanted) for wanted in commands]
        assert ctx.get(dut.store.ready), "ready behind `done`"
        assert not ctx.get(dut.store.flash.start), "leaves the flash alone"
        result.append((await look(ctx, dut.store), accepted))

    bench.run(testbench)
    [(kept, accepted)] = result
    assert {address for _, address, _ in flash.operations} <= {*FLASH_IDENTITY_SLOTS}
    fields = unpack(IDENTITY, kept.secret)
    assert kept.public == kept.gsm == b"".join((fields | NO_SECRET).values()), "all but the secrets"
    assert kept.has_key == any(fields["key"])
    assert kept.seed == seed_of(fields["seal"])
    assert kept.baud == RATES[rate_number(fields["baud"][0])]
    return kept, accepted


def load(slot_a, slot_b):
    return keep(flash_of(slot_a, slot_b))[0]


def damaged(identity, position, bits=1):
    raw = bytearray(identity.encode())
    raw[position] ^= bits
    return bytes(raw)


def with_crc(raw):
    return raw[:-2] + crc16(raw[:-2]).to_bytes(2, "big")


# -- Which slot


@examples(8)
@given(first=st.integers(0, 0xFFFF), ahead=st.integers(1, 0x7FFF), swapped=st.booleans())
def test_the_newer_slot(first, ahead, swapped):
    """Modulo 2^16, in whichever slot it is; of equal ones the first."""
    older = replace(GOOD, sequence=first).encode()
    newer = replace(OTHER, sequence=(first + ahead) & 0xFFFF).encode()
    kept = load(newer, older) if swapped else load(older, newer)
    assert (kept.valid, kept.baud, kept.secret) == (1, 600, newer)


def test_equal_slots():
    first, second = GOOD.encode(), replace(OTHER, sequence=GOOD.sequence).encode()
    assert load(first, second).secret == first


@examples(4)
@given(position=st.integers(0, IDENTITY.size - 1), bits=st.integers(1, 255))
def test_a_damaged_slot(position, bits):
    """Any damage to one slot makes the chip take the other one; damage to both is *invalid*."""
    bad = damaged(OTHER, position, bits)
    assert load(GOOD.encode(), bad).secret == GOOD.encode()
    assert load(damaged(GOOD, position, bits), OTHER.encode()).secret == OTHER.encode()
    kept = load(bad, bad)
    assert (kept.valid, kept.baud) == (0, 2400)


@pytest.mark.parametrize(
    "slot",
    [
        pytest.param(BLANK_SLOT, id="erased"),
        pytest.param(bytes(IDENTITY.size), id="zeros"),
        pytest.param(with_crc(b"\2" + GOOD.encode()[1:]), id="version 2"),
        pytest.param(GOOD.encode()[:-2] + GOOD.encode()[:-3:-1], id="CRC bytes swapped"),
    ],
)
def test_no_identity(slot):
    """A blank one instead: nothing but the layout's version and *any meter*."""
    kept = load(slot, slot)
    assert (kept.valid, kept.baud, kept.has_key) == (0, 2400, 0)
    fields = unpack(IDENTITY, kept.secret)
    assert (fields.pop("version"), fields.pop("meter")) == (b"\1", b"\xaa" * 6)
    assert not any(b"".join(fields.values()))
    assert load(slot, OTHER.encode()).valid
    assert load(GOOD.encode(), slot).valid


def test_an_address_of_zero_is_none():
    kept = load(replace(GOOD, seal="0").encode(), BLANK_SLOT)
    assert (kept.valid, kept.baud) == (0, 9600)


# -- Password


@pytest.mark.parametrize("slots", [(GOOD.encode(), BLANK_SLOT), (BLANK_SLOT, OTHER.encode())])
def test_password(slots):
    """Right or wrong, it changes nothing; each of its bytes counts."""
    wrong = ["123457", "123356", "023456", "000000"]
    flash = flash_of(*slots)
    commands = [check("123456"), *map(check, wrong), check("123456"), check("123456", spoiled=1)]
    kept, accepted = keep(flash, *commands)
    assert accepted == [1, 0, 0, 0, 0, 1, 0]
    assert kept.secret in slots
    assert {op for op, *_ in flash.operations} == {FlashOp.READ}


def test_ports_rest_while_a_byte_is_kept():
    """While a password is compared, all bytes are kept again: in those cycles the ports show what they
    showed, in all others the byte that was asked for in the one before.
    """
    chance = Random(1)
    secret = [place for name in SECRETS for place in range(*IDENTITY.slice(name).indices(IDENTITY.size))]

    async def testbench(ctx):
        store, flash = KEEPER.dut.store, flash_of(GOOD.encode(), BLANK_SLOT)
        await until_ready(ctx, store, flash)
        kept = await look(ctx, store)
        ctx.set(store.start, 1)
        await ctx.tick()
        shown, read = {}, Cat(store.flash.index, store.flash.o, store.flash.strobe)
        for index, byte in enumerate(GOOD.encode()):
            for strobe in (0, 0, 1):
                public, gsm = chance.sample(range(IDENTITY.size), 2)
                ctx.set(read, index | byte << 8 | strobe << 16)
                ctx.set(Cat(store.address, store.gsm_address), public | gsm << 7)
                await ctx.tick()
                if not strobe:
                    shown["secret_data"] = byte
                if not strobe or index in secret:
                    shown |= {"data": kept.public[public], "gsm_data": kept.gsm[gsm]}
                assert {port: ctx.get(getattr(store, port)) for port in shown} == shown

    KEEPER.run(testbench)


def test_password_of_a_blank_seal():
    assert keep(flash_of(BLANK_SLOT, BLANK_SLOT), check("000000"), check("123456"))[1] == [1, 0]


# -- Changes

VALUES = {
    "seal": ({"seal": "810400000777"}, bcd.address_bytes("810400000777")),
    "meter": ({"meter": "440100000777"}, bcd.address_bytes("440100000777")),
    "asset": ({"asset": "NEW-1"}, b"1-WEN".ljust(32, b"\0")),
    "key": ({"key": bytes(range(100, 116))}, bytes(range(100, 116))),
    "phone": ({"phone": "+8613900000000"}, b"+8613900000000\0\0"),
    "baud": ({"baud": 4800}, b"\x10"),
    "password": ({"password": "654321"}, bytes.fromhex("214365")),
}


@pytest.mark.parametrize(("place", "name"), [(number % 2, name) for number, name in enumerate(VALUES)])
def test_change(place, name):
    """The other slot holds the same identity but for the field, as the host would have written it."""
    slots = [BLANK_SLOT, BLANK_SLOT]
    slots[place] = replace(GOOD, sequence=0x00FF).encode()
    flash = flash_of(*slots)
    value, data = VALUES[name]
    kept, accepted = keep(flash, change(name, data))
    changed = replace(GOOD, sequence=0x0100, **value).encode()
    assert accepted == [1]
    assert kept.secret == changed
    for number, start in enumerate(FLASH_IDENTITY_SLOTS):
        assert flash.content[start:][: IDENTITY.size] == (slots[place] if number == place else changed)


def test_from_blank_to_complete():
    """Item after item, the sequence wrapping on its way; then it is the identity that the host would make."""
    kept, accepted = keep(
        flash_of(BLANK_SLOT, BLANK_SLOT), *(change(name, VALUES[name][1]) for name in VALUES)
    )
    assert accepted == [1] * len(VALUES)
    values = {key: value for values, _ in VALUES.values() for key, value in values.items()}
    assert kept.secret == Identity(**values, sequence=len(VALUES)).encode()
    assert (kept.valid, kept.baud) == (1, 4800)


def test_a_blank_seal_keeps_any_meter():
    kept, _ = keep(flash_of(BLANK_SLOT, BLANK_SLOT), change("seal", VALUES["seal"][1]))
    assert (
        Identity.decode(
            with_crc(kept.secret[:1] + b"\x08" + kept.secret[2:14] + b"x".ljust(32, b"\0") + kept.secret[46:])
        ).meter
        == ANY_METER
    )
    assert kept.valid


@pytest.mark.parametrize(("name", "wrong"), [("seal", (-1, 1, 2)), ("baud", (4, 32)), ("baud", (64, 128))])
def test_wrong_length_changes_nothing(name, wrong):
    """By one, or by any bit of the length."""
    flash = flash_of(GOOD.encode(), BLANK_SLOT)
    data = VALUES[name][1]
    kept, accepted = keep(flash, *(change(name, data.ljust(200, b"\0")[: len(data) + it]) for it in wrong))
    assert (accepted, kept.secret) == ([0] * len(wrong), GOOD.encode())
    assert {op for op, *_ in flash.operations} == {FlashOp.READ}


def test_spoiled_data_changes_nothing():
    flash = flash_of(GOOD.encode(), BLANK_SLOT)
    kept, accepted = keep(flash, replace(change("seal", VALUES["seal"][1]), spoiled=1))
    assert (accepted, kept.secret) == ([0], GOOD.encode())


def test_a_flash_that_does_not_take_it():
    """One bit of the slot cannot be programmed: refused, and the old identity stands."""

    class Worn(Flash):
        def _change(self, position, byte, torn):
            super()._change(position, byte | (position == FLASH_IDENTITY_SLOTS[1] + 100), torn)

    flash = Worn(pace=3)
    flash.content[: IDENTITY.size] = GOOD.encode()
    kept, accepted = keep(flash, change("seal", VALUES["seal"][1]))
    assert (accepted, kept.secret) == ([0], GOOD.encode())


def test_a_flash_that_loses_both():
    """Neither slot is right behind a change: refused, and the seal has no identity any more."""

    class Dying(Flash):
        def _change(self, position, byte, torn):
            super()._change(position, 0, torn)
            self.content[position - FLASH_IDENTITY_SLOTS[1]] = 0x55

    flash = Dying(pace=3)
    flash.content[: IDENTITY.size] = GOOD.encode()
    kept, accepted = keep(flash, change("seal", VALUES["seal"][1]))
    without, _ = keep(flash_of(BLANK_SLOT, BLANK_SLOT))
    assert (accepted, kept) == ([0], without)
    assert not kept.valid


@pytest.mark.long
@pytest.mark.parametrize("torn", [0x00, 0x2F, 0xFF])
@pytest.mark.parametrize("cut", range(0, IDENTITY.size + 1, 8))
def test_power_fails_in_any_write(cut, torn):
    """The old identity or the new one, never none; and the update can be done again."""
    _lose_power(range(cut, min(cut + 8, IDENTITY.size + 1)), torn)


def _lose_power(cuts, torn):
    update = change("seal", VALUES["seal"][1])
    old, new = (replace(GOOD, sequence=n, **v).encode() for n, v in ((7, {}), (8, VALUES["seal"][0])))
    for cut in cuts:
        flash = flash_of(replace(OTHER, sequence=6).encode(), old)
        flash.power_up(cut=cut, torn=torn)
        with pytest.raises(PowerFailureError):
            keep(flash, update)
        flash.power_up()
        kept, _ = keep(flash)
        assert kept.valid
        assert kept.secret in (old, new)
        assert keep(flash, update)[0].secret[8:14] == VALUES["seal"][1]
