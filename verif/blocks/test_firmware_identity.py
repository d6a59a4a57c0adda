"""Tests of the identity in the firmware: which slot is taken, how it is changed, that it is never lost, and
that its secrets stay where they are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import Identity, crc16, image
from meterseal.domain.layout import pack, unpack
from meterseal.octets import bcd
from sealchip.core import firmware
from sealchip.core.assembler import Assembler
from sealchip.core.firmware import calendar, flash, identity, main
from sealchip.core.firmware.layout import Command, Memory, Out, Public, StatusOut
from sealchip.interface import (
    BAUD_FEATURE,
    FLASH_IDENTITY_SLOTS,
    FLASH_LOG_BASE,
    IDENTITY,
    PROVISIONING,
    RECORD,
)
from verif.benches.block import examples
from verif.benches.firmware import Nor, PowerFailureError, Rig

DEFAULT_BAUD = 2400
#: All bytes of an address differ.
FLASH_BASE = 0x3BC000
READ, PROGRAM, ERASE = 0x03, 0x02, 0x20
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
BLANK_SLOT = b"\xff" * IDENTITY.size
#: A seal without an identity has this: the layout's version and *any meter*, without a sum.
BLANK = pack(
    IDENTITY, dict.fromkeys((it.name for it in IDENTITY.fields), 0) | {"version": 1, "meter": 0xAAAAAAAAAAAA}
)
#: Others may read these fields.
PUBLIC = ("version", "baud", "meter", "seal", "asset", "phone")
ITEM = {name: number for number, name in PROVISIONING.items()}
#: A write with password has the password and the new value at these places.
PASSWORD, WRITTEN = 5, 12


def rate_number(word):
    """Return the number of a baud feature word, slowest rate first; the default's for any other word."""
    rates = sorted(BAUD_FEATURE.values())
    return rates.index(BAUD_FEATURE.get(word, DEFAULT_BAUD))


def seed_of(seal):
    """Return the seed: each byte of the seal's address is added, by XOR, to what those before have made,
    rotated by five.
    """
    return reduce(lambda seed, byte: (seed << 5 & 0xFFFF | seed >> 11) ^ byte, seal, 0)


@cache
def whole():
    """Build the firmware as it is."""
    return firmware.build(FLASH_BASE, DEFAULT_BAUD)


@cache
def alone():
    """Build the identity without keys and log, for tests that power up often."""
    a = Assembler()
    main.boot(a)
    flash.wake(a)
    identity.emit(a, DEFAULT_BAUD)
    a.label("keys")
    a.jump("identity.loaded")
    a.label("log.restore")
    main.set_status_bit(a, StatusOut.LOG_READY)
    main.emit(a)
    flash.emit(a, FLASH_BASE)
    for name in ("log.append", "log.oldest", "log.nth", "log.acknowledge", "challenge"):
        a.label(name)
    calendar.emit(a)
    return a.words(), whole()[1]


def flash_of(slot_a, slot_b):
    chip = Nor(image(GOOD), base=FLASH_BASE)
    for start, content in zip(FLASH_IDENTITY_SLOTS, (slot_a, slot_b), strict=True):
        chip.content[start : start + IDENTITY.size] = content
    return chip


def slots_of(chip):
    return [bytes(chip.content[start:][: IDENTITY.size]) for start in FLASH_IDENTITY_SLOTS]


@dataclass
class Ask:
    """An `Ask` without `item` is for a check, with one for an update."""

    data: bytes
    origin: int
    item: int | None = None
    lasts: int = 1000

    def of(self, rig):
        """Return whether `rig` accepts it."""
        command = Command.CHECK if self.item is None else Command.UPDATE
        item = ITEM["password"] if self.item is None else self.item
        return rig.command(command, item << 4 | self.origin, self.data.ljust(64, b"\x5a"), self.lasts)


def change(name, data, password="123456"):
    """Return an update as a 14H write asks for it."""
    head = bytes(PASSWORD) + bytes.fromhex(password)[::-1] + bytes(4)
    return Ask(head + data, WRITTEN, ITEM[name])


