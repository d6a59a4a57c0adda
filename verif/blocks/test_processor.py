"""Tests of the processor against its model, instruction by instruction, and of its assembler."""

from __future__ import annotations

import hashlib
from random import Random
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, ResetInserter, Signal
from hypothesis import given
from hypothesis import strategies as st

from sealchip.core.assembler import Assembler, at, imm, indexed, port
from sealchip.core.processor import MEMORY_BYTES, Instruction, Op, Port, Processor, Source
from verif.benches.block import Bench, examples
from verif.models.processor import Machine

#: A program stands in each page, so a jump goes on wherever it leads to; the values that it loads differ.
PAGES, PAGE = 4, 1024
#: No two neighbours are alike.
MEMORY = hashlib.shake_128(b"memory").digest(MEMORY_BYTES)
JUMPS = [Op.JUMP, Op.CALL, Op.JUMP_ZERO, Op.JUMP_NOT_ZERO, Op.JUMP_CARRY, Op.JUMP_NO_CARRY]


class Lab(Processor):
    """The processor has a program that can be exchanged, and a reset."""

    def __init__(self):
        super().__init__([0] * (PAGES * PAGE), MEMORY)
        self.rst = Signal()

    def elaborate(self, platform):
        m = super().elaborate(platform)
        self.words, self.bytes = m.submodules.program.data, m.submodules.memory.data
        return ResetInserter(self.rst)(m)


BENCH = Bench(Lab)

addresses = st.sampled_from([0, 1, 0xFF, 0x100, 0x155, 0x2AA, 0x300, 0x3FF]) | st.integers(0, 0x3FF)
values = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 0xFF)


def instruction(op, source=Source.DIRECT, operand=0):
    return Instruction.const({"op": op, "source": source, "operand": operand}).as_value().value


def loads(value):
    return instruction(Op.LOAD, Source.IMMEDIATE, value)


@st.composite
def pieces(draw, op, source):
    """Draw the instruction after some that give A, C and X any value, and before one that shows C in A."""
    x, a, b = draw(values), draw(values), draw(values)
    operand = draw(st.integers(0, 24) if op in JUMPS else addresses)
    return [
        loads(x),
        instruction(Op.OUT, operand=Port.X.value),
        loads(a),
        instruction(draw(st.sampled_from([Op.ADD, Op.SUBTRACT])), Source.IMMEDIATE, b),
        instruction(op, source, operand),
        instruction(Op.ADD_CARRY, Source.IMMEDIATE),
    ]


def every_source(op):
    """Draw `op` with each source. An output has its number from the instruction alone."""
    sources = [Source.DIRECT] if op == Op.OUT else Source
    return st.tuples(*(pieces(op, source) for source in sources)).map(
        lambda each: [word for piece in each for word in piece]
    )


#: A story states in which cycles there is a hold, what the inputs are, and when there is a reset.
stories = st.fixed_dictionaries(
    {
        "holds": st.just(0) | st.integers(0, 2**31 - 1),
        "inputs": st.binary(min_size=17, max_size=17),
        "resets": st.just(set()) | st.sets(st.integers(0, 150), max_size=2),
    }
).map(lambda fields: SimpleNamespace(**fields))


QUIET = SimpleNamespace(holds=0, inputs=bytes(range(0x31, 0x31 + 17)), resets=())


class World:
    """The model reads inputs as they are in this cycle, and what it writes to the outputs is collected."""

    def __init__(self):
        self.i = None
        self.written = []

    def read(self, number, x):
        return self.i

    def write(self, number, value):
        self.written.append((number, value))


async def in_every_page(ctx, program, story, cycles):
    """Run processor and model, both with `program` in every page, and zeros after it."""
    dut, words = BENCH.dut, [0] * (PAGES * PAGE)
    for page in range(PAGES):
        for n, word in enumerate(program, page * PAGE):
            words[n] = word ^ page if word & ~0xFF == loads(0) else word
            ctx.set(dut.words[n], Instruction.from_bits(words[n]))
    machine = await lockstep(ctx, dut, words, story, cycles)
    assert bytes(ctx.get(dut.bytes[n]) for n in range(MEMORY_BYTES)) == machine.memory


