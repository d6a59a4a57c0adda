"""An independent SM4-CMAC verifies the record that the firmware makes and signs."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import example, given
from hypothesis import strategies as st

from meterseal.domain.image import NO_KEY, Identity
from meterseal.domain.layout import pack
from meterseal.octets import bcd
from sealchip.core.assembler import Assembler
from sealchip.core.firmware import main, record, sm4
from sealchip.core.firmware.layout import WRITTEN, Command, Memory, Public, StatusOut
from sealchip.core.processor import MEMORY_BYTES
from sealchip.interface import ENTRY, RECORD, Algorithm, Flags
from verif.benches.block import examples
from verif.benches.firmware import Rig

MAC = RECORD.slice("mac")
#: Making a record, and preparing a new key, may take so many instructions.
RECORD_STEPS, KEY_STEPS = 12_300, 19_200


@cache
def program():
    """Assemble the records without the firmware's other parts; tests put identity and entry into memory."""
    a = Assembler()
    a.label("boot")
    main.boot(a)
    record.boot(a)
    a.jump("keys")
    a.label("identity.loaded")
    main.emit(a)
    record.emit(a)
    for name in ("log.oldest", "log.nth"):
        a.label(name)
    a.jump("record")
    for name in ("calendar.second", "log.append", "log.acknowledge"):
        a.label(name)
    for name in ("identity.check", "identity.update", "calendar.set"):
        a.label(name)
    a.jump("main")
    return a.words(), a.places()