def check(password, **others):
    return Ask(bytes(PASSWORD) + bytes.fromhex(password)[::-1], PASSWORD, **others)


@dataclass
class Kept:
    """This is what the firmware reports of an identity, and what it keeps of it, without the sum."""

    valid: bool
    baud: int
    secret: bytes
    accepted: list[bool]


def keep(chip, *asked, program=whole):
    """Power up on `chip` and ask; check what must hold whatever was asked."""
    rig = Rig(*program(), chip)
    rig.power_up()
    accepted = [it.of(rig) for it in asked]
    rig.idle()
    secret = bytes(rig.machine.memory[Memory.IDENTITY :][: IDENTITY.size])
    fields = unpack(IDENTITY, secret)
    shown = b"".join(byte if name in PUBLIC else bytes(len(byte)) for name, byte in fields.items())
    assert rig.public[Public.IDENTITY :] == shown, "the public fields are published, and nothing else"
    assert StatusOut.IDENTITY_READY in rig.status
    valid = StatusOut.IDENTITY_VALID in rig.status
    assert valid == any(fields["seal"])
    assert rig.seed == seed_of(fields["seal"])
    assert rig.baud == rate_number(fields["baud"][0])
    assert {place for code, place, _ in chip.commands if place < FLASH_LOG_BASE} <= {*FLASH_IDENTITY_SLOTS}
    return Kept(valid, sorted(BAUD_FEATURE.values())[rig.baud], secret[: IDENTITY.offsets["crc"]], accepted)


def content(identity):
    """Return what is kept of an identity."""
    return identity.encode()[: IDENTITY.offsets["crc"]]


def writes(chip):
    """Return what was written of the identities."""
    return [it for it in chip.commands if it[0] != READ and it[1] < FLASH_LOG_BASE]


def load(slot_a, slot_b, program=whole):
    return keep(flash_of(slot_a, slot_b), program=program)


def damaged(identity, position, bits=1):
    raw = bytearray(identity.encode())
    raw[position] ^= bits
    return bytes(raw)


def with_crc(raw):
    return raw[:-2] + crc16(raw[:-2]).to_bytes(2, "big")


# -- Which slot


@examples(30)
@given(
    first=st.sampled_from([0, 0xFF, 0xFFFF, 0x7FFF]) | st.integers(0, 0xFFFF),
    ahead=st.sampled_from([1, 0xFF, 0x100, 0x7FFF]) | st.integers(1, 0x7FFF),
    swapped=st.booleans(),
)
def test_the_newer_slot(first, ahead, swapped):
    """The identity whose sequence number is ahead, modulo 2^16, is taken, in whichever slot it is."""
    older = replace(GOOD, sequence=first)
    newer = replace(OTHER, sequence=(first + ahead) & 0xFFFF)
    slots = [older.encode(), newer.encode()]
    kept = load(*(reversed(slots) if swapped else slots), program=alone)
    assert (kept.valid, kept.baud, kept.secret) == (True, 600, content(newer))


def test_equal_slots():
    """Of two slots with the same sequence number the first one is taken."""
    first, second = GOOD, replace(OTHER, sequence=GOOD.sequence)
    assert load(first.encode(), second.encode()).secret == content(first)


@examples(40)
@given(position=st.integers(0, IDENTITY.size - 1), bits=st.integers(1, 255))
def test_a_damaged_slot(position, bits):
    """Any damage to one slot makes the chip take the other one; damage to both is *invalid*."""
    bad = damaged(OTHER, position, bits)
    assert load(GOOD.encode(), bad, alone).secret == content(GOOD)
    assert load(damaged(GOOD, position, bits), OTHER.encode(), alone).secret == content(OTHER)
    kept = load(bad, bad, alone)
    assert (kept.valid, kept.baud, kept.secret) == (False, 2400, BLANK[:-2])


