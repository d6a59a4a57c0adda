"""The record that the chip is about to send: made, signed and kept."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .cmac import MESSAGE_BYTES
from .interface import ENTRY, IDENTITY, RECORD
from .microcode import GROUPS, ROTATIONS, Go, Row, Source
from .record_source import UPTIME_BASE
from .sign_program import MEMORY, PROGRAM, RECORD_BASE, SECRET_BASE
from .sm4 import ROUNDS, SBOX

__all__ = ["Signer"]


class Signer(wiring.Component):
    """Makes the record of the log's loaded entry with its age now, signs it, and keeps it until the next.

    Without a key the record says *unsigned* and its MAC is zero. All is done a byte at a time by a program
    in block RAM: a byte of the memory, or of one of the ports, goes through the S-box or not, is rotated, and
    some groups of its bits are added to the sum. The sum goes back into the memory.

    *Timing:* `start` is a strobe; the record is made once the signer has nothing else to do, and that is
    within 80 cycles where it is idle; `done` strobes then. Loaded entry, uptime and challenge must hold while
    `making`, `signs` and the key while `busy`. The MAC follows within 3300 cycles, its bytes alone are not
    `ready` until then. A new key is prepared within 3400 cycles after `signs` has risen. None of these times
    depends on the key or on what is signed.
    `byte` follows `index` one cycle later. Program, S-box and constants are in block RAM, which an iCE40
    reads as zero for about 3 µs after configuration: the signer is idle then.
    *Errors:* none. It does not hide its power consumption: who can measure that needs a masked S-box.

    Members
    -------
    start, making, done, busy, ready: see above. uptime_index, uptime: byte of the seconds since power-up, low
    byte first, one cycle later. this_boot: the entry is of this power-up. challenged: the record echoes a
    challenge. challenge_index, challenge: byte of it, one cycle later. entry_address, entry_byte: the log's
    loaded entry. signs: there is an identity with a key. secret_address, secret: the identity's port that has
    the key. index, byte: the record kept.

    Guarantees
    ----------
    1. The record is that of the reference, and the host verifies its MAC:
       `verif/chip/test_signer.py::test_records_like_the_reference`, `test_age_of_a_record`,
       `test_key_change`, `test_every_carry_of_the_subkey_and_every_entry_of_the_s_box`. A reset ends what was
       begun: `test_a_reset_ends_everything`.
    2. Without a key algorithm and MAC are zero: `test_unsigned_without_a_key`.
    3. It takes as long as said, whatever key and record: `test_takes_the_same_time_always`.
    4. No byte of a MAC is `ready` before it is made: `test_bytes_are_ready_when_they_are_made`.
    5. The key goes nowhere but into the cipher: `verif/formal/signer.py::the_record_asks_for_no_key`.
    """

    start: In(1)
    making: Out(1)
    done: Out(1)
    busy: Out(1)
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
    ready: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = Memory(shape=Row, depth=len(PROGRAM), init=PROGRAM)
        m.submodules.memory = memory = Memory(
            shape=8, depth=len(MEMORY), init=MEMORY, attrs={"no_rw_check": True}
        )
        m.submodules.sbox = sbox = Memory(shape=8, depth=512, init=SBOX + bytes(range(256)))
        fetch, substitute = program.read_port(), sbox.read_port()
        read, keep, record = memory.read_port(), memory.write_port(), memory.read_port()
        row = Signal(Row)
        following = Signal(len(row.next))
        turn = Signal(range(ROUNDS))
        phase = Signal(2)
        sum_ = Signal(8)

        # Program
        last_word = turn[:2].all()
        ways = Array(
            {
                Go.ON: Const(0),
                Go.IF_SIGNS: self.signs,
                Go.IF_WOKEN: self.making | (self.signs ^ phase[1]),
                Go.IF_LAST_TURN: last_word & turn[2:].all(),
                Go.IF_LAST_WORD: last_word,
                Go.IF_THIS_BOOT: self.this_boot,
                Go.IF_CHALLENGED: self.challenged,
                Go.BY_PHASE: phase[0],
            }[go]
            for go in Go
        )
        m.d.comb += [
            row.eq(fetch.data),
            # What a memory reads first is unknown, and its register has no reset: the program begins at 0.
            fetch.addr.eq(Mux(ResetSignal(allow_reset_less=True), 0, following)),
            following.eq(row.next | Cat(ways[row.go.as_value()], (row.go == Go.BY_PHASE) & phase[1])),
            self.done.eq(row.made & self.making),
            self.busy.eq(~row.idle | self.making),
            self.ready.eq(row.idle | (self.index < MESSAGE_BYTES)),
        ]
        with m.If(self.start):
            m.d.sync += self.making.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.making.eq(0)
        with m.If(row.enters):
            m.d.sync += [phase.eq(row.rotation), turn.eq(0)]
        with m.Elif(row.step):
            m.d.sync += turn.eq(turn + 1)

        # Bytes in
        address = Signal(range(len(MEMORY)))
        given = Array(
            {
                Source.MEMORY: read.data,
                Source.SECRET: self.secret,
                Source.ENTRY: self.entry_byte,
                Source.CHALLENGE: self.challenge,
            }[source]
            for source in Source
        )
        m.d.comb += [
            address.eq(_moved(row.address, row.mode, turn, phase)),
            read.addr.eq(address),
            self.secret_address.eq(address + SECRET_BASE),
            self.entry_address.eq(address),
            self.challenge_index.eq(address),
            self.uptime_index.eq(address - UPTIME_BASE),
            substitute.addr.eq(Cat(given[row.source.as_value()], row.plain)),
        ]

        # Sum
        rotated = Array(substitute.data.rotate_left(bits) for bits in ROTATIONS)[row.rotation]
        adds = Cat(row.adds[n].replicate(group.stop - group.start) for n, group in enumerate(GROUPS))
        m.d.sync += sum_.eq(Mux(row.clears, 0, sum_) ^ (rotated & adds))

        # Bytes out: an age is the uptime less the sum, bit by bit.
        place = Signal(range(len(MEMORY)))
        borrow = Signal()  # of the byte before
        borrows = Signal(9)
        m.d.comb += borrows[0].eq(borrow & row.ages)
        for bit in range(8):
            here = Mux(self.uptime[bit], sum_[bit] & borrows[bit], sum_[bit] | borrows[bit])
            m.d.comb += borrows[bit + 1].eq(here & row.ages)
        m.d.comb += [
            place.eq(_moved(Cat(row.place, 1), row.place_mode, turn, phase)),
            keep.addr.eq(place),
            keep.data.eq(sum_ ^ (self.uptime & row.ages.replicate(8)) ^ borrows[:8]),
            keep.en.eq(row.keeps),
        ]
        with m.If(row.keeps):
            m.d.sync += borrow.eq(borrows[8])

        # The program never reads what it writes in the same cycle, nor `index` what is not made.
        m.d.comb += [record.addr.eq(RECORD_BASE | self.index), self.byte.eq(record.data)]
        return m


def _moved(address, mode, turn, phase):
    """The address of a row in this turn."""
    bits = mode.as_value()
    word = Mux(bits[1], turn[:2], turn[:2] ^ phase[0].replicate(2))
    return Cat(
        address[:2],
        (address[2:4] + Mux(bits[0], word, 0))[:2],
        address[4:7] | Mux(bits[1], turn[2:], 0),
        address[7:],
    )