async def lockstep(ctx, dut, words, story, cycles):
    """Run processor and model side by side; return the model as it is then."""
    world = World()
    machine = Machine(words, bytearray(MEMORY), world)
    written, public = [], bytearray(len(machine.public))
    # After a reset there is no instruction for two cycles, more with a hold.
    second = begun = False
    given = Cat(dut.hold, dut.i, *([dut.rst] if story.resets else []))
    seen = Cat(dut.out, dut.publish, dut.address, dut.a, dut.x)
    for cycle in range(cycles):
        hold, world.i = story.holds >> cycle % 31 & 1, story.inputs[cycle % 17]
        # They are set together, because the simulator works at each change.
        ctx.set(given, (cycle in story.resets) << 9 | world.i << 1 | hold)
        out, publish, address, a, x = split(ctx.get(seen))
        assert (a, x) == (machine.a, machine.x)
        advances = second and not hold
        executes = advances and begun
        assert executes or not (out or publish)
        if begun:
            word = words[machine.place]
            assert address == word & 0x3FF ^ (x if word >> 10 & 3 == Source.INDEXED.value else 0)
        if executes:
            before = machine.place
            machine.step()
            assert out == (words[before] >> 12 == Op.OUT.value)
        if out and address not in (Port.X.value, Port.RETURN.value):
            written.append((address, a))
        if publish:
            public[address & 0xFF] = a
        assert (written, public) == (world.written, machine.public)
        await ctx.tick()
        begun, second = begun or advances, not advances
        if cycle in story.resets:
            begun = second = False
            machine.place = machine.back = machine.a = machine.x = machine.carry = 0
    return machine


def split(seen):
    return seen & 1, seen >> 1 & 1, seen >> 2 & 0x3FF, seen >> 12 & 0xFF, seen >> 20


def check(program, story, cycles=160):
    BENCH.run(lambda ctx: in_every_page(ctx, program, story, cycles))


@pytest.mark.parametrize("op", Op)
@examples(30)
@given(data=st.data())
def test_each_instruction_like_the_machine(op, data):
    """Each instruction agrees with each source, whatever A, C, X and memory are: in memory, inputs and
    outputs, with holds and resets.
    """
    check(data.draw(every_source(op)), data.draw(stories))


steps = st.one_of(
    st.builds(instruction, st.sampled_from(JUMPS), st.sampled_from(Source), st.integers(0, 12)),
    st.builds(instruction, st.sampled_from([op for op in Op if op not in JUMPS]), operand=st.integers(0, 3)),
    values.map(loads),
)


@examples(120)
@given(program=st.lists(steps, min_size=1, max_size=12), story=stories)
def test_programs_like_the_machine(program, story):
    """Short programs that jump, call and return to and fro agree with the model."""
    check(program, story)


@pytest.mark.parametrize("op", [op for op in JUMPS if op != Op.CALL])
@pytest.mark.parametrize("taken", [4, 5])
def test_only_a_call_is_returned_from(op, taken):
    """A return goes back to the word after the call, whatever jumps there are on the way."""
    back, stay = instruction(Op.OUT, operand=Port.RETURN.value), 3
    program = [instruction(Op.CALL, operand=4), loads(0xA5), instruction(Op.OUT, operand=7)]
    program += [instruction(Op.JUMP, operand=stay), instruction(op, operand=taken + 1), back, back]
    check(program, QUIET, cycles=20)


@pytest.mark.parametrize("source", Source)
def test_returns_to_the_page_of_the_call(source):
    """`source` is the upper bits of a jump's target; what is loaded shows the page."""
    back, stay = instruction(Op.OUT, operand=Port.RETURN.value), instruction(Op.JUMP, source, 3)
    program = [instruction(Op.JUMP, source, 1), instruction(Op.CALL, operand=4), loads(0xA5), stay, back]
    check(program, QUIET, cycles=20)


