"""All paths of a program are followed, and a firmware that does what it must not do is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st

from sealchip.core.assembler import Assembler, Operand, at, imm, indexed, port
from sealchip.core.firmware import log
from sealchip.core.firmware.layout import Out
from sealchip.core.processor import MEMORY_BYTES, Op, Port, Source
from sealchip.interface import ENTRY
from verif.benches.block import examples
from verif.formal.chip import SECRET, Chip, Claim, Program
from verif.formal.firmware import FIRMWARE_THEOREMS, FirmwareTheorem, check
from verif.formal.paths import Paths, Refused, Rules, State, Step, must, steps
from verif.formal.sby import NotProvedError
from verif.formal.terms import Label as Secrecy
from verif.formal.terms import Value, bits, fresh, some, truth
from verif.models.processor import Machine

BYTES = st.integers(0, 255)
#: Addresses that the programs use.
USED = range(4)
END = "end"


class Inputs(Rules):
    """Records the inputs, and the states in which the program ends."""

    def __init__(self, end: int) -> None:
        self.cuts = {end: END}
        self.ends: list[State] = []

    def arrives(self, state: State, name: str) -> None:
        self.ends.append(state)

    def input(self, state: State, number: int) -> Value:
        value = fresh()
        state.seen["came"] = (*state.seen.get("came", ()), value)
        return value


class Told:
    """Surroundings with inputs that are known in advance."""

    def __init__(self, told: list[int]) -> None:
        self.told = list(told)

    def read(self, number: int, x: int) -> int:
        return self.told.pop(0)

    def write(self, number: int, value: int) -> None:
        pass


@st.composite
def programs(draw: st.DrawFn) -> Assembler:
    """Draw a program of straight instructions, conditions over some of them, loops and calls."""
    a = Assembler()
    operands = st.one_of(
        st.sampled_from(USED).map(at),
        st.sampled_from(USED).map(indexed),
        BYTES.map(imm),
        st.just(port(5)),
    )
    computes = st.sampled_from([a.load, a.xor, a.and_, a.add, a.subtract, lambda it: a.add(it, carry=True)])
    conditions = st.sampled_from([a.if_zero, a.if_not_zero, a.if_carry, a.if_no_carry])

    def straight() -> None:
        for _ in range(draw(st.integers(1, 4))):
            if draw(st.booleans()):
                draw(computes)(draw(operands))
            else:
                a.store(at(draw(st.sampled_from(USED))))

    def part(number: int) -> None:
        straight()
        match draw(st.integers(0, 2)):
            case 0:
                over = f"over {number}"
                draw(conditions)(over)
                straight()
                a.label(over)
            case 1:
                with a.each(0x10, range(draw(st.integers(1, 3)))):
                    straight()
            case 2:
                a.call("part")

    a.load(imm(0))
    a.out(Port.X)
    for number in range(draw(st.integers(1, 4))):
        part(number)
    a.jump(END)
    a.label("part")
    straight()
    draw(conditions)("back")
    straight()
    a.label("back")
    a.return_()
    a.label(END)
    a.jump(END)
    return a


@given(
    programs(),
    st.lists(BYTES, min_size=len(USED), max_size=len(USED)),
    st.lists(BYTES, min_size=60, max_size=60),
)
@examples(60)
def test_no_path_is_missed(a: Assembler, memory: list[int], told: list[int]) -> None:
    """Whatever the bytes, one of the followed paths ends where the model ends, with the same bytes."""
    end = a.places()[END]
    rules = Inputs(end)
    unknown: list[Value] = [fresh() if address in USED else 0 for address in range(MEMORY_BYTES)]
    Paths(steps(a.words()), rules).follow(State(0, unknown.copy()))

    content = bytearray([*memory, *bytes(MEMORY_BYTES - len(USED))])
    machine = Machine(a.words(), content, Told(told))
    while machine.place != end:
        machine.step()

    def fits(state: State) -> bool:
        solver = z3.Solver()
        solver.add(*map(truth, state.given))
        solver.add(*(bits(unknown[address]) == memory[address] for address in USED))
        solver.add(*(bits(it) == byte for it, byte in zip(state.seen.get("came", ()), told, strict=False)))
        solver.add(*(bits(state.memory[address]) == content[address] for address in USED))
        solver.add(bits(state.a) == machine.a, truth(state.c) == bool(machine.carry))
        return solver.check() == z3.sat

    assert any(map(fits, rules.ends))


class Waits(Inputs):
    """Gives unknown inputs and records none of them."""

    def input(self, state: State, number: int) -> Value:
        return fresh()


def test_a_loop_that_waits_is_closed() -> None:
    """A loop that waits for a bit may wait for ever, and after it only the bit is known."""
    a = Assembler()
    again = a.label()
    a.load(port(1))
    a.and_(imm(4))
    a.if_zero(again)
    a.label(END)
    a.jump(END)
    rules = Waits(a.places()[END])
    Paths(steps(a.words()), rules).follow(State(0, [0] * MEMORY_BYTES))
    for state in rules.ends:
        must(state, bits(state.a) == 4, "the bit is there")
        with pytest.raises(Refused, match="not so"):
            must(state, z3.BoolVal(val=False), "nothing comes")


def _secret(a: Assembler) -> None:
    a.load(at(0))
    a.if_zero(END)


def _nowhere(a: Assembler) -> None:
    a.out(Out.X)
    a.load(port(0))
    a.out(Out.X)
    a.store(indexed(0))


def _for_ever(a: Assembler) -> None:
    again = a.label()
    a.load(at(1))
    a.add(port(0))
    a.store(at(1))
    a.jump(again)


def _nested(a: Assembler) -> None:
    a.call("inner")
    a.label("inner")
    a.call(END)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (_secret, "a jump depends on what is SECRET"),
        (_nowhere, "nobody knows where"),
        (_for_ever, "does not come to an end"),
        (_nested, "a call within a call"),
        (Assembler.return_, "a return from nowhere"),
        (lambda a: a.load(imm(0)), "out of the program"),
    ],
)
def test_what_cannot_be_followed(
    write: Callable[[Assembler], None], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verif.formal.paths._TOO_MANY", 500)
    a = Assembler()
    write(a)
    a.label(END)
    memory: list[Value] = [some(Secrecy.SECRET), *[0] * (MEMORY_BYTES - 1)]
    with pytest.raises(Refused, match=complaint):
        Paths(steps(a.words()), Rules()).follow(State(0, memory))


# The firmware, with one instruction changed


def changed(near: str, old: Step, new: Step | None) -> Program:
    """Return the chip's firmware with the first instruction `old` after `near` replaced, or left out."""
    program = Program.of_chip()

    def known(it: Step) -> Step:
        return it._replace(operand=program.places.get(it.operand, it.operand))

    place = program.steps.index(known(old), program.places[near])
    program.steps[place] = known(new or Step(Op.AND, Source.IMMEDIATE, 0xFF))
    return program


