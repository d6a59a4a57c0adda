"""The record that the chip is about to send: made, signed and kept."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .cmac import MESSAGE_BYTES, Cmac
from .interface import ENTRY, IDENTITY, RECORD
from .record_source import RecordSource

__all__ = ["Signer"]

#: Cycles from a new index to its byte (`RecordSource`).
_FETCH_CYCLES = 3


class Signer(wiring.Component):
    """Makes the record of the log's loaded entry with its age now, signs it, and keeps it until the next.

    Without a key the record says *unsigned* and its MAC is zero.

    *Timing:* `start` is a strobe while not `busy`; `done` is high in the last cycle of `busy`, less than 2000
    cycles later, after a power-up less than 3000. `byte` follows `index` one cycle later. The loaded entry,
    the uptime, the challenge and the key must hold while `busy`.

    Members
    -------
    start, busy, done: see above. uptime_index, uptime, this_boot, challenged, challenge_index, challenge: see
    `RecordSource`.
    entry_address, entry_byte: the log's loaded entry. signs: there is an identity with a key.
    secret_address, secret: the identity's port that has the key. index, byte: the record kept.

    Guarantees
    ----------
    1. The record is that of the reference, and the host verifies its MAC:
       `verif/chip/test_signer.py::test_records_like_the_reference`, `test_age_of_a_record`.
    2. Without a key algorithm and MAC are zero: `test_unsigned_without_a_key`.
    3. It takes as long as said: `test_time`.
    4. The key goes nowhere but into the cipher: `verif/formal/signer.py::the_record_asks_for_no_key`.
    """

    start: In(1)
    busy: Out(1)
    done: Out(1)
    uptime_index: Out(2)
    uptime: In(8)
    this_boot: In(1)
    challenged: In(1)
    challenge_index: Out(2)
    challenge: In(8)
    entry_address: Out(range(ENTRY.size))
    entry_byte: In(8)
    signs: In(1)
    secret_address: Out(range(IDENTITY.size))
    secret: In(8)
    index: In(range(RECORD.size))
    byte: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.source = source = RecordSource()
        m.submodules.cmac = cmac = Cmac()
        m.submodules.record = record = Memory(shape=8, depth=RECORD.size, init=[])
        read, write = record.read_port(), record.write_port()
        index = Signal(range(RECORD.size))
        fetch = Signal(range(_FETCH_CYCLES + 1))
        fetched = fetch == _FETCH_CYCLES
        of_message = index < MESSAGE_BYTES
        m.d.comb += [
            source.index.eq(index),
            source.advance.eq(write.en),
            source.uptime.eq(self.uptime),
            self.uptime_index.eq(source.uptime_index),
            source.this_boot.eq(self.this_boot),
            source.signed.eq(self.signs),
            source.challenged.eq(self.challenged),
            source.challenge.eq(self.challenge),
            self.challenge_index.eq(source.challenge_index),
            self.entry_address.eq(source.entry_address),
            source.entry_byte.eq(self.entry_byte),
            source.identity_byte.eq(self.secret),
            cmac.enable.eq(self.signs),
            cmac.i.payload.eq(source.byte),
            cmac.key.eq(self.secret),
            # The MAC reads its key while it waits for no byte, so never when the record wants the port.
            self.secret_address.eq(
                Mux(
                    source.wants_identity,
                    source.identity_address,
                    IDENTITY.offsets["key"] + cmac.key_address,
                )
            ),
            read.addr.eq(self.index),
            read.en.eq(~write.en),  # as in `Sm4`
            self.byte.eq(read.data),
            write.addr.eq(index),
            write.data.eq(source.byte),
        ]
        with m.FSM(name="state") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                with m.If(self.start):
                    m.next = "make"
            with m.State("make"):
                with m.If(~self.signs):
                    m.d.comb += write.en.eq(fetched)
                with m.Elif(of_message):
                    m.d.comb += [cmac.i.valid.eq(fetched), write.en.eq(fetched & cmac.i.ready)]
                with m.Else():
                    m.d.comb += [
                        cmac.o.ready.eq(1),
                        write.en.eq(cmac.o.valid),
                        write.data.eq(cmac.o.payload),
                    ]
                with m.If(write.en):
                    m.d.sync += [index.eq(index + 1), fetch.eq(0)]
                    with m.If(index == RECORD.size - 1):
                        m.d.sync += index.eq(0)
                        m.next = "done"
                with m.Elif(~fetched):
                    m.d.sync += fetch.eq(fetch + 1)
            with m.State("done"):
                m.d.comb += self.done.eq(1)
                m.next = "idle"
        return m
