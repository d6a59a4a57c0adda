"""The bytes of a seal record before its MAC, made from the log's loaded entry, the identity and the time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import ENTRY, IDENTITY, RECORD, RECORD_VERSION, Algorithm, Flags

__all__ = ["RecordSource"]


class _Source(enum.Enum, shape=2):
    """Where one byte of the record comes from."""

    IDENTITY = 0
    ENTRY = 1
    #: Uptime less the entry's time stamp.
    AGE = 2
    #: What the record has of its own: bit 0 from this table, the algorithm, the challenge.
    OWN = 3


class _Origin(data.Struct):
    source: _Source
    #: Of identity, entry or challenge.
    offset: 7
    #: The bits of this byte of OWN: a constant, whether there is a signature, a byte of the challenge.
    one: 1
    algorithm: 1
    challenge: 1
    #: The entry's byte with the flags that the record adds.
    flags: 1


def _origins():
    """The origin of each byte of `RECORD`; the MAC is zero here."""
    added = {flag.value.bit_length() - 1 for flag in (Flags.AGE_UNKNOWN, Flags.CHALLENGED)}
    if max(added) > 7 or (RECORD_VERSION, Algorithm.SM4_CMAC) != (1, 1):
        raise ValueError("the table below has one bit for version and algorithm, one byte for the flags")
    for field in RECORD.fields:
        for n in range(field.width):
            match field.name:
                case "version":
                    yield {"source": _Source.OWN, "one": 1}
                case "algorithm":
                    yield {"source": _Source.OWN, "algorithm": 1}
                case "challenge":
                    yield {"source": _Source.OWN, "challenge": 1, "offset": n}
                case "mac":
                    yield {"source": _Source.OWN}
                case "seal":
                    yield {"source": _Source.IDENTITY, "offset": IDENTITY.offsets["seal"] + n}
                case "age":
                    yield {"source": _Source.AGE, "offset": ENTRY.offsets["stamp"] + n}
                case name:
                    flags = name == "flags" and n == 0
                    yield {"source": _Source.ENTRY, "offset": ENTRY.offsets[name] + n, "flags": flags}


class RecordSource(wiring.Component):
    """Byte `index` of the record, three cycles after `index` has changed.

    `advance` strobes when the byte has been taken; the age is subtracted byte by byte, so the bytes must be
    taken in order, and the uptime must not change meanwhile. An entry of an earlier power-up has no known
    age: *age unknown* is set and the age counts from this power-up.

    Members
    -------
    index, byte, advance: see above. uptime_index, uptime: byte of the seconds since power-up, low byte first,
    one cycle later. this_boot: the entry is of this power-up.
    signed: the record will have a MAC. challenged: the record echoes a challenge. challenge_index, challenge:
    byte of it, one cycle later.
    entry_address, entry_byte: the log's loaded entry. identity_address, identity_byte: the identity;
    wants_identity says when.

    Guarantees: `verif/chip/test_signer.py::test_records_like_the_reference`, `test_age_of_a_record`; the
    whole in `verif/chip/test_chip_report.py::test_age`,
    `verif/chip/test_chip_power.py::test_event_from_before_power_loss`.
    """

    index: In(range(RECORD.size))
    byte: Out(8)
    advance: In(1)
    uptime_index: Out(2)
    uptime: In(8)
    this_boot: In(1)
    signed: In(1)
    challenged: In(1)
    challenge_index: Out(2)
    challenge: In(8)
    entry_address: Out(range(ENTRY.size))
    entry_byte: In(8)
    wants_identity: Out(1)
    identity_address: Out(range(IDENTITY.size))
    identity_byte: In(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = Memory(
            shape=_Origin, depth=RECORD.size, init=list(_origins()), attrs={"rom_block": True}
        )
        read = table.read_port()
        origin = read.data
        borrow = Signal()
        difference = Signal(9)
        m.d.comb += [
            read.addr.eq(self.index),
            self.entry_address.eq(origin.offset),
            self.identity_address.eq(origin.offset),
            self.wants_identity.eq(origin.source == _Source.IDENTITY),
            self.uptime_index.eq(origin.offset - ENTRY.offsets["stamp"]),
            self.challenge_index.eq(origin.offset),
            difference.eq(self.uptime - Mux(self.this_boot, self.entry_byte, 0) - borrow),
        ]
        with m.Switch(origin.source):
            with m.Case(_Source.IDENTITY):
                m.d.comb += self.byte.eq(self.identity_byte)
            with m.Case(_Source.ENTRY):
                unknown_age = Mux(self.this_boot, 0, Flags.AGE_UNKNOWN.value)
                flags = unknown_age | Mux(self.challenged, Flags.CHALLENGED.value, 0)
                m.d.comb += self.byte.eq(self.entry_byte | Mux(origin.flags, flags, 0))
            with m.Case(_Source.AGE):
                m.d.comb += self.byte.eq(difference)
            with m.Case(_Source.OWN):
                echo = Mux(origin.challenge & self.challenged, self.challenge, 0)
                own = origin.one | (origin.algorithm & self.signed)
                m.d.comb += self.byte.eq(echo | Cat(own))
        with m.If(self.advance):
            m.d.sync += borrow.eq((origin.source == _Source.AGE) & difference[8])
        return m
