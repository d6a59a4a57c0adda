"""The machinery of gates and mutants works on a component small enough to check by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import product

from amaranth.back import rtlil
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sealchip.core.assembler import Assembler, at, imm
from sealchip.core.firmware import layout, main
from sealchip.core.processor import MEMORY_BYTES
from verif.benches.block import simulate
from verif.campaigns.gates.compiled import ROOT
from verif.campaigns.gates.netlist import gates
from verif.campaigns.gates.substitute import in_simulator
from verif.campaigns.mutation.equivalence import FirmwareEquivalence, equivalent
from verif.campaigns.mutation.mutants import Design, Mutant
from verif.campaigns.mutation.words import mutated, part_of, sample
from verif.models.processor import Machine

ADDED = [3, 0, 9, 15, 1, 8, 8, 6, 2, 7, 4, 5]

#: Number of instructions run in the firmware's loop, of its polls for work, and the jobs that it starts.
STEPS, ASKS = 60, 6
BEGUN = (
    *("calendar.second", "calendar.set", "challenge", "identity.check", "identity.update"),
    *("log.acknowledge", "log.append", "log.nth", "log.oldest"),
)


class Odd(wiring.Component):
    """Outputs 1 if exactly one of the lower two bits is set, else 0."""

    def __init__(self):
        super().__init__({"i": In(3), "o": Out(2)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = Memory(shape=2, depth=4, init=[0, 1, 1, 0])
        read = table.read_port(domain="comb")
        m.d.comb += [read.addr.eq(self.i[:2]), self.o.eq(read.data)]
        return m


class Total(wiring.Component):
    """Adds up its inputs, starting from 5; `odd` depends on the input combinationally."""

    def __init__(self):
        # With these ports the one that selects the mutant is the 21st, after which yosys breaks the line.
        unused = {f"unused{number}": In(1) for number in range(15)}
        super().__init__({"i": In(4), "o": Out(6, init=5), "odd": Out(1)} | unused)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + self.i)
        m.submodules.part = part = Odd()
        m.d.comb += [part.i.eq(Cat(self.i[0], self.o[0], self.i[3])), self.odd.eq(part.o[0] & ~part.o[1])]
        return m


def outputs(dut: Total) -> list[tuple[int, int]]:
    """Return the outputs of `dut` as a bench sees them."""
    seen = []

    async def testbench(ctx):
        for value in ADDED:
            ctx.set(dut.i, value)
            seen.append((ctx.get(dut.o), ctx.get(dut.odd)))
            await ctx.tick()

    simulate(dut, testbench)
    return seen


def expected() -> list[tuple[int, int]]:
    totals = [sum(ADDED[:n], 5) % 64 for n in range(len(ADDED))]
    return [(total, (total ^ value) & 1) for total, value in zip(totals, ADDED, strict=True)]


def outputs_of(verilog: Callable[[str], str], mutant: int = 0) -> list[tuple[int, int]]:
    with in_simulator(Total, verilog) as substitute:
        substitute.mutant = mutant
        seen = outputs(Total())
        assert substitute.uses == 1
    return seen


def ours(text: str) -> str:
    """Make this file count as our own source."""
    return text.replace(f"{ROOT}/", "").replace("verif/campaigns/mutation/test_mutants.py", "rtl/total.py")


def test_gates_do_what_the_source_does() -> None:
    assert outputs(Total()) == expected()
    assert outputs_of(gates) == expected()


def test_every_mutant_is_killed_or_equivalent() -> None:
    made: list[Design] = []
    mutants: list[Mutant] = []

    def verilog(text: str) -> str:
        if not made:
            made.append(Design(ours(text)))
            mutants.extend(made[0].sample(24, 1))
        return made[0].mutated(mutants)

    assert outputs_of(verilog) == expected()
    assert len(mutants) == 24
    alive = [mutant for n, mutant in enumerate(mutants, 1) if outputs_of(verilog, n) == expected()]
    assert len(alive) < 8
    assert [str(mutant) for mutant in alive if not equivalent(made[0], mutant)] == []


def test_constant_and_unused_bits_of_a_part() -> None:
    """Clearing a bit that is never set has no effect, nor has any change of a bit that is not used."""
    design = Design(ours(rtlil.convert(Total(), name="top")))
    mutants = {str(it): it for it in design.sample(200, 1)}
    never_set = "const0 part#0.o[1]", "const0 $not#0.A[0]"
    unused = [it for name, it in mutants.items() if design.keeps(it) and name not in never_set]
    assert all(design.keeps(mutants[name]) for name in never_set)
    assert {it.mode for it in unused} == {"inv", "const0", "const1"}
    assert len({(it.cell, it.port, it.bit) for it in unused}) == 1
    crossed = [replace(mutants[never_set[0]], mode=f"cnot{value}", bit=0, other=1) for value in (0, 1)]
    assert [design.keeps(it) for it in crossed] == [False, True]


class Asked:
    """Records all that the firmware's loop reads from its surroundings and writes to them.

    There is no work until it has polled `asks` times.
    """

    def __init__(self, wants: int, command: int, asks: int):
        self._inputs, self._asks = {layout.In.REQUESTS: wants, layout.In.COMMAND: command}, asks
        self.seen: list[object] = []

    def read(self, number: int, x: int) -> int:
        self.seen.append(number)
        return self._inputs.get(number, 0) if len(self.seen) > self._asks else 0

    def write(self, number: int, value: int) -> None:
        self.seen.append((number, value & 3))  # an answer has two bits


def loop() -> list[int]:
    """Return the firmware's loop alone; each job that it starts is published, then accepted or refused."""
    a = Assembler()
    main.boot(a)
    main.emit(a)
    for number, name in enumerate(BEGUN):
        a.label(name)
        a.load(imm(number + 1))
        a.publish(at(number))
        a.jump("accepted" if number % 2 else "refused")
    return a.words()


def done() -> list[object]:
    """Return all that the loop does, for every combination of work and at every time."""
    program, seen = loop(), []
    wants = range(sum(layout.Requests) + 1)
    for situation in (*product(wants, layout.Command, [0]), *product(wants, [0], range(1, ASKS))):
        asked = Asked(*situation)
        machine = Machine(program, bytearray(b"\xff" * MEMORY_BYTES), asked)
        with suppress(IndexError):  # beyond the end of the program
            for _ in range(STEPS):
                machine.step()
        seen += [asked.seen, machine.public, machine.memory]
    return seen


def test_every_mutant_of_the_firmware_is_killed_or_equivalent() -> None:
    untouched, plain = done(), loop()
    equivalence, mutants = FirmwareEquivalence(), sample("main", 60, 1)
    assert len(set(mutants)) == 60
    assert mutants == sample("main", 60, 1)
    with mutated(mutants) as program:
        assert loop() == plain
        assert done() == untouched
        assert {part_of(origin) for origin in program.ran} == {"main", ""}
        alive = []
        for program.mutant, mutant in enumerate(mutants, 1):
            assert sum(one != other for one, other in zip(loop(), plain, strict=True)) == 1
            same = done() == untouched
            assert same or not equivalence.equivalent(mutant, patient=True), str(mutant)
            if same and not equivalence.equivalent(mutant, patient=True):
                alive.append(str(mutant))
    assert alive == []
    assert done() == untouched