@pytest.mark.parametrize("cycle", range(36))
def test_a_reset_ends_everything(cycle):
    """A reset ends everything wherever it comes; the memory stays as it is."""
    program = [instruction(Op.LOAD, operand=0x17)]
    program += [loads(0x80), instruction(Op.OUT), instruction(Op.ADD, Source.IMMEDIATE, 0x91)]
    program += [instruction(op, operand=0x17) for op in (Op.STORE, Op.PUBLISH, Op.OUT)]
    program += [instruction(Op.CALL, operand=9), 0, instruction(Op.ADD_CARRY, Source.INPUT, 9)]
    program += [instruction(Op.STORE, operand=0x18), instruction(Op.OUT, operand=Port.RETURN.value)]
    check(program, SimpleNamespace(**{**vars(QUIET), "resets": {cycle}}), cycles=70)


def a_long_program(seed):
    """Return all instructions, over and over, in a random order; in the end the program begins again."""
    chance, program = Random(seed), []

    def add(op, source=Source.DIRECT, operand=0):
        program.append(instruction(op, source, operand))

    while len(program) < PAGE - 32:
        add(Op.LOAD, Source.IMMEDIATE, chance.choice([0, 1, 0x80, 0xFF, chance.randrange(256)]))
        if chance.random() < 0.3:
            add(Op.OUT, operand=Port.X.value)
        for _ in range(chance.randrange(4)):
            op = chance.choice([op for op in Op if op not in JUMPS and op != Op.OUT])
            add(op, chance.choice(list(Source)), chance.randrange(MEMORY_BYTES))
        add(Op.OUT, operand=chance.randrange(2, 16))
        # It jumps over one or two instructions, or does not; or it goes there and back.
        jump, there = chance.choice(JUMPS), len(program) + chance.randrange(2, 4)
        if jump == Op.CALL:
            add(Op.CALL, operand=len(program) + 2)
            add(Op.JUMP, operand=len(program) + 3)
            add(chance.choice([Op.ADD, Op.SUBTRACT]), Source.IMMEDIATE, chance.randrange(256))
            add(Op.OUT, operand=Port.RETURN.value)
        else:
            add(jump, operand=there)
            add(Op.ADD_CARRY, Source.IMMEDIATE, chance.randrange(256))
            add(Op.SUBTRACT_CARRY, Source.IMMEDIATE, chance.randrange(256))
    add(Op.JUMP)
    return program


LONG = a_long_program(1)
FIXED = Bench(lambda: Processor(LONG, MEMORY))


@pytest.mark.parametrize("holds", [0, 0x2CF1_52E9])
def test_a_long_program_like_the_machine(holds):
    """The program agrees with the model twice from its beginning to its end."""
    story = SimpleNamespace(**{**vars(QUIET), "holds": holds})
    FIXED.run(lambda ctx: lockstep(ctx, FIXED.dut, LONG, story, 6 * PAGE))


# -- The assembler


def run(a, steps=400):
    """Return a machine that has run what was assembled, up to its place *end*."""
    a.label("end")
    machine = Machine([*a.words(), 0], bytearray(MEMORY_BYTES), World())
    while machine.place != a.places()["end"]:
        machine.step()
        assert machine.steps < steps, "the program did not end"
    return machine


def test_a_name_is_given_once():
    a = Assembler()
    a.label("here")
    with pytest.raises(ValueError, match="here is the name of two places"):
        a.label("here")
    assert a.label() != a.label()


@pytest.mark.parametrize("method", ["jump", "call", "if_zero", "if_not_zero", "if_carry", "if_no_carry"])
def test_a_name_must_be_given(method):
    a = Assembler()
    getattr(a, method)("there")
    with pytest.raises(ValueError, match="there is the name of no place"):
        a.words()
    a.label("there")
    (word,) = a.words()
    assert word & 0x3FF == a.places()["there"] == 1


@pytest.mark.parametrize("operand", [at, indexed])
@pytest.mark.parametrize("address", [-1, MEMORY_BYTES])
def test_there_is_no_such_address(operand, address):
    operand(0), operand(MEMORY_BYTES - 1)
    with pytest.raises(ValueError, match="no address"):
        operand(address)


def test_a_place_must_be_in_reach():
    a = Assembler()
    for _ in range(PAGES * PAGE - 1):
        a.jump("last")
    a.label("last")
    a.jump("last")
    assert len(a.words()) == PAGES * PAGE
    a.label("beyond")
    a.jump("beyond")
    with pytest.raises(ValueError, match="beyond is word 4096"):
        a.words()


