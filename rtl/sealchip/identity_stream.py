"""The bytes of an identity on their way from flash: what each one is, what replaces it, what they say."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import BAUD_FEATURE, IDENTITY, PROVISIONING

__all__ = ["ITEMS", "IdentityStream"]

_VERSION, _ANY_METER = 1, 0xAA
#: Number of each field that can be written.
ITEMS = {name: number for number, name in PROVISIONING.items()}
_NO_ITEM = 7
_BLANK = {"version": _VERSION, "meter": _ANY_METER}


class _Role(data.Struct):
    """What one byte of the identity is."""

    #: Number of its field in `interface.PROVISIONING`, or `_NO_ITEM`.
    item: 3
    version: 1
    sequence: 1
    crc: 1
    secret: 1
    #: What a seal without an identity has here.
    blank: 8


def _roles():
    for field in IDENTITY.fields:
        role = {
            "item": ITEMS.get(field.name, _NO_ITEM),
            "secret": int(field.name in ("key", "password")),
            "blank": _BLANK.get(field.name, 0),
        }
        if field.name in ("version", "sequence", "crc"):
            role[field.name] = 1
        yield from [role] * field.width


def _rate_number(word, default):
    """Number in `BAUD_FEATURE`, slowest first, of a baud feature word; `default` when it is none.

    A word has one bit, each rate its own.
    """
    one_low, one_high = (half.matches(1, 2, 4, 8) for half in (word[:4], word[4:]))
    one = (one_low & (word[4:] == 0)) | (one_high & (word[:4] == 0))
    places = [(place, word[feature.bit_length() - 1]) for place, feature in enumerate(BAUD_FEATURE)]
    is_rate = one & Cat(bit for _, bit in places).any()
    number = Cat(Cat(bit for place, bit in places if place >> n & 1).any() for n in range(3))
    return Mux(is_rate, number, default)


class IdentityStream(wiring.Component):
    """Says for each byte read what is to be kept of it, and at the end whether the whole was right.

    With `blank` the bytes are those of a seal without an identity: version 1, any meter, else zero. With
    `patch` the field `item` comes from `content`, and the sequence number is one more.

    *Timing:* `index`, `kept` and `content` have rested for two cycles at each `strobe`. All that is said of
    the whole stands from the cycle behind the last strobe on, until the next `clear`.

    Parameters
    ----------
    default_baud: baud rate when the feature word is none.

    Members
    -------
    clear: strobe before the first byte. strobe, index, i: bytes read.
    blank, patch, item, content: see above. kept: the byte of this place in the memory.
    byte: what is to be kept. secret: it is of key or password. inside: it is of field `item`. crc: it is of
    the CRC, which is not kept right. version_right: the version is. newer: the sequence number is beyond the
    kept one's, modulo 2^16. fits: field `item` is what `content` said.
    baud, seed, has_key, has_address: see `IdentityStore`; from `byte`. The seed is made of the seal's address
    byte by byte: turned left by five bits, and the byte upon it.

    Guarantees: `verif/chip/test_identity_stream.py`; as part of the store, `verif/chip/test_identity.py`.
    """

    def __init__(self, default_baud):
        self._default = list(BAUD_FEATURE.values()).index(default_baud)
        super().__init__(
            {
                "clear": In(1),
                "strobe": In(1),
                "index": In(8),
                "i": In(8),
                "blank": In(1),
                "patch": In(1),
                "item": In(3),
                "content": In(8),
                "kept": In(8),
                "byte": Out(8),
                "secret": Out(1),
                "inside": Out(1),
                "crc": Out(1),
                "version_right": Out(1),
                "newer": Out(1),
                "fits": Out(1),
                "baud": Out(3),
                "seed": Out(16),
                "has_key": Out(1),
                "has_address": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        roles = m.submodules.roles = Memory(shape=_Role, depth=IDENTITY.size, init=_roles())
        read = roles.read_port()
        role = read.data
        base = Signal(8)
        m.d.comb += [
            read.addr.eq(self.index),
            base.eq(Mux(self.blank, role.blank, self.i)),
            self.secret.eq(role.secret),
            self.inside.eq(role.item == self.item),
            self.crc.eq(role.crc),
        ]

        # Sequence numbers go low byte first, so they are subtracted and incremented byte by byte.
        borrow, carry = Signal(), Signal()
        difference, sum_ = Signal(9), Signal(9)
        m.d.comb += [
            difference.eq(self.kept - base - borrow),
            sum_.eq(base + (carry & role.sequence & self.patch)),
            self.byte.eq(Mux(self.inside & self.patch, self.content, sum_)),
        ]
        with m.If(self.strobe & role.sequence):
            m.d.sync += [borrow.eq(difference[8]), self.newer.eq(difference[7]), carry.eq(sum_[8])]

        with m.If(self.strobe):
            with m.If(self.inside & (base != self.content)):
                m.d.sync += self.fits.eq(0)
            with m.If(role.item == ITEMS["seal"]):
                m.d.sync += self.seed.eq(self.seed.rotate_left(5) ^ self.byte)
                with m.If(self.byte != 0):
                    m.d.sync += self.has_address.eq(1)
            with m.If((role.item == ITEMS["key"]) & (self.byte != 0)):
                m.d.sync += self.has_key.eq(1)
            with m.If(role.item == ITEMS["baud"]):
                m.d.sync += self.baud.eq(_rate_number(self.byte, self._default))
            with m.If(role.version):
                m.d.sync += self.version_right.eq(self.byte == _VERSION)
        with m.If(self.clear):
            m.d.sync += [
                *(fact.eq(0) for fact in (borrow, self.seed, self.has_address, self.has_key)),
                *(fact.eq(1) for fact in (carry, self.fits)),
            ]
        return m
