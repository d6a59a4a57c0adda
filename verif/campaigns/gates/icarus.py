"""Simulate designs on Icarus Verilog, where registers and wires are X until something sets them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from verif.campaigns.gates.compiled import yosys

__all__ = ["IcarusMissingError", "benches", "outputs_after_reset", "with_whole_memories"]

#: Cycles in reset, and the cycles after it in which outputs are checked while inputs are random.
RESET, LOOKS = 4, 500
#: The declaration of a memory.
_MEMORY = re.compile(r"^(?P<declared> *reg \[\d+:0\] (?P<name>\S+)) +\[(?P<last>\d+):0\];$", re.MULTILINE)


class IcarusMissingError(Exception):
    """Reports that Icarus Verilog is not installed."""

    def __init__(self) -> None:
        super().__init__("Icarus Verilog is missing: install the system package `iverilog`")


def with_whole_memories(verilog: str) -> str:
    """Return `verilog` with every memory's depth rounded up to a power of two.

    The bench uses random addresses. The chip never reads beyond a memory's end; there Icarus gives X, but a
    block RAM gives 0.
    """
    return _MEMORY.sub(_whole, verilog)


def _whole(memory: re.Match[str]) -> str:
    declared, name, last = memory["declared"], memory["name"], int(memory["last"])
    whole = (1 << last.bit_length()) - 1
    zeros = " ".join(f"{name} [{place}] = 0;" for place in range(last + 1, whole + 1))
    return f"{declared} [{whole}:0];\ninitial begin {zeros} end"


def benches(verilog: str) -> dict[str, str]:
    """Return a bench for every module of `verilog` that has outputs, by the module's name."""
    found = yosys("read_verilog -sv top.v\nproc\nwrite_json out.json\n", top_v=verilog)["out.json"]
    modules = json.loads(found)["modules"].items()
    return {name: _bench(name, module) for name, module in modules if _ports(module, "output")}


def outputs_after_reset(verilog: str, folder: Path) -> list[str]:
    """Return the outputs that are X in any cycle after reset.

    `verilog` must contain the module `bench`. Raises `IcarusMissingError`.
    """
    if shutil.which("iverilog") is None:
        raise IcarusMissingError
    (folder / "bench.v").write_text(verilog, encoding="utf-8")
    # -g2005: the export is plain Verilog; -Wall would complain of unused bits.
    _run(["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v"], folder)
    output = _run(["vvp", "-n", "bench.vvp"], folder)
    assert "END" in output, output
    return sorted({line[2:] for line in output.splitlines() if line.startswith("X ")})


def _run(command: list[str], folder: Path) -> str:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{command[0]}: {run.stdout}{run.stderr}")
    return run.stdout


def _ports(module: dict[str, dict[str, dict[str, object]]], direction: str) -> dict[str, int]:
    """Return the width of each port."""
    ports = module["ports"].items()
    return {name: len(port["bits"]) for name, port in ports if port["direction"] == direction}


def _bench(name: str, module: dict[str, dict[str, dict[str, object]]]) -> str:
    """Return a module `bench` that resets the module of that name and gives it random inputs."""
    inputs, outputs = _ports(module, "input"), _ports(module, "output")
    driven = [name for name in inputs if name not in ("clk", "rst")]
    return "\n".join(
        [
            "module bench;",
            "reg clk = 0; reg rst = 1; integer cycle;",
            *(f"reg [{inputs[name] - 1}:0] \\i.{name} = 0;" for name in driven),
            *(f"wire [{width - 1}:0] \\o.{name} ;" for name, width in outputs.items()),
            f"\\{name} top (",
            ",\n".join(
                [
                    *(f".{name}({name})" for name in ("clk", "rst") if name in inputs),
                    *(f".\\{name} (\\i.{name} )" for name in driven),
                    *(f".\\{name} (\\o.{name} )" for name in outputs),
                ]
            ),
            ");",
            "initial begin",
            f"for (cycle = 0; cycle < {RESET + LOOKS}; cycle = cycle + 1) begin",
            f"rst = cycle < {RESET};",
            f"if (cycle >= {RESET}) begin",
            *(f"\\i.{name} = {{{(inputs[name] + 31) // 32}{{$random}}}};" for name in driven),
            "end #1;",
            f"if (cycle >= {RESET}) begin",
            *(f'if (^\\o.{name} === 1\'bx) $display("X {name}");' for name in outputs),
            "end clk = 1; #1 clk = 0;",
            'end $display("END"); end',
            "endmodule",
            "",
        ]
    )
