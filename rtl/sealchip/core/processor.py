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
    """The operation of an instruction. `A` is the accumulator, `C` the carry, `b` the operand's value."""

    #: Jump to the operand. Block RAM reads as zeros before it is loaded, so the processor stays at address 0.
    JUMP = 0
    #: Jump, and keep the address to return to.
    CALL = 1
    #: Jump if `A` is zero, or if it is not.
    JUMP_ZERO = 2
    JUMP_NOT_ZERO = 3
    #: Jump if the carry is set, or if it is clear.
    JUMP_CARRY = 4
    JUMP_NO_CARRY = 5
    #: Store `A` in the memory, or in the public memory, which others read.
    STORE = 6
    PUBLISH = 7
    #: Set `A` to b, to `A` xor b, or to `A` and b.
    LOAD = 8
    XOR = 9
    AND = 10
    #: Put `A` out at the output whose number is the operand.
    OUT = 11
    #: Set `A` to `A` + b, or to `A` + b + `C`. Only these and the next two change `C`.
    ADD = 12
    ADD_CARRY = 13
    #: Set `A` to `A` - b, or to `A` - b - 1 + `C`. Here `C` is the inverted borrow: 1 means no borrow.
    SUBTRACT = 14
    SUBTRACT_CARRY = 15


class Source(Enum, shape=2):
    """How the operand is read."""

    #: The byte of the memory at this address, or at this address xor `X`, in its low eight bits.
    DIRECT = 0
    INDEXED = 1
    #: The operand itself.
    IMMEDIATE = 2
    #: The input of this number.
    INPUT = 3


class Port(Enum, shape=_OPERAND_BITS):
    """The outputs that belong to the processor itself."""

    #: Set the index of `Source.INDEXED`.
    X = 0
    #: Return to the instruction following the last `CALL`, whatever the byte.
    RETURN = 1


class Instruction(data.Struct):
    """One word of the program; the target of a jump is `operand`, with `source` as its upper bits."""

    operand: _OPERAND_BITS
    source: Source
    op: Op


class Processor(wiring.Component):
    """Runs a program in block RAM on one memory of bytes; everything else is reached by inputs and outputs.

    *Timing:* an instruction takes two cycles: the first one reads the memory, the second one executes. While
    `hold` is high the second one is repeated. The first instruction after a reset is that at address 0.

    There is one return address, so a routine that is called calls no other.

    Parameters
    ----------
    program : words, as `assembler.Assembler.words` returns them.
    memory : the contents of the memory after configuration; a reset leaves it as it is.

    Members
    -------
    address : the operand of the present instruction with `X` applied: an address, or the number of a port.
    i : the input of that number, in the second cycle.
    hold : the instruction must wait, for its input or for what its output goes to.
    out : strobe of `Op.OUT`.
    publish : strobe of `Op.PUBLISH`.
    a : the accumulator.
    x : the index.

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
        phase = Signal()  # 0 in the first cycle of an instruction, 1 in the second
        fetched = Signal()  # `word` is an instruction; directly after a reset it is not
        runs = Signal()
        advance = phase & ~self.hold
        following = Signal(bits_for(len(self._program) - 1))  # address of the next instruction
        back = Signal.like(following)
        target = Signal.like(following)
        jumps, returns = Signal(), Signal()

        m.d.comb += [
            runs.eq(advance & fetched),
            returns.eq(fetched & (word.op == Op.OUT) & (word.operand == Port.RETURN.value)),
            target.eq(Mux(jumps | returns, Mux(returns, back, Cat(word.operand, word.source)), following)),
            fetch.addr.eq(target),
            # During a reset too, so that after it the word is the program's first.
            fetch.en.eq(advance | ~fetched),
            self.address.eq(word.operand ^ Mux(word.source == Source.INDEXED, self.x, 0)),
            read.addr.eq(self.address),
            # Never both at once: block RAM is undefined there, and synthesis would add logic to define it.
            read.en.eq(~phase),
            write.addr.eq(self.address),
            write.data.eq(self.a),
            write.en.eq(runs & (word.op == Op.STORE)),
            self.publish.eq(runs & (word.op == Op.PUBLISH)),
            self.out.eq(runs & (word.op == Op.OUT)),
        ]
        m.d.sync += phase.eq(~phase | self.hold)
        with m.If(advance):
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
        # In the codes from Op.ADD on the lowest bit means *with carry* and the next one *subtract*.
        # Subtracting adds the complement and one, so one adder does all four and its carry out is the
        # inverted borrow.
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