@pytest.mark.parametrize(
    "slot",
    [
        pytest.param(BLANK_SLOT, id="erased"),
        pytest.param(bytes(IDENTITY.size), id="zeros"),
        pytest.param(GOOD.encode()[:-2] + GOOD.encode()[:-3:-1], id="CRC bytes swapped"),
    ],
)
def test_no_identity(slot):
    """Without a valid slot the identity is a blank one; one valid slot is enough."""
    kept = load(slot, slot)
    assert (kept.valid, kept.baud, kept.secret) == (False, 2400, BLANK[:-2])
    assert load(slot, OTHER.encode()).secret == content(OTHER)
    assert load(GOOD.encode(), slot).secret == content(GOOD)


def test_every_version():
    """Only version 1 of the layout is accepted."""
    for version in range(256):
        kept = load(with_crc(bytes([version]) + GOOD.encode()[1:]), BLANK_SLOT, alone)
        assert kept.valid == (version == 1)


def test_every_baud_word():
    """The words of the standard select their rates, any other the default; `keep` compares."""
    for word in range(256):
        assert load(with_crc(b"\1" + bytes([word]) + GOOD.encode()[2:]), BLANK_SLOT, alone).valid


def test_an_address_of_zero_is_none():
    """Zero is not treated as an address; one bit alone makes an address."""
    kept = load(replace(GOOD, seal="0").encode(), BLANK_SLOT)
    assert (kept.valid, kept.baud) == (False, 9600)
    raw, place = replace(GOOD, seal="0").encode(), IDENTITY.offsets["seal"]
    for bit in range(48):
        seal = (1 << bit).to_bytes(6, "little")
        assert load(with_crc(raw[:place] + seal + raw[place + 6 :]), BLANK_SLOT, alone).valid


def test_seeds_differ():
    """Neighbouring addresses, as seals of one delivery have them, give different seeds; `keep` compares."""
    assert len({seed_of(bcd.address_bytes(f"{number:012d}")) for number in range(1, 40)}) == 39
    for number in range(1, 40):
        assert load(replace(GOOD, seal=str(number)).encode(), BLANK_SLOT, alone).valid


# -- Password


@pytest.mark.parametrize("slots", [(GOOD.encode(), BLANK_SLOT), (BLANK_SLOT, OTHER.encode())])
def test_password(slots):
    """A password, right or wrong, changes nothing, and each of its bytes counts. It is refused when its bytes
    may be another request's.
    """
    wrong = ["123457", "123356", "023456", "000000"]
    chip = flash_of(*slots)
    asked = [check("123456"), *map(check, wrong), check("123456"), check("123456", lasts=2)]
    kept = keep(chip, *asked)
    assert kept.accepted == [True, False, False, False, False, True, False]
    assert kept.secret in (slot[:-2] for slot in slots)
    assert not writes(chip)
    assert slots_of(chip) == [*slots]


@examples(30)
@given(password=st.binary(min_size=3, max_size=3), difference=st.binary(min_size=3, max_size=3))
def test_any_password(password, difference):
    """Only the right password is accepted, and all wrong ones take the same time."""
    raw, place = GOOD.encode(), IDENTITY.offsets["password"]
    rig = Rig(*alone(), flash_of(with_crc(raw[:place] + password + raw[place + 3 :]), BLANK_SLOT))
    rig.power_up()
    guess = bytes(a ^ b for a, b in zip(password, difference, strict=True))
    lasted = []
    for data in (guess, bytes(byte ^ 0xFF for byte in password)):
        rig.idle()
        begun = rig.machine.steps
        assert Ask(bytes(PASSWORD) + data, PASSWORD).of(rig) == (data == password)
        lasted.append(rig.machine.steps - begun)
    assert any(difference) <= (len({*lasted}) == 1)


