"""Theorem about the processor: it does what its instruction set defines, and nothing else."""

from __future__ import annotations

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Cover, Elaboratable, Module, Mux, Signal, Value

from sealchip.core.processor import MEMORY_BYTES, Instruction, Op, Port, Processor, Source
from verif.formal.theorem import Subject, theorem

PROGRAM_WORDS = 1024


class AnyProgram(Elaboratable):
    """Replaces the program's memory: any word at each address, but always `word` at the address `watched`."""

    def __init__(self, fetch, watched: Value, word: Value) -> None:
        self._fetch, self._watched, self._word = fetch, watched, word

    def elaborate(self, platform: object) -> Module:
        m, fetch = Module(), self._fetch
        with m.If(fetch.en):
            m.d.sync += Value.cast(fetch.data).eq(Mux(fetch.addr == self._watched, self._word, AnySeq(16)))
        return m


@theorem(k=1, reach=24, parameters="1024 words; any program, input and hold; memory at any one address")
def each_instruction_does_what_it_says(m: Module) -> None:
    """An instruction takes two cycles and those of `hold`. After it the accumulator, carry, X, the return
    address, the address of the next instruction and the byte in memory are those that the instruction set
    defines from the values before. A byte is published or output exactly by the instructions that do so, `a`
    at `address`. The first instruction is that at address 0.
    """
    cpu = Processor([0] * PROGRAM_WORDS)
    dut = Subject(m, cpu)
    (fetch,), memory = dut.part("program").read_ports, dut.part("memory")
    (read,), (write,) = memory.read_ports, memory.write_ports
    place_of_word, any_word = AnyConst(10), AnyConst(16)
    dut.replace("program", by=AnyProgram(fetch, place_of_word, any_word))

    # Reference: the instruction set; of the memory, the byte at one address is followed.
    a, c, x, place, back = Signal(8), Signal(), Signal(8), Signal(10), Signal(10)
    watched, byte = AnyConst(range(MEMORY_BYTES)), Signal(8)
    word = Instruction(fetch.data)
    op, operand = word.op, word.operand
    second, begun = Signal(), Signal()  # cycle of an instruction; after reset none has been fetched
    does = begun & second & ~cpu.hold
    m.d.sync += second.eq(~second | cpu.hold)
    with m.If(second & ~cpu.hold):
        m.d.sync += begun.eq(1)

    address, b, total = Signal(10), Signal(8), Signal(10)
    m.d.comb += address.eq(operand)
    with m.Switch(word.source):
        with m.Case(Source.DIRECT):
            m.d.comb += b.eq(Mux(operand == watched, byte, read.data))
        with m.Case(Source.INDEXED):
            m.d.comb += [address[:8].eq(operand[:8] ^ x), b.eq(Mux(address == watched, byte, read.data))]
        with m.Case(Source.IMMEDIATE):
            m.d.comb += b.eq(operand[:8])
        with m.Case(Source.INPUT):
            m.d.comb += b.eq(cpu.i)
    with m.If(does):
        m.d.sync += place.eq(place + 1)
        with m.Switch(op):
            with m.Case(Op.JUMP):
                m.d.sync += place.eq(operand)
            with m.Case(Op.CALL):
                m.d.sync += [place.eq(operand), back.eq(place + 1)]
            with m.Case(Op.JUMP_ZERO), m.If(a == 0):
                m.d.sync += place.eq(operand)
            with m.Case(Op.JUMP_NOT_ZERO), m.If(a != 0):
                m.d.sync += place.eq(operand)
            with m.Case(Op.JUMP_CARRY), m.If(c):
                m.d.sync += place.eq(operand)
            with m.Case(Op.JUMP_NO_CARRY), m.If(~c):
                m.d.sync += place.eq(operand)
            with m.Case(Op.STORE), m.If(address == watched):
                m.d.sync += byte.eq(a)
            with m.Case(Op.LOAD):
                m.d.sync += a.eq(b)
            with m.Case(Op.XOR):
                m.d.sync += a.eq(a ^ b)
            with m.Case(Op.AND):
                m.d.sync += a.eq(a & b)
            with m.Case(Op.OUT):
                with m.If(operand == Port.X.value):
                    m.d.sync += x.eq(a)
                with m.If(operand == Port.RETURN.value):
                    m.d.sync += place.eq(back)
            with m.Case(Op.ADD):
                m.d.comb += total.eq(a + b)
                m.d.sync += [a.eq(total), c.eq(total > 0xFF)]
            with m.Case(Op.ADD_CARRY):
                m.d.comb += total.eq(a + b + c)
                m.d.sync += [a.eq(total), c.eq(total > 0xFF)]
            with m.Case(Op.SUBTRACT):
                m.d.sync += [a.eq(a - b), c.eq(a >= b)]
            with m.Case(Op.SUBTRACT_CARRY):
                m.d.sync += [a.eq(a - b - ~c), c.eq(a >= b + ~c)]

    m.d.comb += [
        Assert(cpu.a == a),
        Assert(cpu.x == x),
        Assert(dut.row(watched, "memory") == byte),
        Assert(~does | (cpu.address == address)),
        Assert(cpu.publish == (does & (op == Op.PUBLISH))),
        Assert(cpu.out == (does & (op == Op.OUT))),
        Assert(~(read.en & write.en)),  # block RAM is undefined there
        Assert(~(begun & (place == place_of_word)) | (word.as_value() == any_word)),
        # Invariants
        Assert(dut.signal("phase") == second),
        Assert(dut.signal("fetched") == begun),
        Assert(dut.signal("carry") == c),
        Assert(dut.signal("back") == back),
        Assert(dut.signal("following") == Mux(begun, place + 1, place)[:10]),
        Assert(begun | (place == 0)),
        Assert(~(begun & second) | (cpu.address != watched) | (read.data == byte)),
        # Covers: each instruction, each source, a call with its return, and a stored byte that is read back.
        *(Cover(does & (op == it)) for it in Op),
        *(Cover(does & (op == Op.ADD_CARRY) & (word.source == it) & c & (a == 0x55)) for it in Source),
        Cover(does & (op == Op.OUT) & (operand == Port.RETURN.value) & (back == place_of_word)),
        Cover(does & (word.source == Source.INDEXED) & (operand != address) & (byte == 0xAA) & (b == byte)),
    ]
