"""Runs the tests of a block on each of its mutants.

The tests are collected and their designs compiled once, with all mutants in them. First the tests run on the
design as it is: those that pass are the ones that count. Then each mutant gets a process of its own, forked
from there, in which they run until one fails; those that kill most in their time first.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from itertools import accumulate

from gates.bench import Timed, Trial
from mutation.mutants import Design, Mutant

__all__ = ["Hunt"]

#: Computing time that one mutant may cost; tests that would exceed it are not run on mutants.
SECONDS = 15
#: How a process ends whose mutant has survived; any other number is that of the test that failed.
SURVIVED = 255


@dataclass
class Hunt(Trial):
    """A pytest plugin; afterwards, what was found."""

    number: int = 60
    seed: int = 1
    jobs: int = 2
    mutants: list[Mutant] = field(default_factory=list)
    #: What killed the n-th mutant: a test's name; None where it survived.
    killers: list[str | None] = field(default_factory=list)
    #: The design of the first set of parameters that was met; mutants are chosen in it.
    design: Design | None = None

    def verilog(self, text: str) -> str:
        """The design with all mutants."""
        design = Design(text)
        if self.design is None:
            self.design, self.mutants = design, design.sample(self.number, self.seed)
        return design.mutated(self.mutants)

    def judge(self, timed: list[Timed]) -> None:
        """Each mutant in its own process."""
        timed.sort(key=lambda one: one[0])
        spent = accumulate(seconds for seconds, _ in timed)
        timed = [one for one, sum_ in zip(timed, spent, strict=True) if sum_ < SECONDS] or timed[:1]
        self.killers = [None] * len(self.mutants)
        self._kills = [0] * len(timed)
        running: dict[int, int] = {}
        for number in range(len(self.mutants)):
            if len(running) == self.jobs:
                self._wait(running, timed)
            running[self._fork(number, timed)] = number
        while running:
            self._wait(running, timed)

    def _fork(self, number: int, timed: list[Timed]) -> int:
        process = os.fork()
        if process == 0:
            self.state.mutant = number + 1
            # What has killed most for its time comes first.
            for place in sorted(range(len(timed)), key=lambda n: timed[n][0] / (1 + self._kills[n])):
                seconds, item = timed[place]
                # The signal ends the process: a mutant that stands still is as dead as one that fails.
                signal.setitimer(signal.ITIMER_VIRTUAL, 1 + 3 * seconds)
                if not self.passes(item):
                    os._exit(place)
            os._exit(SURVIVED)
        return process

    def _wait(self, running: dict[int, int], timed: list[Timed]) -> None:
        process, status = os.wait()
        number, code = running.pop(process), os.waitstatus_to_exitcode(status)
        if code != SURVIVED:
            self.killers[number] = timed[code][1].nodeid if code >= 0 else "hangs"
        if 0 <= code < SURVIVED:
            self._kills[code] += 1
