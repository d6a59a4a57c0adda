"""Run every check that is too long for a test, in about 45 minutes on two cores.

Each step consists of jobs, one for each block or proof. Every core runs one job at a time, the longest jobs
first. Results go to verif/data/results and from there into docs/verification.md. A job that fails does not
stop the others; the exit code is then 1. The step `icarus` needs the system package iverilog.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

from verif.formal.theorems import THEOREMS
from verif.plans.blocks import blocks, parser_of, parts
from verif.plans.plan import VERIF
from verif.plans.results import keep, kept

__all__ = ["main"]

PYTHON = [sys.executable, "-W", "ignore"]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
#: Commands of the steps that have a job, and a result, for each block.
BY_BLOCK = {
    "mutation": [*PYTHON, "-m", "verif.campaigns.mutation", "--jobs", "1"],
    "gates": [*PYTHON, "-m", "verif.campaigns.gates"],
    "coverage": [*PYTHON, "-m", "verif.campaigns.coverage"],
}
#: Seconds after which a job counts as failed.
TOO_LONG = 1800
#: Assumed CPU seconds of a job that has never run.
UNKNOWN = 60
#: CPU seconds and options of the soak, by front end. A chip that measures is never idle, so it has no calm.
SOAKS = {"sigma-delta": (150, ["--calm", "1"]), "comparator": (900, ["--calm", "1000"])}


@dataclass(frozen=True)
class Job:
    """Describes one command of a step."""

    step: str
    name: str
    command: list[str]
    #: CPU seconds that it took or is expected to take.
    seconds: float = UNKNOWN
    passed: bool = False


def main() -> int:
    """Run the command line and return the exit code."""
    parser_of("verify", __doc__).parse_args()
    jobs = sorted(_jobs(), key=lambda job: -job.seconds)
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        done = list(cores.map(_run, jobs))
    failed = [f"{job.step} {job.name}" for job in done if not job.passed]
    for step in dict.fromkeys(job.step for job in done):
        own = [job for job in done if job.step == step]
        took = {job.name: round(job.seconds) for job in own}
        wrong = [job.name for job in own if not job.passed]
        keep("verify", step, {"failed": wrong, "seconds": sum(took.values()), "jobs": took})
    _call([*PYTEST, "verif/project/test_plans.py"], METERSEAL_UPDATE_DOCS="1")
    print("verify:", "failed: " + ", ".join(failed) if failed else "all passed", flush=True)
    return int(bool(failed))


def _jobs() -> Iterator[Job]:
    before = {step: it["jobs"] for step, it in kept("verify").items()}
    alone = {step: kept(step) for step in BY_BLOCK}

    def job(step: str, name: str, command: list[str]) -> Job:
        guess = alone.get(step, {}).get(name, {}).get("seconds", UNKNOWN)
        return Job(step, name, command, before.get(step, {}).get(name, guess))

    proofs = [*PYTEST, "verif/formal/test_proofs.py"]
    yield job("proofs", "short", [*proofs, "-m", "not long"])
    for theorem in THEOREMS:
        if theorem.long:
            yield job("proofs", theorem.name, [*proofs, "-k", f"test_theorem and [{theorem.name}]"])
    for name in blocks():
        for step, command in BY_BLOCK.items():
            yield job(step, name, [*command, name])
    for name in parts():
        yield job("mutation", name, [*BY_BLOCK["mutation"], name])
    yield job("icarus", "chip", [*PYTEST, "-m", "long", "verif/campaigns/gates"])
    for simulator in ("verilator", "icarus"):
        yield job("agents", simulator, [*PYTEST, "verif/cosim", "-k", simulator])
    for front_end, (seconds, how) in SOAKS.items():
        options = ["--seconds", str(seconds), "--front-end", front_end, *how]
        soak = [*PYTHON, "-m", "verif.campaigns.soak", *options]
        yield Job("soak", front_end, soak, seconds)


def _run(job: Job) -> Job:
    """Run the job and return it with its result."""
    with TemporaryFile("w+") as output:
        seconds, passed = _call(job.command, output)
        output.seek(0)
        result = f"{'passed' if passed else 'FAILED'}, {seconds:.0f} CPU s"
        print(f"verify: {job.step} {job.name}: {result}\n{output.read()}", flush=True)
    return replace(job, seconds=seconds, passed=passed)


def _call(command: list[str], output: IO[str] | None = None, **environment: str) -> tuple[float, bool]:
    """Run `command`; return its CPU seconds and whether it passed."""
    path = os.pathsep.join([str(VERIF.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": tools, "PYTHONPATH": path, "METERSEAL_KEEP_RESULTS": "1"}
    environment = {**os.environ, **own, **environment}
    process = subprocess.Popen(
        command, cwd=VERIF.parent, env=environment, stdout=output, stderr=output, start_new_session=True
    )
    late = Timer(TOO_LONG, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    _, status, usage = os.wait4(process.pid, 0)
    late.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
