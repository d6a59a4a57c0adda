"""The processor that runs the firmware: eight bits, one accumulator, two cycles an instruction."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

__all__ = ["MEMORY_BYTES", "Instruction", "Op", "Port", "Processor", "Source"]

MEMORY_BYTES = 1024
_OPERAND_BITS = 10


class Op(Enum, shape=4):
    """What an instruction does. `A` is the accumulator, `C` the carry, `b` what the operand stands for."""

    #: Go on at the operand. A word of zeros, as block RAM has them before it is loaded, stays where it is.
    JUMP = 0
    #: The same, and keep where to return to.
    CALL = 1
    #: If `A` is zero; if it is not.
    JUMP_ZERO = 2
    JUMP_NOT_ZERO = 3
    #: If there is a carry; if there is none.
    JUMP_CARRY = 4
    JUMP_NO_CARRY = 5
    #: `A` into the memory; into the memory that others read.
    STORE = 6
    PUBLISH = 7
    #: `A` = b; `A` xor b; `A` and b.
    LOAD = 8
    XOR = 9
    AND = 10
    #: `A` to the output whose number the operand is.
    OUT = 11
    #: `A` + b; `A` + b + `C`. They and the next two set `C`, nothing else does.
    ADD = 12
    ADD_CARRY = 13
    #: `A` - b; `A` - b - 1 + `C`. A carry is no borrow.
    SUBTRACT = 14
    SUBTRACT_CARRY = 15


class Source(Enum, shape=2):
    """What the operand stands for."""

    #: The memory's byte at this address; at this address xor `X`, in its low eight bits.
    DIRECT = 0
    INDEXED = 1
    #: The operand itself.
    IMMEDIATE = 2
    #: The input of this number.
    INPUT = 3


class Port(Enum, shape=_OPERAND_BITS):
    """The outputs that are the processor's own."""

    #: The index of `Source.INDEXED`.
    X = 0
    #: Back to behind the last `CALL`; the byte does not matter.
    RETURN = 1


class Instruction(data.Struct):
    """One word of the program; the target of a jump is `operand` with `source` above it."""

    operand: _OPERAND_BITS
    source: Source
    op: Op


class Processor(wiring.Component):
    """Runs a program in block RAM on one memory of bytes; everything else is inputs and outputs.

    *Timing:* an instruction takes two cycles: in the first one the memory is read, in the second one it acts.
    While `hold` is high the second one lasts on. The first instruction after a reset is that at address 0.

    Parameters
    ----------
    program: words, as `assembler.Assembler.words` gives them. memory: what the memory has after
    configuration; a reset leaves it as it is.

    Members
    -------
    address: of the operand in the present instruction, `X` applied; the number of an input or output.
    i: that input, in the second cycle. hold: it is not there yet.
    out, publish: strobes, `Op.OUT` and `Op.PUBLISH` with `a`, the accumulator. x: the index.

    Guarantees: `verif/blocks/test_processor.py::test_each_instruction_like_the_machine`;
    proof: `verif/formal/processor.py::each_instruction_does_what_it_says`.
    """

    def __init__(self, program, memory=b""):
        self._program, self._memory = program, memory
        super().__init__(
            {
                "address": Out(_OPERAND_BITS),
                "i": In(8),
                "hold": In(1),
                "out": Out(1),
                "publish": Out(1),
                "a": Out(8),
                "x": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = Memory(
            shape=Instruction,
            depth=len(self._program),
            init=[Instruction.from_bits(word) for word in self._program],
            attrs={"rom_block": True},
        )
        m.submodules.memory = memory = Memory(shape=8, depth=MEMORY_BYTES, init=self._memory)
        fetch, read, write = program.read_port(), memory.read_port(), memory.write_port()
        word = fetch.data
        acts = Signal()  # the second cycle
        fetched = Signal()  # `word` is an instruction: behind a reset none is
        runs = Signal()
        goes_on = acts & ~self.hold
        following = Signal(bits_for(len(self._program) - 1))  # address of the next instruction
        back = Signal.like(following)
        target = Signal.like(following)
        jumps, returns = Signal(), Signal()

        m.d.comb += [
            runs.eq(goes_on & fetched),
            returns.eq(fetched & (word.op == Op.OUT) & (word.operand == Port.RETURN.value)),
            target.eq(Mux(jumps | returns, Mux(returns, back, Cat(word.operand, word.source)), following)),
            fetch.addr.eq(target),
            # In a reset already, so that behind it the word is one of the program's.
            fetch.en.eq(goes_on | ~fetched),
            self.address.eq(word.operand ^ Mux(word.source == Source.INDEXED, self.x, 0)),
            read.addr.eq(self.address),
            # Never both at once: block RAM is undefined there, and synthesis would add logic to define it.
            read.en.eq(~acts),
            write.addr.eq(self.address),
            write.data.eq(self.a),
            write.en.eq(runs & (word.op == Op.STORE)),
            self.publish.eq(runs & (word.op == Op.PUBLISH)),
            self.out.eq(runs & (word.op == Op.OUT)),
        ]
        m.d.sync += acts.eq(~acts | self.hold)
        with m.If(goes_on):
            m.d.sync += [fetched.eq(1), following.eq(target + 1)]
        with m.If(runs & (word.op == Op.CALL)):
            m.d.sync += back.eq(following)
        with m.If(self.out & (word.operand == Port.X.value)):
            m.d.sync += self.x.eq(self.a)

        carry = Signal()
        tests = {
            Op.JUMP: 1,
            Op.CALL: 1,
            Op.JUMP_ZERO: self.a == 0,
            Op.JUMP_NOT_ZERO: self.a != 0,
            Op.JUMP_CARRY: carry,
            Op.JUMP_NO_CARRY: ~carry,
        }
        with m.Switch(word.op):
            for op, test in tests.items():
                with m.Case(op):
                    m.d.comb += jumps.eq(fetched & test)

        op = word.op.as_value()
        b = Signal(8)
        with m.Switch(word.source):
            with m.Case(Source.IMMEDIATE):
                m.d.comb += b.eq(word.operand)
            with m.Case(Source.INPUT):
                m.d.comb += b.eq(self.i)
            with m.Default():
                m.d.comb += b.eq(read.data)
        # Op.ADD and what follows: the lowest bit says that the carry goes in, the next one that b is taken
        # away, that is its complement and one added.
        subtracts, with_carry = op[1], op[0]
        total = Signal(9)
        m.d.comb += total.eq(self.a + (b ^ subtracts.replicate(8)) + Mux(with_carry, carry, subtracts))
        with m.If(runs):
            with m.Switch(word.op):
                with m.Case(Op.LOAD):
                    m.d.sync += self.a.eq(b)
                with m.Case(Op.XOR):
                    m.d.sync += self.a.eq(self.a ^ b)
                with m.Case(Op.AND):
                    m.d.sync += self.a.eq(self.a & b)
                with m.Case(Op.ADD, Op.ADD_CARRY, Op.SUBTRACT, Op.SUBTRACT_CARRY):
                    m.d.sync += Cat(self.a, carry).eq(total)
        return m