@pytest.mark.parametrize("lasts", range(4))
def test_a_right_password_of_another(lasts):
    """A password is refused as soon as one byte of it is another request's, even if that byte is right."""
    raw, place = GOOD.encode(), IDENTITY.offsets["password"]
    # `Rig` has these bytes in another request.
    password = bytes(position ^ 0xA5 for position in range(PASSWORD, PASSWORD + 3))
    chip = flash_of(with_crc(raw[:place] + password + raw[place + 3 :]), BLANK_SLOT)
    kept = keep(chip, Ask(bytes(PASSWORD) + password, PASSWORD, lasts=lasts), program=alone)
    assert kept.accepted == [lasts == 3]


def test_password_of_a_blank_seal():
    kept = keep(flash_of(BLANK_SLOT, BLANK_SLOT), check("000000"), check("123456"))
    assert kept.accepted == [True, False]


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
    chip = flash_of(*slots)
    value, data = VALUES[name]
    kept = keep(chip, change(name, data))
    changed = replace(GOOD, sequence=0x0100, **value)
    assert kept.accepted == [True]
    assert kept.secret == content(changed)
    slots[1 - place] = changed.encode()
    assert slots_of(chip) == slots


def _bytes_of(name):
    width = IDENTITY[name].width
    return st.tuples(st.just(name), st.binary(min_size=width, max_size=width))


items = st.sampled_from(list(PROVISIONING.values())).flatmap(_bytes_of)


@examples(20)
@given(
    story=st.lists(st.tuples(items, st.sampled_from([0, 9, 12])), min_size=1, max_size=4),
    sequence=st.sampled_from([0, 0xFF, 0xFFFE, 0xFFFF]),
    blank=st.booleans(),
)
def test_any_changes(story, sequence, blank):
    """Any bytes are taken from any origin, one change after another, and are there after a power-up."""
    fields = unpack(IDENTITY, BLANK if blank else replace(GOOD, sequence=sequence).encode())
    number = int.from_bytes(fields["sequence"], "little")
    asked = []
    for (name, data), origin in story:
        fields[name] = data
        number = (number + 1) & 0xFFFF
        fields["sequence"] = number.to_bytes(2, "little")
        asked.append(Ask(b"\x77" * origin + data, origin, ITEM[name]))
    chip = flash_of(BLANK_SLOT if blank else replace(GOOD, sequence=sequence).encode(), BLANK_SLOT)
    kept = keep(chip, *asked, program=alone)
    assert kept.accepted == [True] * len(story)
    assert kept.secret == b"".join(fields.values())[:-2]
    chip.power_up()
    assert keep(chip, program=alone) == replace(kept, accepted=[])


def test_from_blank_to_complete():
    """Item after item is written; then it is the identity that the host would make."""
    kept = keep(flash_of(BLANK_SLOT, BLANK_SLOT), *(change(name, VALUES[name][1]) for name in VALUES))
    assert kept.accepted == [True] * len(VALUES)
    values = {key: value for values, _ in VALUES.values() for key, value in values.items()}
    assert kept.secret == content(Identity(**values, sequence=len(VALUES)))
    assert (kept.valid, kept.baud) == (True, 4800)


def test_a_blank_seal_keeps_any_meter():
    kept = keep(flash_of(BLANK_SLOT, BLANK_SLOT), change("seal", VALUES["seal"][1]))
    fields = unpack(IDENTITY, kept.secret + b"\0\0")
    assert (fields["meter"], kept.valid) == (b"\xaa" * 6, True)


@pytest.mark.parametrize(
    "slots",
    [
        (GOOD.encode(), BLANK_SLOT),
        (BLANK_SLOT, BLANK_SLOT),
        (replace(GOOD, sequence=2).encode(), OTHER.encode()),
    ],
)
@pytest.mark.parametrize("lasts", range(32))
def test_spoiled_data_changes_nothing(slots, lasts):
    """Data that is another request's from any byte on changes nothing, whatever was accepted before."""
    chip = flash_of(*slots)
    asked = change("asset", VALUES["asset"][1])
    kept = keep(chip, replace(asked, lasts=lasts), program=alone)
    before = BLANK if slots[0] == BLANK_SLOT else slots[0]
    assert (kept.accepted, kept.secret) == ([False], before[:-2])
    assert not writes(chip)
    kept = keep(chip, asked, replace(asked, lasts=lasts), program=alone)
    assert kept.accepted == [True, False]
    assert kept.secret == slots_of(chip)[1][:-2]


