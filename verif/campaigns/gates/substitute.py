"""The test-benches of a block, unchanged, on its compiled design.

Every component of the kind that Amaranth's simulator meets becomes an empty shell, and processes of the
simulator play its part from the library: outputs follow inputs within the same delta cycle, and registers
change with the clock. Tests that look inside the component see nothing there.
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

__all__ = ["Stage", "stand_in_for"]


@dataclass
class Stage:
    """What is replaced, and what has been met so far."""

    #: From the RTLIL of the component, module `top`, to the Verilog that plays it.
    verilog: Callable[[str], str]
    coverage: bool = False
    #: The mutant that is played; 0 is none.
    mutant: int = 0
    #: Designs that have been started.
    plays: int = 0
    #: By RTLIL, one for each set of parameters: library, ports and Verilog.
    made: dict[str, tuple[Path, list[Port], str]] = field(default_factory=dict)

    def library(self, text: str, interface: list[Port]) -> Path:
        """What plays the component of RTLIL `text`."""
        if text not in self.made:
            verilog = self.verilog(text)
            library = compiled(verilog, interface, coverage=self.coverage)
            self.made[text] = library, interface, verilog
        return self.made[text][0]

    def covered(self) -> Iterator[tuple[Path, str]]:
        """Files of counters, each with the Verilog that was counted."""
        with TemporaryDirectory(prefix="meterseal-") as folder:
            for library, interface, verilog in self.made.values():
                Compiled(library, interface).coverage(Path(folder) / "counters")
                yield Path(folder) / "counters", verilog


@contextmanager
def stand_in_for(
    component: type[Component], verilog: Callable[[str], str], *, coverage: bool = False
) -> Iterator[Stage]:
    """Let every `component` of a simulation be played by what `verilog` makes of it."""
    stage, met, elaborate = Stage(verilog, coverage), [], component.elaborate

    def shell(self, platform):
        interface = ports(self)
        library = stage.library(rtlil_of(self, elaborate), interface)
        m, alive = Module(), Signal()
        # Low behind a reset, also one that `ResetInserter` has put in; and the shell has a clock.
        m.d.sync += alive.eq(1)
        met.append((library, interface, alive))
        return m

    class PlayingSimulator(Simulator):
        def __init__(self, dut):
            met.clear()
            super().__init__(dut)
            for library, interface, alive in met:
                _play(self, Compiled(library, interface), interface, alive, stage)

    component.elaborate, block.Simulator = shell, PlayingSimulator
    try:
        yield stage
    finally:
        component.elaborate, block.Simulator = elaborate, Simulator


def _play(sim: Simulator, design: Compiled, interface: list[Port], alive: Signal, stage: Stage) -> None:
    inputs = [port.value for port in interface if port.is_input]
    outputs = [port.value for port in interface if not port.is_input]
    #: Changes behind an edge that may have been one of a reset.
    doubtful = Signal()
    #: Outputs as the simulator knows them: telling it takes longer than all else.
    shown: list[int | None] = []
    #: Inputs, and whether the design was alive, as they have been since their last change.
    met: tuple[list[int], int] = [], 0

    def show(ctx, values, *, tick):
        found = design.evaluate(values, tick=tick, mutant=stage.mutant)
        for output, value, before in zip(outputs, found, shown, strict=True):
            if value != before:
                ctx.set(output, value)
        shown[:] = found

    async def follow(ctx):
        nonlocal met
        stage.plays += 1
        shown[:] = [None] * len(outputs)
        async for *values, living, _ in ctx.changed(*inputs, alive, doubtful):
            met = values, living
            if not living:
                design.reset()
            show(ctx, values, tick=False)

    async def clock(ctx):
        doubt = 0
        async for _ in ctx.tick():
            # Sampling the inputs once more would take longer than all the rest.
            values, lived = met
            show(ctx, values, tick=True)
            if not lived:
                ctx.set(doubtful, doubt := 1 - doubt)

    sim.add_process(follow)
    sim.add_process(clock)