METHODS = {
    "load": (Op.LOAD, {}),
    "xor": (Op.XOR, {}),
    "and_": (Op.AND, {}),
    "add": (Op.ADD, {}),
    "add with carry": (Op.ADD_CARRY, {"carry": True}),
    "subtract": (Op.SUBTRACT, {}),
    "subtract with carry": (Op.SUBTRACT_CARRY, {"carry": True}),
    "store": (Op.STORE, {}),
    "publish": (Op.PUBLISH, {}),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("operand", "source", "number"),
    [
        (at(0x2AB), Source.DIRECT, 0x2AB),
        (indexed(0x155), Source.INDEXED, 0x155),
        (imm(-1), Source.IMMEDIATE, 0xFF),
        (imm(0x1234), Source.IMMEDIATE, 0x34),
        (port(9), Source.INPUT, 9),
    ],
)
def test_instructions_are_what_they_are_called(method, operand, source, number):
    a, (op, options) = Assembler(), METHODS[method]
    getattr(a, method.split()[0])(operand, **options)
    assert a.words() == [instruction(op, source, number)]


def test_outputs_and_jumps_are_what_they_are_called():
    a = Assembler()
    a.label("start")
    a.out(Port.X)
    a.out(7)
    a.return_()
    outs = [instruction(Op.OUT, operand=number) for number in (0, 7, 1)]
    assert a.words() == outs
    for jump in (a.jump, a.call, a.if_zero, a.if_not_zero, a.if_carry, a.if_no_carry):
        jump("start")
    assert a.words() == outs + [instruction(op) for op in JUMPS]


def test_copies_and_indexes_by_way_of_a():
    a = Assembler()
    a.index(imm(3))
    a.copy(imm(0x5A), indexed(0x100))
    machine = run(a)
    assert (machine.x, machine.a, machine.memory[0x103]) == (3, 0x5A, 0x5A)


RANGES = [
    range(1),
    range(7),
    range(3, 9),
    range(0, 250, 50),
    range(250, 255),
    range(200, 251, 5),
    range(7)[::-1],
]
RANGES += [range(0, 128, 4)[::-1], range(128)[::-1], range(5, 6), range(127, 255, 64)]


@pytest.mark.parametrize("numbers", RANGES)
def test_loops_through_all_numbers(numbers):
    """In the loop A, X and the counter are the number; after it A and C may be anything."""
    a, counter = Assembler(), 0x3F0
    with a.each(counter, numbers):
        a.store(at(0x3F1))
        a.copy(at(counter), indexed(0x100))
        a.load(at(0x3F1))
        a.xor(indexed(0x100))
        a.copy(imm(1), indexed(0x200))
    machine = run(a, steps=4000)
    for n in range(256):
        assert machine.memory[0x200 + n] == (n in numbers)
        assert machine.memory[0x100 + n] == (n if n in numbers else 0)


@pytest.mark.parametrize("numbers", [range(256), range(128, 256, 64), range(2, 255, 127), range(3, 0, -1)])
def test_loops_that_would_not_end_are_refused(numbers):
    with pytest.raises(ValueError, match="would not end"), Assembler().each(0, numbers):
        pass


@pytest.mark.parametrize(
    ("numbers", "change", "met"), [(range(8), 2, [0, 3, 6]), (range(9)[::-1], -2, [2, 5, 8])]
)
def test_a_loop_goes_on_from_a_changed_counter(numbers, change, met):
    a, counter = Assembler(), 0x3F0
    with a.each(counter, numbers):
        a.copy(imm(1), indexed(0x200))
        a.load(at(counter))
        a.add(imm(change))
        a.store(at(counter))
    machine = run(a)
    assert [n for n in range(256) if machine.memory[0x200 + n]] == met


def test_loops_in_loops():
    a = Assembler()
    with a.each(0x3F0, range(3)), a.each(0x3F1, range(4)[::-1]):
        a.load(at(0x3F2))
        a.add(imm(1))
        a.store(at(0x3F2))
    assert run(a).memory[0x3F2] == 12