def test_a_flash_that_does_not_take_it():
    """If one bit of the slot cannot be programmed, the change is refused, and the old identity stands."""

    class Worn(Nor):
        def change(self, position, byte, torn):
            super().change(position, byte | (position == FLASH_IDENTITY_SLOTS[1] + 100), torn)

    chip = Worn(GOOD.encode(), base=FLASH_BASE)
    kept = keep(chip, change("seal", VALUES["seal"][1]))
    assert (kept.accepted, kept.secret) == ([False], content(GOOD))


@pytest.mark.parametrize("place", [0, 1])
def test_a_flash_that_loses_both(place):
    """If neither slot is right after a change, it is refused, and the seal has no identity any more."""
    mine, other = FLASH_IDENTITY_SLOTS[place], FLASH_IDENTITY_SLOTS[1 - place]

    class Dying(Nor):
        def change(self, position, byte, torn):
            super().change(position, 0, torn)
            self.content[position - other + mine] = 0x55

    chip = Dying(base=FLASH_BASE)
    chip.content[mine:][: IDENTITY.size] = GOOD.encode()
    chip.content[mine : mine + IDENTITY.size] = GOOD.encode()
    kept = keep(chip, change("seal", VALUES["seal"][1]))
    assert (kept.accepted, kept.valid, kept.secret) == ([False], False, BLANK[:-2])


# -- Power cuts


@pytest.mark.parametrize("torn", [0x00, 0x2F, 0xFF])
@pytest.mark.parametrize("place", [0, 1])
def test_power_fails_in_any_write(place, torn):
    """A cut at any written byte leaves the old identity or the new one, and the update can be repeated."""
    for cut in range(IDENTITY.size + 1):
        _lose_power(alone, place, cut=cut, torn=torn)


@examples(10)
@given(
    place=st.integers(0, 1),
    cut=st.integers(0, IDENTITY.size),
    torn=st.integers(0, 255),
)
def test_power_fails_in_a_whole_seal(place, cut, torn):
    """The whole firmware, with log and keys, keeps an identity too when power fails in a write."""
    _lose_power(whole, place, cut=cut, torn=torn)


def _lose_power(program, place, **cut):
    update = change("seal", VALUES["seal"][1])
    old, new = (replace(GOOD, sequence=n, **v) for n, v in ((7, {}), (8, VALUES["seal"][0])))
    slots = [replace(OTHER, sequence=6).encode()] * 2
    slots[place] = old.encode()
    chip = flash_of(*slots)
    rig = Rig(*program(), chip)
    rig.power_up()
    chip.cut, chip.torn = cut["cut"], cut["torn"]
    with pytest.raises(PowerFailureError):
        update.of(rig)
    chip.power_up()
    kept = keep(chip, program=program)
    assert kept.valid
    assert kept.secret in (content(old), content(new))
    again = keep(chip, update, program=program)
    assert again.accepted == [True]
    assert unpack(IDENTITY, again.secret + b"\0\0")["seal"] == VALUES["seal"][1]


@pytest.mark.parametrize("wanted", range(0, 700, 7))
def test_power_fails_at_any_byte(wanted):
    """An identity is kept when power fails at any byte over the pins, commands and status too."""
    old, update = replace(GOOD, sequence=7), change("seal", VALUES["seal"][1])
    for silence in range(wanted, wanted + 7):
        chip = flash_of(old.encode(), replace(OTHER, sequence=6).encode())
        rig = Rig(*alone(), chip)
        rig.power_up()
        chip.silence = silence
        with suppress(PowerFailureError):
            assert update.of(rig)
        chip.power_up()
        kept = keep(chip, program=alone)
        assert kept.secret in (content(old), content(replace(old, sequence=8, **VALUES["seal"][0])))