def load(operand: Operand) -> Step:
    return Step(Op.LOAD, operand.source, operand.number)


def xor(operand: Operand) -> Step:
    return Step(Op.XOR, operand.source, operand.number)


def jump(op: Op, to: str) -> Step:
    return Step(op, Source.DIRECT, to)


def out(port: Out) -> Step:
    return Step(Op.OUT, Source.DIRECT, port)


#: Name near the change, old and new instruction; job and origin of the paths; theorem that fails.
WRONG = {
    "the flash is not waited for": (
        *("flash.finish", Step(Op.AND, Source.IMMEDIATE, 1), load(imm(0))),
        *("log.acknowledge", "main", None),
    ),
    "another byte is acknowledged": (
        *("log.acknowledge", xor(imm(ENTRY.offsets["acked"])), xor(imm(ENTRY.offsets["kind"]))),
        *("log.acknowledge", "main", "flash_is_written_where_it_may"),
    ),
    "what was not loaded is acknowledged": (
        *("log.acknowledge", load(at(log._LOADED)), load(imm(1))),
        *("log.acknowledge", "main", "acknowledged_only_on_command"),
    ),
    "an event is taken before it is written": (
        *("log.append", load(at(log._HEAD)), out(Out.EVENT)),
        *("log.append", "main", "events_are_written_and_counted"),
    ),
    "events are not counted": (
        *("log.append", jump(Op.CALL, "log.count"), None),
        *("log.append", "main", "events_are_written_and_counted"),
    ),
    "any entry counts as the newest": (
        *("log.restore", jump(Op.JUMP_CARRY, "scanned"), None),
        *("", "scan", "events_are_written_and_counted"),
    ),
    "spoiled DATA is written": (
        *("identity.patch", jump(Op.JUMP_NOT_ZERO, "identity.load"), None),
        *("identity.update", "main", "identity_is_written_only_on_command"),
    ),
    "the key is published": (
        *("identity.take", jump(Op.JUMP_ZERO, "identity.secret"), None),
        *("", "boot", "key_and_password_are_never_public"),
    ),
    "the key says where to go": (
        *("keys", Step(Op.ADD, Source.IMMEDIATE, 0xFF), jump(Op.JUMP_ZERO, "identity.loaded")),
        *("", "boot", "no_time_depends_on_the_key"),
    ),
    "a byte of the password is not compared": (
        *("identity.check", Step(Op.ADD_CARRY, Source.IMMEDIATE, 0xFF), Step(Op.ADD, Source.IMMEDIATE, 0xFF)),
        *("identity.check", "main", "accepted_only_with_the_password"),
    ),
    "a torn entry is read for ever": (
        *("log.oldest", jump(Op.CALL, "log.up"), None),
        *("log.oldest", "oldest", "every_job_ends"),
    ),
    "a torn entry is told": (
        *("log.oldest", jump(Op.JUMP_ZERO, "record"), jump(Op.JUMP, "record")),
        *("log.oldest", "oldest", "the_record_is_of_the_entry"),
    ),
}


@pytest.mark.formal
@pytest.mark.parametrize(("near", "old", "new", "job", "origin", "theorem"), WRONG.values(), ids=WRONG)
def test_a_firmware_that_is_wrong_is_refused(
    near: str, old: Step, new: Step | None, job: str, origin: str, theorem: str | None
) -> None:
    """A changed firmware is refused by the theorem named, or by the shared rules where none is named."""
    alone = {it.name: it.job for it in FIRMWARE_THEOREMS}.get(theorem)
    claims = {it.claim: it.name for it in FIRMWARE_THEOREMS if it.job == alone}
    chip = Chip(changed(near, old, new), claims, jobs=[job], secret=() if alone else SECRET)
    if theorem is None:
        with pytest.raises(Refused):
            chip.follow(origin)
        return
    with suppress(Refused):  # it may also do what none of the theorems allows
        chip.follow("boot", origin)
    assert theorem in [claims[claim] for claim in chip.refused]


class Covered(Claim):
    def __init__(self, *covers: str) -> None:
        self.covers = covers


@pytest.mark.formal
@pytest.mark.parametrize(
    ("claim", "complaint"), [(Covered(), "has no covers"), (Covered("a wonder"), "not met.*a wonder")]
)
def test_what_does_not_prove_the_firmware_is_refused(claim: Covered, complaint: str) -> None:
    with pytest.raises(NotProvedError, match=complaint):
        check(FirmwareTheorem(lambda: claim, "none"))
