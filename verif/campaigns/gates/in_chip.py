"""A block within the whole chip: tests on the simulated pair meet the chip with another form of it.

The block's module is taken out of the chip's RTLIL, `verilog` makes of it what the tests shall meet, and that
stands in its place; the rest of the chip is what is always simulated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from amaranth.back import rtlil

from meterseal.sim.chip import build
from sealchip.chip import SealChip
from verif.campaigns.gates.compiled import ROOT, SELECT, yosys

__all__ = ["ChipStage", "in_chip"]

#: The process' environment tells the compiled chip which mutant it is, and where its counters go.
MUTANT, COUNTERS = "METERSEAL_MUTANT", "METERSEAL_COUNTERS"
EXPORT = "read_rtlil top.il\nproc -nomux -norom\nmemory_collect\nwrite_verilog -sv -norename -noattr out.v\n"
TAKE = "read_rtlil top.il\nhierarchy -top {name}\nwrite_rtlil out.il\n"
MODULE = re.compile(r"^(?:\(\*[^\n]*\n)*module .*?^endmodule\n", re.MULTILINE | re.DOTALL)
#: What stands in the block's place.
PLACE = f"""\
  reg [15:0] {SELECT};
  initial {SELECT} = 16'($c32("(getenv(\\"{MUTANT}\\") ? atoi(getenv(\\"{MUTANT}\\")) : 0)"));
  top top(.*);
endmodule
"""
#: The counters of a chip are written when its power ends, to a file of their own.
WRITE = f"""\
  final $c("if (const char* folder = getenv(\\"{COUNTERS}\\")) {{",
    "static int count;",
    "const std::string file = std::string(folder) + \\"/%d-\\" + std::to_string(count++);",
    "vlSymsp->_vm_contextp__->coveragep()->write(file.c_str());",
    "}}");
"""


@dataclass
class ChipStage:
    """What is replaced, and what has been met so far."""

    #: `rtl/…` of the block.
    file: str
    #: From the RTLIL of the block, module `top`, to its Verilog.
    verilog: Callable[[str], str]
    #: Where what is covered goes; none: nothing is counted.
    counters: Path | None = None
    #: Chips that were asked for.
    plays: int = 0
    #: By the parts of the chip: the block's Verilog, and the chip's around it.
    made: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def mutant(self) -> int:
        """The mutant that is played; 0 is none."""
        return int(os.environ.get(MUTANT, 0))

    @mutant.setter
    def mutant(self, number: int) -> None:
        os.environ[MUTANT] = str(number)

    def chip_verilog(self, *, say: Callable[[str], None] = print, **options: object) -> str:
        """In the place of `meterseal.sim.chip.build.chip_verilog`."""
        self.plays += 1
        key = str(sorted(options.items()))
        if key not in self.made:
            chip = rtlil.convert(SealChip(**options), name="seal_chip")
            self.made[key] = self._halves(chip.replace(f"{ROOT}/", ""))
        return "\n/*verilator coverage_off*/\n".join(self.made[key])

    def covered(self) -> Iterator[tuple[Path, str]]:
        """Files of counters, each with the Verilog that was counted; once only."""
        assert self.counters
        for path in self.counters.iterdir():
            yield path, list(self.made.values())[int(path.name.partition("-")[0])][0]
            path.unlink()

    def _halves(self, chip: str) -> tuple[str, str]:
        """Verilog of the block, module `top`, and of the chip around it."""
        source = rf'attribute \\src "{re.escape(self.file)}:\d+"'
        found = re.search(rf"{source}\n(?:attribute .*\n)*module \\(\S+)", chip)
        assert found, f"{self.file} is not in the chip"
        name = found[1]
        taken = yosys(TAKE.format(name=name), top_il=chip)["out.il"]
        block = self.verilog(re.sub(rf"\\{re.escape(name)}(?=[.\s])", r"\\top", taken))
        rest = {_name(it[0]): it[0] for it in MODULE.finditer(yosys(EXPORT, top_il=chip)["out.v"])}
        # Of the components within it, it is their own plans that speak.
        block = MODULE.sub(
            lambda it: "" if _name(it[0]) in rest else it[0], block.replace("\\top.", f"\\{name}.")
        )
        head, body = rest[name].split(");\n", 1)
        ends = re.findall(r"^  (?:input|output) .*;\n", body, re.MULTILINE)
        write = WRITE % len(self.made) if self.counters else ""
        rest[name] = "".join([head, ");\n", *ends, write, PLACE])
        return block, "".join(rest.values())


@contextmanager
def in_chip(component: type, verilog: Callable[[str], str], *, coverage: bool = False) -> Iterator[ChipStage]:
    """Let every chip that this process simulates have what `verilog` makes of its `component`."""
    file = f"rtl/{component.__module__.replace('.', '/')}.py"
    with TemporaryDirectory(prefix="meterseal-") as folder, ExitStack() as patches:
        stage = ChipStage(file, verilog, Path(folder) if coverage else None)
        patches.enter_context(patch.dict(os.environ, {COUNTERS: folder}))
        patches.enter_context(patch.object(build, "chip_verilog", stage.chip_verilog))
        patches.enter_context(patch.object(build, "library", partial(build.library, coverage=coverage)))
        yield stage


def _name(module: str) -> str:
    """The name of a module of Verilog."""
    return re.search(r"^module \\?([^\s(]+)", module, re.MULTILINE)[1]