# -- Secrets


class Watched(Rig):
    """This rig notes all that leaves the processor, and when. What may differ with key or password is left
    out: the index, which looks up the cipher's table, what is programmed into the identity's slots, and the
    MAC.
    """

    def switch_on(self, **cut):
        self.seen = []
        super().switch_on(**cut)

    def published(self, address, byte):
        self._note(("publish", address, byte))

    def _note(self, what):
        kind, number, value = what
        mac = range(*RECORD.slice("mac").indices(RECORD.size))
        hidden = {
            "publish": number - Public.RECORD in mac,
            "out": number == Out.X or (number == Out.EXCHANGE and self._programs()),
        }[kind]
        self.seen.append((self.machine.steps, kind, number, None if hidden else value))

    def _programs(self):
        sent = self.flash.raw
        return (
            sent is not None
            and len(sent) >= 4
            and sent[0] == PROGRAM
            and int.from_bytes(sent[1:4], "big") - FLASH_BASE in FLASH_IDENTITY_SLOTS
        )

    def write(self, number, value):
        self._note(("out", number, value))
        super().write(number, value)


keys = st.binary(min_size=16, max_size=16).filter(any)
passwords = st.integers(0, 999_999).map("{:06d}".format)
#: The event is that the loop has closed.
EVENT = bytes([3, 3, 0, 0, 0, 0, 0xFF, 0xFF])


@dataclass
class Secrets:
    """These are a seal's secrets, and those that replace them."""

    key: bytes
    password: str
    new_key: bytes
    new_password: str

    def scenario(self):
        """Run all that concerns the secrets; return what was seen."""
        chip = flash_of(BLANK_SLOT, replace(GOOD, key=self.key, password=self.password).encode())
        rig = Watched(*whole(), chip)
        rig.power_up()
        rig.append(EVENT)
        wrong = f"{int(self.password) ^ 1:06d}"
        for asked in (
            check(wrong),
            check(self.password),
            change("phone", VALUES["phone"][1], self.password),
            change("key", self.new_key, self.password),
            replace(change("key", self.key, self.password), lasts=3),
            change("password", bytes.fromhex(self.new_password)[::-1], self.password),
        ):
            rig.seen.append(asked.of(rig))
        rig.append(EVENT)
        assert rig.command(Command.FETCH)
        assert rig.oldest()
        assert any(rig.public[RECORD.slice("mac")])
        return rig.seen


secrets = st.builds(Secrets, keys, passwords, keys, passwords)


@examples(4)
@given(one=secrets, another=secrets)
def test_nothing_reveals_a_secret(one, another):
    """Whatever key and password are, the same bytes are published and put out at the same instruction."""
    assert one.scenario() == another.scenario()


def test_only_public_fields_are_published():
    """Each byte of the public fields is published, and no other place of the identity."""
    rig = Watched(*whole(), flash_of(GOOD.encode(), BLANK_SLOT))
    rig.power_up()
    change("key", VALUES["key"][1]).of(rig)
    places = {number - Public.IDENTITY for _, kind, number, _ in rig.seen if kind == "publish"}
    public = {n for name in PUBLIC for n in range(*IDENTITY.slice(name).indices(IDENTITY.size))}
    assert {place for place in places if place >= 0} == public


def test_not_ready_while_published():
    """The public identity changes only while `IDENTITY_READY` is low."""

    class Strict(Watched):
        def _note(self, what):
            if what[0] == "publish" and what[1] >= Public.IDENTITY:
                assert StatusOut.IDENTITY_READY not in self.status
            super()._note(what)

    rig = Strict(*whole(), flash_of(GOOD.encode(), BLANK_SLOT))
    rig.power_up()
    for name, (_, data) in VALUES.items():
        assert change(name, data).of(rig)
        assert StatusOut.IDENTITY_READY in rig.status
