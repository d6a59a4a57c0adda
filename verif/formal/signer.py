"""Theorem about the signer: the key goes nowhere but into the cipher."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from formal.theorem import Subject, past, theorem
from sealchip.cmac import MESSAGE_BYTES
from sealchip.microcode import Go, Mode, Row, Source
from sealchip.sign_program import KEY_BASE, PROGRAM, RECORD_BASE, SECRET_BASE, STATE_BASE
from sealchip.signer import Signer
from sealchip.sm4 import BLOCK_BYTES, ROUNDS

from sealchip.interface import IDENTITY, RECORD

_KEY, _SEAL = IDENTITY.slice("key"), IDENTITY.slice("seal")
#: What a byte may be: the key from the identity's port, a byte of the cipher's state, another one that the
#: program has kept, the record's own excepted. Everything else is nobody's secret.
KINDS = ("key", "state", "inner")


def kinds(address, source):
    """Of a byte: whether it is of each of `KINDS`. For numbers and for values alike."""
    kept = (source == Source.MEMORY.value) & (address >= 0x100)
    state = (address >= STATE_BASE) & (address < STATE_BASE + BLOCK_BYTES)
    record = (address >= RECORD_BASE) & (address < RECORD_BASE + RECORD.size)
    identity = (address + SECRET_BASE) % IDENTITY.size
    key = (source == Source.SECRET.value) & (identity >= _KEY.start) & (identity < _KEY.stop)
    return key, kept & state, kept & (state == 0) & (record == 0)


@theorem(
    k=1,
    reach=40,
    parameters="any entry, key, identity and uptime; block RAM that shows zeros at power-up, as on an iCE40",
)
def the_record_asks_for_no_key(m: Module) -> None:
    """Of the identity no byte is taken but of the seal's address and of the key. A sum with a byte of the key
    is kept nowhere but among the words of the key schedule. In the record no byte is kept that comes from
    these, from round keys or subkey; one from an encrypted block only in the place of the MAC.
    """
    signer = Signer()
    dut = Subject(m, signer)
    begun = past(m, Const(1))
    row, address, place = Row(dut.signal("row")), dut.signal("address"), dut.signal("place")
    asked = past(m, address)
    # Reference: what the byte that is taken now is, the one before it, and the sum.
    taken, looked, summed = (Signal(len(KINDS), name=name) for name in ("taken", "looked", "summed"))
    m.d.comb += taken.eq(Cat(kinds(asked, row.source.as_value())) & begun.replicate(len(KINDS)))
    m.d.sync += [
        looked.eq(taken),
        summed.eq((looked & row.adds.any().replicate(len(KINDS))) | Mux(row.clears, 0, summed)),
    ]
    of_key, of_state, inner = summed
    identity = (asked + SECRET_BASE)[:7]
    in_seal = (identity >= _SEAL.start) & (identity < _SEAL.stop)
    in_words = (place >= KEY_BASE) & (place < KEY_BASE + BLOCK_BYTES)
    in_record = row.keeps & (place >= RECORD_BASE) & (place < RECORD_BASE + RECORD.size)
    m.d.comb += [
        Assert(~begun | (past(m, signer.secret_address) == identity)),
        Assert(~begun | (row.source != Source.SECRET) | in_seal | taken[0]),
        Assert(~row.keeps | ~of_key | in_words),
        Assert(~in_record | ~(of_key | inner)),
        Assert(~in_record | ~of_state | (place >= RECORD_BASE + MESSAGE_BYTES)),
        Cover(row.keeps & of_key),
        Cover(in_record & (row.source == Source.SECRET)),
    ]
    # Invariants: the row is one of the program, and has what some way there brings.
    at = Signal(8, name="at")
    m.d.sync += at.eq(dut.signal("following"))
    phase, turn, ways = dut.signal("phase"), dut.signal("turn"), reachable()

    def here(condition: Callable[[State], bool]) -> Value:
        """Whether the program comes to this row with `condition`."""
        rows = {state.at for state in ways if condition(state)}
        return Const(sum(1 << row for row in rows), 256).bit_select(at, 1)

    m.d.comb += [
        Assume(begun | (row.as_value() == 0)),
        Assert(~begun | (row.as_value() == dut.row(at, "program").as_value())),
        Assert(begun | (Cat(at, phase) == 0)),
    ]
    for number in range(4):
        for many in range(2):
            case = (phase == number) & ((turn >= 4) == many)
            come = here(
                lambda state, number=number, many=many: (state.phase, state.turn >= 4) == (number, many)
            )
            m.d.comb += Assert(~case | come)
    for bit in range(len(KINDS)):
        m.d.comb += [
            Assert(~taken[bit] | here(lambda state, bit=bit: state.taken[bit])),
            Assert(~looked[bit] | here(lambda state, bit=bit: state.looked[bit])),
            Assert(~summed[bit] | here(lambda state, bit=bit: state.summed[bit])),
        ]


class State(NamedTuple):
    """The program in one row: how it came there, and what it then has of each kind."""

    at: int
    phase: int
    turn: int
    taken: tuple[bool, ...]
    looked: tuple[bool, ...]
    summed: tuple[bool, ...]


def reachable() -> set[State]:
    """Everything that the program comes to from reset, whatever the conditions are."""
    none = (False,) * len(KINDS)
    begin = State(0, 0, 0, none, none, none)
    found, new = {begin}, [begin]
    while new:
        for state in following(new.pop()):
            if state not in found:
                found.add(state)
                new.append(state)
    return found


def following(state: State) -> Iterator[State]:
    """The states one cycle later."""
    row = PROGRAM[state.at]
    summed = tuple(
        (looked and row.get("adds", 0) != 0) or (kept and not row.get("clears", 0))
        for looked, kept in zip(state.looked, state.summed, strict=True)
    )
    phase, turn = state.phase, (state.turn + row.get("step", 0)) % ROUNDS
    if row.get("enters"):
        phase, turn = row["rotation"], 0
    address = row.get("address", 0)
    match row.get("mode", Mode.NOTHING):
        case Mode.WORD:
            word = state.turn ^ 3 * (state.phase & 1)
            address = address & ~0b1100 | (address + 4 * word) & 0b1100
        case Mode.TURN:
            address = address & ~0b1100 | (address + 4 * state.turn) & 0b1100 | state.turn >> 2 << 4
    match row.get("go", Go.ON):
        case Go.ON:
            ways = [0]
        case Go.BY_PHASE:
            ways = [state.phase]
        case Go.IF_LAST_TURN:
            ways = [int(state.turn == ROUNDS - 1)]
        case Go.IF_LAST_WORD:
            ways = [int(state.turn % 4 == 3)]
        case _:
            ways = [0, 1]
    for way in ways:
        then = row["next"] | way
        source = PROGRAM[then].get("source", Source.MEMORY).value
        yield State(then, phase, turn, tuple(map(bool, kinds(address, source))), state.taken, summed)
