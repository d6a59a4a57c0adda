"""The bytes of a seal record before its MAC, made from the log's loaded entry, the identity and the time."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .interface import ENTRY, IDENTITY, RECORD, RECORD_VERSION, Algorithm, Flags

__all__ = ["RecordSource"]


class _Source(enum.Enum, shape=3):
    """Where one byte of the record comes from; for `CONSTANT`, `offset` is its value."""

    CONSTANT = 0
    IDENTITY = 1
    ENTRY = 2
    #: Uptime less the entry's time stamp.
    AGE = 3
    CHALLENGE = 4
    ALGORITHM = 5


class _Origin(data.Struct):
    source: _Source
    offset: 7


def _origins():
    """(source, offset) of each byte of `RECORD`; the MAC is zero here."""
    constants = {"version": RECORD_VERSION, "mac": 0}
    for field in RECORD.fields:
        for n in range(field.width):
            if field.name in constants:
                yield _Source.CONSTANT, constants[field.name]
            elif field.name == "algorithm":
                yield _Source.ALGORITHM, 0
            elif field.name == "challenge":
                yield _Source.CHALLENGE, n
            elif field.name == "seal":
                yield _Source.IDENTITY, IDENTITY.offsets["seal"] + n
            elif field.name == "age":
                yield _Source.AGE, ENTRY.offsets["stamp"] + n
            else:
                yield _Source.ENTRY, ENTRY.offsets[field.name] + n


class RecordSource(wiring.Component):
    """Byte `index` of the record, three cycles after `index` has changed.

    `start` latches the uptime, so that all bytes of the age belong together. `advance` strobes when the
    byte has been taken; the age is subtracted byte by byte, so the bytes must be taken in order. An entry
    of an earlier power-up has no known age: *age unknown* is set and the age counts from this power-up.

    Members
    -------
    start, index, byte, advance: see above. uptime: seconds. this_boot: the entry is of this power-up.
    signed: the record will have a MAC. challenged, challenge: the record echoes it, first byte lowest.
    entry_address, entry_byte: the log's loaded entry. identity_address, identity_byte: the identity;
    wants_identity says when.

    Guarantees: `verif/chip/test_signer.py::test_records_like_the_reference`, `test_age_of_a_record`; the
    whole in `verif/chip/test_chip_report.py::test_age`,
    `verif/chip/test_chip_power.py::test_event_from_before_power_loss`.
    """

    start: In(1)
    index: In(range(RECORD.size))
    byte: Out(8)
    advance: In(1)
    uptime: In(32)
    this_boot: In(1)
    signed: In(1)
    challenged: In(1)
    challenge: In(32)
    entry_address: Out(range(ENTRY.size))
    entry_byte: In(8)
    wants_identity: Out(1)
    identity_address: Out(range(IDENTITY.size))
    identity_byte: In(8)

    def elaborate(self, platform):
        m = Module()
        origin = Signal(_Origin)
        uptime = Signal(32)
        borrow = Signal()
        difference = Signal(9)

        with m.Switch(self.index):
            for n, (source, offset) in enumerate(_origins()):
                with m.Case(n):
                    m.d.sync += [origin.source.eq(source), origin.offset.eq(offset)]

        flags = Mux(self.this_boot, 0, Flags.AGE_UNKNOWN.value) | Mux(
            self.challenged, Flags.CHALLENGED.value, 0
        )
        stamp = Mux(self.this_boot, self.entry_byte, 0)
        m.d.comb += [
            self.entry_address.eq(origin.offset),
            self.identity_address.eq(origin.offset),
            self.wants_identity.eq(origin.source == _Source.IDENTITY),
            difference.eq(uptime[:8] - stamp - borrow),
        ]
        with m.Switch(origin.source):
            with m.Case(_Source.CONSTANT):
                m.d.comb += self.byte.eq(origin.offset)
            with m.Case(_Source.IDENTITY):
                m.d.comb += self.byte.eq(self.identity_byte)
            with m.Case(_Source.AGE):
                m.d.comb += self.byte.eq(difference)
                with m.If(self.advance):
                    m.d.sync += [uptime.eq(uptime >> 8), borrow.eq(difference[8])]
            with m.Case(_Source.ENTRY):
                m.d.comb += self.byte.eq(
                    self.entry_byte | Mux(self.index == RECORD.offsets["flags"], flags, 0)
                )
            with m.Case(_Source.CHALLENGE):
                challenge = self.challenge.word_select(origin.offset[:2], 8)
                m.d.comb += self.byte.eq(Mux(self.challenged, challenge, 0))
            with m.Case(_Source.ALGORITHM):
                m.d.comb += self.byte.eq(Mux(self.signed, Algorithm.SM4_CMAC, Algorithm.UNSIGNED))
        with m.If(self.start):
            m.d.sync += [uptime.eq(self.uptime), borrow.eq(0)]
        return m