#: The bytes of these numbers borrow from one another.
numbers = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF])
keys = st.binary(min_size=16, max_size=16).filter(any)
#: All bytes of these keys but one are zero.
thin_keys = st.builds(
    lambda n, byte: bytes([byte]).rjust(n, b"\0").ljust(16, b"\0"), *[st.integers(1, 16)] * 2
)
blocks = st.binary(min_size=16, max_size=16)
seals = st.integers(1, 10**12 - 1).map(lambda number: f"{number:012d}")
#: The memory may hold anything after a reset.
leftovers = st.binary(min_size=16, max_size=16).map(lambda block: block * (MEMORY_BYTES // 16))
situations = st.fixed_dictionaries(
    {
        "boot": numbers,
        "counter": numbers,
        "kind": st.integers(1, 3),
        "state": st.integers(0, 5),
        "loop_mv": st.integers(0, 0xFFFF),
        # The log writes none of the flags that the record adds.
        "flags": st.integers(0, 0xFFFF).map(lambda bits: bits & ~(Flags.AGE_UNKNOWN | Flags.CHALLENGED)),
        "stamp": numbers,
        "uptime": numbers,
        "this_boot": st.booleans(),
        "slave": st.booleans(),
        "challenge": st.none() | st.binary(min_size=4, max_size=4),
    }
).map(lambda fields: SimpleNamespace(**fields))
SITUATION = {
    **dict.fromkeys(["boot", "counter", "kind", "state", "loop_mv", "flags", "stamp"], 1),
    "uptime": 1000,
    "this_boot": True,
    "slave": False,
    "challenge": None,
}
NOW = SimpleNamespace(**SITUATION)
KEY = bytes(range(16))
SEAL = "810400000001"


def expected(key, now, seal=SEAL, challenge=None):
    """Return the record of the entry, as a reference written out from the protocol's description."""
    age = now.uptime - now.stamp if now.this_boot else now.uptime
    flags = now.flags | (0 if now.this_boot else Flags.AGE_UNKNOWN)
    challenge = challenge if now.slave else None
    fields = {
        "version": 1,
        "algorithm": Algorithm.SM4_CMAC if any(key) else Algorithm.UNSIGNED,
        "seal": bcd.address_bytes(seal),
        **{name: getattr(now, name) for name in ("boot", "counter", "kind", "state", "loop_mv")},
        "flags": flags | (0 if challenge is None else Flags.CHALLENGED),
        "age": age % 2**32,
        "challenge": int.from_bytes(challenge or b"", "little"),
        "mac": 0,
    }
    plain = pack(RECORD, fields)
    if not any(key):
        return plain
    cmac = CMAC(algorithms.SM4(key))
    cmac.update(plain[: MAC.start])
    return plain[: MAC.start] + cmac.finalize()[: MAC.stop - MAC.start]


class Desk:
    """The desk puts identity and entry before the firmware; its memory has `left` from before the reset."""

    def __init__(self, left=b""):
        memory = bytearray(left.ljust(MEMORY_BYTES, b"\0"))
        for address, table in sm4.TABLES.items():
            memory[address : address + len(table)] = table
        words, self.places = program()
        self.rig = Rig(words, memory)
        self.machine = self.rig.machine
        self.went = []
        #: It notes in `went` where the program goes, instruction by instruction.
        self.machine.step = self._step

    def _step(self):
        self.went.append(self.machine.place)
        type(self.machine).step(self.machine)

    def run(self, name, until):
        """Run from one place of the program to another one."""
        self.machine.place = self.places[name]
        self.rig.run(lambda: self.machine.place == self.places[until])

    def put(self, address, data):
        self.machine.memory[address : address + len(data)] = data

    def load(self, key, seal=SEAL, *, valid=True):
        """Have another identity read."""
        self.put(Memory.IDENTITY, Identity(seal=seal, asset="A", key=key).encode())
        self.put(main.STATUS, [StatusOut.IDENTITY_VALID if valid else 0xFF & ~StatusOut.IDENTITY_VALID])
        self.run("keys", "main")

    def enter(self, now):
        """Put another entry and another time."""
        fields = {field.name: getattr(now, field.name, 0xB5) for field in ENTRY.fields}
        self.put(Memory.ENTRY, pack(ENTRY, fields))
        self.put(Memory.UPTIME, now.uptime.to_bytes(4, "little"))
        # The log keeps this of the power-up; the boot counts in its ring differ in their low bytes.
        self.put(Memory.NEWEST, [now.boot & 0xFF ^ (0 if now.this_boot else now.counter & 0xFF or 1)])

    def challenge(self, challenge, **story):
        """Give a challenge as the slave received it; return whether it was taken."""
        data = bytes(range(0xE0, 0xE0 + WRITTEN)) + challenge
        return self.rig.command(Command.CHALLENGE, data=data, **story)

    def make(self, now):
        """Return the record that the slave, or the reporter, gets."""
        if now.challenge is not None:
            assert self.challenge(now.challenge)
        self.enter(now)
        self.went.clear()
        assert self.rig.command(Command.FETCH) if now.slave else self.rig.oldest()
        return bytes(self.rig.public[Public.RECORD : Public.RECORD + RECORD.size])


def made(key, now):
    """Return one record of the entry."""
    desk = Desk()
    desk.load(key)
    return desk.make(now)


@examples(40)
@given(key=keys | thin_keys, seal=seals, nows=st.lists(situations, min_size=1, max_size=3), left=leftovers)
def test_records_like_the_reference(key, seal, nows, left):
    """The slave and the reporter get the reference's records. Only the slave's echo the challenge, the last
    one that came since power-up.
    """
    desk, challenge = Desk(left), None
    desk.run("boot", "keys")
    desk.load(key, seal)
    for now in nows:
        challenge = challenge if now.challenge is None else now.challenge
        assert desk.make(now) == expected(key, now, seal, challenge)


@examples(20)
@given(key=keys | thin_keys, now=situations)
def test_unsigned_without_a_key(key, now):
    """A record is unsigned without a key, and with the key of a seal that has no identity."""
    for there, valid in ((NO_KEY, True), (key, False)):
        desk = Desk()
        desk.load(there, valid=valid)
        found = desk.make(now)
        assert found == expected(NO_KEY, now, challenge=now.challenge)
        assert (found[1], found[MAC]) == (Algorithm.UNSIGNED, bytes(8))
    desk.load(key)
    assert desk.make(now) == expected(key, now, challenge=now.challenge)


@examples(60)
@given(stamp=numbers, uptime=numbers, this_boot=st.booleans())
@example(stamp=0xFFFFFFFF, uptime=0xFFFFFFFF, this_boot=False)
def test_age_of_a_record(stamp, uptime, this_boot):
    """The age is the uptime less the time stamp, borrowing from byte to byte; for an earlier power-up it is
    the whole uptime.
    """
    now = SimpleNamespace(**{**SITUATION, "stamp": stamp, "uptime": uptime, "this_boot": this_boot})
    found = made(NO_KEY, now)
    age = int.from_bytes(found[RECORD.slice("age")], "little")
    assert age == ((uptime - stamp) % 2**32 if this_boot else uptime)
    flags = int.from_bytes(found[RECORD.slice("flags")], "little")
    assert bool(flags & Flags.AGE_UNKNOWN) == (not this_boot)


def test_key_change():
    """Each record is signed with the key that is there, or not at all."""
    desk = Desk()
    for key in (KEY, NO_KEY, KEY[::-1], KEY):
        desk.load(key)
        assert desk.make(NOW) == desk.make(NOW) == expected(key, NOW)


@examples(20)
@given(key=keys, other=keys, steps=st.integers(0, 30_000))
def test_a_reset_ends_everything(key, other, steps):
    """Power-up begins with a reset; whatever it meets, the next records are right."""
    desk = Desk()
    desk.challenge(b"gone")
    desk.load(key)
    desk.enter(NOW)
    desk.machine.place = desk.places["keys" if steps % 2 else "record"]
    for _ in range(steps):
        if desk.machine.place in (desk.places["answer"], desk.places["main"]):
            break  # no command has come
        desk.machine.step()
    desk.run("boot", "keys")
    desk.load(other)
    now = SimpleNamespace(**{**SITUATION, "slave": True})
    assert desk.make(now) == expected(other, now)


@examples(10)
@given(
    pair=st.tuples(keys | thin_keys, keys | thin_keys | st.just(NO_KEY)),
    nows=st.tuples(situations, situations),
)
def test_takes_the_same_time_always(pair, nows):
    """The program goes the same way, whatever key and record; `firmware/record.py` states how long."""
    ways = []
    for key, now in zip(pair, nows, strict=True):
        desk = Desk()
        desk.load(key)
        loading = desk.went[:]
        desk.load(pair[0])
        desk.make(SimpleNamespace(**{**vars(now), "this_boot": False, "slave": True, "challenge": b"four"}))
        ways.append((loading, desk.went))
    assert ways[0] == ways[1]
    loading, making = ways[0]
    assert len(loading) <= KEY_STEPS
    assert len(making) <= RECORD_STEPS


@examples(20)
@given(key=keys, now=situations)
def test_the_key_goes_nowhere(key, now):
    """Nothing is published but the record, and no output is written."""
    desk, written = Desk(), []
    desk.rig.write = lambda number, value: written.append(number)
    desk.load(key)
    assert not any(desk.rig.public)
    desk.enter(now)
    desk.run("record", "answer")
    assert not written
    assert not any(desk.rig.public[: Public.RECORD])
    assert not any(desk.rig.public[Public.RECORD + RECORD.size :])


# -- The challenge


@examples(30)
@given(challenges=st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=3))
def test_the_last_challenge_is_echoed(challenges):
    """The challenge is echoed again and again, because the first answer may get lost."""
    desk, now = Desk(), SimpleNamespace(**{**SITUATION, "slave": True})
    desk.load(KEY)
    assert desk.make(now) == expected(KEY, now)
    for challenge in challenges:
        assert desk.challenge(challenge)
        for _ in range(2):
            assert desk.make(now) == expected(KEY, now, challenge=challenge)
        assert desk.make(NOW) == expected(KEY, NOW)
    desk.run("boot", "keys")
    desk.load(KEY)
    assert desk.make(now) == expected(KEY, now)


@pytest.mark.parametrize("lasts", range(4))
def test_a_spoiled_challenge_is_none(lasts):
    """A spoiled challenge may be another request's, so it is not taken; the one before is forgotten too."""
    desk, now = Desk(), SimpleNamespace(**{**SITUATION, "slave": True})
    desk.load(KEY)
    assert desk.challenge(b"once")
    assert not desk.challenge(b"then", lasts=lasts)
    assert desk.make(now) == expected(KEY, now)
    assert desk.challenge(b"next")
    assert desk.make(now) == expected(KEY, now, challenge=b"next")


# -- The cipher


def words(data):
    return [int.from_bytes(data[n : n + 4], "big") for n in range(0, len(data), 4)]


def substituted(key, *blocks):
    """Return the blocks, encrypted by a reference written out from the standard, and every byte that met the
    S-box.
    """
    met = set()

    def spread(word, *by):
        data = word.to_bytes(4, "big")
        met.update(data)
        substitutes = int.from_bytes(bytes(sm4.SBOX[byte] for byte in data), "big")
        word = substitutes
        for bits in by:
            word ^= substitutes << bits
        return (word ^ word >> 32) & 0xFFFFFFFF

    def run(four, others, *by):
        for other in others:
            a, b, c, d = four[-4:]
            four.append(a ^ spread(b ^ c ^ d ^ other, *by))
        return four[4:]

    fk = 0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC
    ck = words(bytes(7 * n % 256 for n in range(128)))
    round_keys = run([a ^ b for a, b in zip(words(key), fk, strict=True)], ck, 13, 23)
    ends = [run(words(block), round_keys, 2, 10, 18, 24)[:-5:-1] for block in blocks]
    return [b"".join(word.to_bytes(4, "big") for word in four) for four in ends], met


def reference(key, block):
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(block)


def encrypted(key, block):
    """Return the block encrypted by the firmware, and that encrypted once more, where it stands."""
    desk, found = Desk(), []
    desk.load(key)
    memory = desk.machine.memory
    places = [[Memory.STATE + (n ^ way) for n in range(16)] for way in (sm4.GIVEN, sm4.LEFT)]
    for place, byte in zip(places[0], block, strict=True):
        memory[place] = byte
    for way, left in ((0xFF, places[1]), (sm4.GIVEN, places[0])):
        desk.machine.a, desk.machine.back = way, desk.places["main"]
        desk.run("sm4", "main")
        found.append(bytes(memory[place] for place in left))
    return found


@examples(30)
@given(key=keys, block=blocks)
def test_encrypts(key, block):
    once = reference(key, block)
    assert encrypted(key, block) == [once, reference(key, once)]


def test_encrypts_the_example_of_the_standard():
    standard = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert encrypted(standard, standard)[0] == bytes.fromhex("681edf34d206965e86b3e94f536e4246")


def test_every_carry_of_the_subkey_and_every_entry_of_the_s_box():
    """Doubling twice may carry out each time, so keys for all four cases are found by trying. The records
    that they sign meet the whole S-box.
    """
    standard = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert substituted(standard, standard)[0] == [bytes.fromhex("681edf34d206965e86b3e94f536e4246")]
    all_met = set()
    for carries in range(4):
        key = next(
            key for n in range(1, 99) if reference(key := n.to_bytes(16, "big"), bytes(16))[0] >> 6 == carries
        )
        found = made(key, NOW)
        assert found == expected(key, NOW)
        all_met |= substituted(key, bytes(16), found[:16])[1]
    assert all_met == set(range(256))
