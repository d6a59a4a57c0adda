"""Replace a block within the whole simulated chip by another form of it.

The block's module is taken out of the chip's RTLIL, `verilog` makes the substitute from it, and the
substitute takes its place; the rest of the chip is simulated as always.
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

__all__ = ["ChipSubstitute", "in_chip"]

#: Environment variables from which the compiled chip learns its mutant and the folder of its counters.
MUTANT, COUNTERS = "METERSEAL_MUTANT", "METERSEAL_COUNTERS"
EXPORT = "read_rtlil top.il\nproc -nomux -norom\nmemory_collect\nwrite_verilog -sv -norename -noattr out.v\n"
TAKE = "read_rtlil top.il\nhierarchy -top {name}\nwrite_rtlil out.il\n"
MODULE = re.compile(r"^(?:\(\*[^\n]*\n)*module .*?^endmodule\n", re.MULTILINE | re.DOTALL)
#: The body of the block's module, which contains the substitute.
PLACE = f"""\
  reg [15:0] {SELECT};
  initial {SELECT} = 16'($c32("(getenv(\\"{MUTANT}\\") ? atoi(getenv(\\"{MUTANT}\\")) : 0)"));
  top top(.*);
endmodule
"""
#: Each chip writes its counters to a file of its own when its power ends.
WRITE = f"""\
  final $c("if (const char* folder = getenv(\\"{COUNTERS}\\")) {{",
    "static int count;",
    "const std::string file = std::string(folder) + \\"/%d-\\" + std::to_string(count++);",
    "vlSymsp->_vm_contextp__->coveragep()->write(file.c_str());",
    "}}");
"""


@dataclass
class ChipSubstitute:
    """Replaces the block, and keeps the chips that have been made so far."""

    #: Source of the block, `rtl/…`.
    file: str
    #: Makes Verilog, which replaces the block, from its RTLIL; module `top` in both.
    verilog: Callable[[str], str]
    #: Folder of the counters; without one nothing is counted.
    counters: Path | None = None
    #: Number of chips that were exported.
    uses: int = 0
    #: Verilog of the block and of the chip around it, by the parts of the chip.
    made: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def mutant(self) -> int:
        """Return the number of the selected mutant; 0 selects none."""
        return int(os.environ.get(MUTANT, 0))

    @mutant.setter
    def mutant(self, number: int) -> None:
        os.environ[MUTANT] = str(number)

    def chip_verilog(self, *, say: Callable[[str], None] = print, **options: object) -> str:
        """Replace `meterseal.sim.chip.build.chip_verilog`."""
        self.uses += 1
        key = str(sorted(options.items()))
        if key not in self.made:
            chip = rtlil.convert(SealChip(**options), name="seal_chip")
            self.made[key] = self._halves(chip.replace(f"{ROOT}/", ""))
        return "\n/*verilator coverage_off*/\n".join(self.made[key])

    def covered(self) -> Iterator[tuple[Path, str]]:
        """Yield each file of counters with the Verilog that it is about, and delete it."""
        assert self.counters
        for path in self.counters.iterdir():
            yield path, list(self.made.values())[int(path.name.partition("-")[0])][0]
            path.unlink()

    def _halves(self, chip: str) -> tuple[str, str]:
        """Return the Verilog of the block, module `top`, and of the chip around it."""
        source = rf'attribute \\src "{re.escape(self.file)}:\d+"'
        found = re.search(rf"{source}\n(?:attribute .*\n)*module \\(\S+)", chip)
        assert found, f"{self.file} is not in the chip"
        name = found[1]
        taken = yosys(TAKE.format(name=name), top_il=chip)["out.il"]
        block = self.verilog(re.sub(rf"\\{re.escape(name)}(?=[.\s])", r"\\top", taken))
        rest = {_name(it[0]): it[0] for it in MODULE.finditer(yosys(EXPORT, top_il=chip)["out.v"])}
        # The components within it have plans of their own, so they stay as they are.
        block = MODULE.sub(
            lambda it: "" if _name(it[0]) in rest else it[0], block.replace("\\top.", f"\\{name}.")
        )
        head, body = rest[name].split(");\n", 1)
        ends = re.findall(r"^  (?:input|output) .*;\n", body, re.MULTILINE)
        write = WRITE % len(self.made) if self.counters else ""
        rest[name] = "".join([head, ");\n", *ends, write, PLACE])
        return block, "".join(rest.values())


@contextmanager
def in_chip(
    component: type, verilog: Callable[[str], str], *, coverage: bool = False
) -> Iterator[ChipSubstitute]:
    """Replace `component` in every chip that this process simulates by what `verilog` makes of it."""
    file = f"rtl/{component.__module__.replace('.', '/')}.py"
    with TemporaryDirectory(prefix="meterseal-") as folder, ExitStack() as patches:
        substitute = ChipSubstitute(file, verilog, Path(folder) if coverage else None)
        patches.enter_context(patch.dict(os.environ, {COUNTERS: folder}))
        patches.enter_context(patch.object(build, "chip_verilog", substitute.chip_verilog))
        patches.enter_context(patch.object(build, "library", partial(build.library, coverage=coverage)))
        yield substitute


def _name(module: str) -> str:
    """Return the name of a Verilog module."""
    return re.search(r"^module \\?([^\s(]+)", module, re.MULTILINE)[1]
