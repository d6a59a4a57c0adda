"""The machinery of gates and mutants, on a component small enough to know all about it."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from chip.support import simulate
from gates.netlist import gates
from gates.stand_in import stand_in_for
from mutation.judges import equivalent
from mutation.mutants import Design, Mutant

ADDED = [3, 0, 9, 15, 1, 8, 8, 6, 2, 7, 4, 5]


class Total(wiring.Component):
    """A running total from 5 on; `odd` follows the input at once."""

    def __init__(self):
        # With so many ports the one that selects the mutant is the 21st, behind which yosys breaks the line.
        unused = {f"unused{number}": In(1) for number in range(15)}
        super().__init__({"i": In(4), "o": Out(6, init=5), "odd": Out(1)} | unused)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + self.i)
        m.d.comb += self.odd.eq(self.i[0] ^ self.o[0])
        return m


def told(dut: Total) -> list[tuple[int, int]]:
    """What a bench sees of `dut`."""
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


def played(verilog: Callable[[str], str], mutant: int = 0) -> list[tuple[int, int]]:
    with stand_in_for(Total, verilog) as stage:
        stage.mutant = mutant
        seen = told(Total())
        assert stage.plays == 1
    return seen


def test_gates_do_what_the_source_does() -> None:
    assert told(Total()) == expected()
    assert played(gates) == expected()


def test_every_mutant_is_seen_or_no_change() -> None:
    made: list[Design] = []
    mutants: list[Mutant] = []

    def verilog(text: str) -> str:
        if not made:
            # This file for once counts as our own source.
            made.append(Design(text.replace("verif/mutation/test_mutants.py", "rtl/total.py")))
            mutants.extend(made[0].sample(24, 1))
        return made[0].mutated(mutants)

    assert played(verilog) == expected()
    assert len(mutants) == 24
    alive = [mutant for n, mutant in enumerate(mutants, 1) if played(verilog, n) == expected()]
    assert len(alive) < 8
    assert [str(mutant) for mutant in alive if not equivalent(made[0], mutant)] == []
