"""Let test benches run, unchanged, on a compiled design in the place of a component.

In Amaranth's simulator, every component of that class becomes an empty shell, whose ports are driven from the
compiled library: outputs follow inputs within the same delta cycle, and registers change with the clock.
Tests that look inside the component find nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

from verif.benches import block
from verif.campaigns.gates.compiled import Compiled, Port, compiled, ports, rtlil_of

__all__ = ["Substitute", "in_simulator"]


@dataclass
class Substitute:
    """Replaces the component, and keeps the designs that have been compiled so far."""

    #: Makes Verilog, which replaces the component, from its RTLIL; module `top` in both.
    verilog: Callable[[str], str]
    coverage: bool = False
    #: Number of the selected mutant; 0 selects none.
    mutant: int = 0
    #: Number of designs that have been simulated.
    uses: int = 0
    #: Library, ports and Verilog, by RTLIL: one entry for each set of parameters.
    made: dict[str, tuple[Path, list[Port], str]] = field(default_factory=dict)

    def library(self, text: str, interface: list[Port]) -> Path:
        """Return the library that replaces the component whose RTLIL is `text`."""
        if text not in self.made:
            verilog = self.verilog(text)
            library = compiled(verilog, interface, coverage=self.coverage)
            self.made[text] = library, interface, verilog
        return self.made[text][0]

    def covered(self) -> Iterator[tuple[Path, str]]:
        """Yield each file of counters with the Verilog that it is about."""
        with TemporaryDirectory(prefix="meterseal-") as folder:
            for library, interface, verilog in self.made.values():
                Compiled(library, interface).coverage(Path(folder) / "counters")
                yield Path(folder) / "counters", verilog


@contextmanager
def in_simulator(
    component: type[Component], verilog: Callable[[str], str], *, coverage: bool = False
) -> Iterator[Substitute]:
    """Replace every `component` of a simulation by the design that `verilog` makes of it."""
    substitute, shells, elaborate = Substitute(verilog, coverage), [], component.elaborate

    def shell(self, platform):
        interface = ports(self)
        library = substitute.library(rtlil_of(self, elaborate), interface)
        m, alive = Module(), Signal()
        # This register is low after a reset, also one by `ResetInserter`, and gives the shell a clock.
        m.d.sync += alive.eq(1)
        shells.append((library, interface, alive))
        return m

    class SubstitutingSimulator(Simulator):
        def __init__(self, dut):
            shells.clear()
            super().__init__(dut)
            for library, interface, alive in shells:
                _drive(self, Compiled(library, interface), interface, alive, substitute)

    component.elaborate, block.Simulator = shell, SubstitutingSimulator
    try:
        yield substitute
    finally:
        component.elaborate, block.Simulator = elaborate, Simulator


def _drive(
    sim: Simulator, design: Compiled, interface: list[Port], alive: Signal, substitute: Substitute
) -> None:
    """Add the processes that drive the ports of a shell."""
    inputs = [port.value for port in interface if port.is_input]
    outputs = [port.value for port in interface if not port.is_input]
    #: Changes after a clock edge that may have been one of a reset.
    doubtful = Signal()
    #: Outputs as the simulator has them: setting one is the slowest step, so only changes are set.
    shown: list[int | None] = []
    #: Inputs, and whether the design was alive, since their last change.
    latest: tuple[list[int], int] = [], 0

    def show(ctx, values, *, tick):
        found = design.evaluate(values, tick=tick, mutant=substitute.mutant)
        for output, value, before in zip(outputs, found, shown, strict=True):
            if value != before:
                ctx.set(output, value)
        shown[:] = found

    async def follow(ctx):
        nonlocal latest
        substitute.uses += 1
        shown[:] = [None] * len(outputs)
        async for *values, living, _ in ctx.changed(*inputs, alive, doubtful):
            latest = values, living
            if not living:
                design.reset()
            show(ctx, values, tick=False)

    async def clock(ctx):
        doubt = 0
        async for _ in ctx.tick():
            # Sampling the inputs once more would take longer than all the rest.
            values, lived = latest
            show(ctx, values, tick=True)
            if not lived:
                ctx.set(doubtful, doubt := 1 - doubt)

    sim.add_process(follow)
    sim.add_process(clock)
