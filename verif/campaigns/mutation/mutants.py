"""Choose mutants of a design, and build one design in which an input selects among them.

`mutate` of yosys inverts, ties or crosses a bit at a port of a cell. A mutant is identified by the type of
its cell, the line of our source that made the cell, and the number of such cells before it. The same mutant
is therefore found again in a design with other parameters, and in the design of a theorem.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from verif.campaigns.gates.compiled import SELECT, yosys

__all__ = ["Design", "Mutant"]

#: Processes become cells, and logic that no output depends on is removed.
PREPARE = "read_rtlil top.il\nproc\nopt_expr\nopt_clean\n"

#: Simplifies each part by itself, for any inputs.
PARTS = """\
read_rtlil top.il
select -set parts top.* top.*.* %d
setattr -mod -set keep_hierarchy 1 @parts
flatten
memory -nomap
memory_map -rom-only
opt
write_json out.json
"""

#: Ports at which a mutant equals the one at port A of the register's buffer.
_SAME = ("$dff", "Q"), ("register", "Y")


@dataclass(frozen=True)
class Mutant:
    """Describes one change of one bit."""

    #: `inv`: inverted; `const0`, `const1`: tied; `cnot0`, `cnot1`: inverted if another bit is 0 or 1.
    mode: str
    #: Type of the cell, its place in our source, and its number among equal ones.
    cell: tuple[str, str, int]
    port: str
    bit: int
    #: The other bit of a `cnot`, else None.
    other: int | None

    @property
    def place(self) -> str:
        """Return the place in our source, `file:line`."""
        return self.cell[1]

    def __str__(self) -> str:
        kind, _, number = self.cell
        other = f" by bit {self.other}" if self.other is not None else ""
        return f"{self.mode} {kind}#{number}.{self.port}[{self.bit}]{other}"


class Design:
    """Prepares a module of the RTLIL `text` for mutation."""

    def __init__(self, text: str, module: str = "top") -> None:
        self._module = module
        self.text = _buffered(yosys(f"{PREPARE}write_rtlil out.il\n", top_il=text)["out.il"])
        made = yosys("read_rtlil top.il\nwrite_json out.json\n", top_il=self.text)
        self._cells = json.loads(made["out.json"])["modules"][module]["cells"]

    @cached_property
    def _names(self) -> dict[tuple[str, str, int], str]:
        """Return the name of each cell."""
        return {cell: name for name, cell in self._keys()}

    def _keys(self) -> Iterator[tuple[str, tuple[str, str, int]]]:
        seen: Counter[tuple[str, str]] = Counter()
        for name, cell in self._cells.items():
            register = re.fullmatch(r"\$buffer\\(.*?)(\$\d+)?", name)
            kind = f"register {register[1]}" if register else cell["type"].replace(f"{self._module}.", "")
            alike = (kind, _own_place(cell["attributes"].get("src", "")))
            yield name, (*alike, seen[alike])
            seen[alike] += 1

    def sample(self, number: int, seed: int) -> list[Mutant]:
        """Return at most `number` mutants in our own source, spread evenly; the seed determines which."""
        # List more than needed: some are in the source of a library.
        listing = f"mutate -list {4 * number} -seed {seed} -o out.txt {self._module}\n"
        lines = yosys(f"read_rtlil top.il\n{listing}", top_il=self.text)["out.txt"].splitlines()
        keys = dict(self._keys())
        found = []
        for line in lines:
            fields = dict(re.findall(r"-(mode|cell|port|portbit|ctrlbit) (\S+)", line))
            cell = keys[fields["cell"].removeprefix("\\")]
            other = int(fields["ctrlbit"]) if "ctrlbit" in fields else None
            mutant = Mutant(
                fields["mode"], cell, fields["port"].removeprefix("\\"), int(fields["portbit"]), other
            )
            fit = mutant.port != "CLK" and not mutant.cell[0].startswith("$meminit")
            once = fit and (mutant.cell[0].split()[0], mutant.port) not in _SAME
            if mutant.place and once and mutant not in found:
                found.append(mutant)
        return found[:number]

    def fits(self, mutant: Mutant) -> bool:
        """Return whether the design has the cell and the bits."""
        name = self._names.get(mutant.cell)
        bits = self._cells[name]["connections"].get(mutant.port, ()) if name else ()
        return max(mutant.bit, mutant.other or 0) < len(bits)

    @cached_property
    def _parts(self) -> dict[str, dict]:
        """Return the parts of the module, by their types."""
        modules = json.loads(yosys(PARTS, top_il=self.text)["out.json"])["modules"]
        return {name: modules[name] for name in modules if name != self._module}

    @cached_property
    def _constants(self) -> dict[int, str]:
        """Return the bits of the module that one of its parts holds constant, and their values."""
        return {
            net: given
            for cell in self._cells.values()
            for port, its in self._parts.get(cell["type"], {"ports": {}})["ports"].items()
            if its["direction"] == "output"
            for net, given in zip(cell["connections"][port], its["bits"], strict=True)
            if given in ("0", "1")
        }

    def _is_used(self, mutant: Mutant) -> bool:
        """Return whether anything in the cell depends on the bit."""
        part = self._parts.get(self._cells[self._names[mutant.cell]]["type"])
        if part is None or part["ports"][mutant.port]["direction"] == "output":
            return True
        net = part["ports"][mutant.port]["bits"][mutant.bit]
        wired = [bits for cell in part["cells"].values() for bits in cell["connections"].values()]
        given = [port["bits"] for port in part["ports"].values() if port["direction"] == "output"]
        return any(net in bits for bits in wired + given)

    def keeps(self, mutant: Mutant) -> bool:
        """Return whether `mutant` clearly has no effect.

        The bit already has the value that the mutant gives it, or is never inverted by it, or is not used.
        Test: `verif/campaigns/mutation/test_mutants.py::test_constant_and_unused_bits_of_a_part`.
        """
        bits = self._cells[self._names[mutant.cell]]["connections"][mutant.port]
        bit = bits[mutant.bit if mutant.other is None else mutant.other]
        always = self._constants.get(bit, bit)
        kept = {"const0": "0", "const1": "1", "cnot0": "1", "cnot1": "0"}.get(mutant.mode) == always
        return kept or not self._is_used(mutant)

    def mutated(self, mutants: list[Mutant], write: str = "write_verilog -sv -noattr out.v") -> str:
        """Return the design in which the input `SELECT` chooses the n-th of `mutants`, counted from 1."""
        commands = [
            self._command(mutant, f"-ctrl {SELECT} 16 {number}")
            for number, mutant in enumerate(mutants, 1)
            if self.fits(mutant)
        ]
        script = "\n".join(["read_rtlil top.il", *commands, "memory_collect", write, ""])
        return yosys(script, top_il=self.text)[write.split()[-1]]

    def mutant(self, mutant: Mutant) -> str:
        """Return the RTLIL with `mutant` built in."""
        return yosys(
            f"read_rtlil top.il\n{self._command(mutant, '')}\nwrite_rtlil out.il\n", top_il=self.text
        )["out.il"]

    def _command(self, mutant: Mutant, control: str) -> str:
        other = f"-ctrlbit {mutant.other}" if mutant.other is not None else ""
        return (
            f"mutate -mode {mutant.mode} -module {self._module} -cell {self._names[mutant.cell]} "
            f"-port {mutant.port} -portbit {mutant.bit} {other} {control}"
        )


def _buffered(text: str) -> str:
    """Return RTLIL in which every register is followed by a buffer.

    The initial value of a register belongs to the wire at its Q: without the buffer, a mutant there would
    take it from the register.
    """
    modules = re.split(r"(?=^module )", text, flags=re.MULTILINE)
    return "".join([modules[0], *map(_buffered_module, modules[1:])])


def _buffered_module(text: str) -> str:
    inits: dict[str, str] = {}

    def wire(found: re.Match[str]) -> str:
        attributes, width, rest, name = (part or "" for part in found.groups())
        init = re.search(r"  attribute \\init .*\n", attributes)
        if not init:
            return found[0]
        inits[name] = f"{init[0]}  wire {width}$held{name}\n"
        return f"{attributes.replace(init[0], '')}  wire {width}{rest}{name}\n{inits[name]}"

    def register(found: re.Match[str]) -> str:
        source, cell, name = found.groups()
        if name not in inits:
            return found[0]
        width = re.search(r"parameter \\WIDTH (\d+)", cell)[1]
        buffer = (
            f"{source}  cell $pos $buffer{name}\n    parameter \\A_SIGNED 0\n"
            f"    parameter \\A_WIDTH {width}\n"
            f"    parameter \\Y_WIDTH {width}\n    connect \\A $held{name}\n    connect \\Y {name}\n  end\n"
        )
        return f"{source}{cell}    connect \\Q $held{name}\n  end\n{buffer}"

    text = re.sub(r"((?:  attribute .*\n)+)  wire (width \d+ )?(.*?)(\\\S+)\n", wire, text)
    return re.sub(
        r"((?:  attribute .*\n)*)(  cell \$dff .*\n(?:    .*\n)*?)    connect \\Q (\\\S+)\n  end\n",
        register,
        text,
    )


def _own_place(sources: str) -> str:
    """Return the last place in our own source among a cell's `sources`, or an empty string."""
    own = [source for source in sources.split("|") if source.startswith("rtl/")]
    return own[-1] if own else ""
