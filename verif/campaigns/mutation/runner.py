"""Run the tests of a block, or of a part of the firmware, on each of its mutants.

The tests are collected once, and the designs of a block are compiled once with all mutants in them. First the
tests run on the original: those that pass are used. Then each mutant gets a process of its own, forked from
there, in which the tests run until one fails; the tests with the most kills per second run first.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import accumulate
from multiprocessing import Pipe

import pytest

from verif.campaigns.gates.bench import Timed, Trial
from verif.campaigns.mutation.mutants import Design, Mutant
from verif.campaigns.mutation.words import Change, Origin, mutated, part_of, sample

__all__ = ["FirmwareRunner", "MutantRunner"]

#: CPU seconds that one mutant may take; tests that would exceed them are not run on mutants.
SECONDS = 25
#: Exit code of the process of a surviving mutant; any other exit code is the number of the test that failed.
SURVIVED = 255


@dataclass
class MutantRunner(Trial):
    """Runs the tests on the mutants as a pytest plugin, and then holds the results."""

    number: int = 60
    seed: int = 1
    jobs: int = 2
    mutants: Sequence[Mutant | Change] = ()
    #: Name of the test that killed the n-th mutant; None if the mutant survived.
    killers: list[str | None] = field(default_factory=list)
    #: The first design that the tests have built; the mutants are chosen in it.
    design: Design | None = None

    def verilog(self, text: str) -> str:
        """Return the design with all mutants in it."""
        design = Design(text)
        if self.design is None:
            self.design, self.mutants = design, design.sample(self.number, self.seed)
        return design.mutated(self.mutants)

    def evaluate(self, timed: list[Timed]) -> None:
        """Test each mutant in its own process."""
        # The number of the test that fails is the exit code of the process.
        timed = sorted(timed, key=lambda one: one[0])[:SURVIVED]
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
            self.substitute.mutant = number + 1
            for place in self._order(number, timed):
                seconds, item = timed[place]
                # The signal ends the process: a mutant that hangs counts as killed.
                signal.setitimer(signal.ITIMER_VIRTUAL, 1 + 3 * seconds)
                if not self.passes(item):
                    os._exit(place)
            os._exit(SURVIVED)
        return process

    def _order(self, number: int, timed: list[Timed]) -> list[int]:
        """Return the tests for a mutant, those with the most kills per second first."""
        fit = [place for place, (_, item) in enumerate(timed) if self.reaches(item, number)]
        spent = accumulate(timed[place][0] for place in fit)
        quick = [place for place, sum_ in zip(fit, spent, strict=True) if sum_ < SECONDS] or fit[:1]
        return sorted(quick, key=lambda place: timed[place][0] / (1 + self._kills[place]))

    def reaches(self, item: pytest.Item, number: int) -> bool:
        """Return whether a test runs the code that the n-th mutant has changed."""
        return True

    def _wait(self, running: dict[int, int], timed: list[Timed]) -> None:
        process, status = os.wait()
        number, code = running.pop(process), os.waitstatus_to_exitcode(status)
        if code != SURVIVED:
            self.killers[number] = timed[code][1].nodeid if code >= 0 else "hangs"
        if 0 <= code < SURVIVED:
            self._kills[code] += 1


@dataclass
class FirmwareRunner(MutantRunner):
    """Runs the tests of a part of the firmware on its mutants.

    The program is mutated when it is assembled, so no test may assemble anything while it is collected.
    """

    #: The words that each test runs.
    _words: dict[pytest.Item, set[Origin]] = field(default_factory=dict)

    def _substituted(self) -> AbstractContextManager:
        assert self.plan.firmware is not None
        self.mutants = sample(self.plan.firmware, self.number, self.seed)
        return mutated(self.mutants)

    def _timed(self, items: list[pytest.Item]) -> Iterator[Timed]:
        """Run the tests in another process, so that no mutant inherits a program that a test keeps."""
        here, there = Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            there.send([self._measured(item) for item in items])
            os._exit(0)
        there.close()
        for item, (seconds, passes, words) in zip(items, here.recv(), strict=True):
            if words:
                (self.passed if passes else self.failed).append(item.nodeid.removeprefix("verif/"))
            if words and passes:
                self._words[item] = words
                yield seconds, item
        os.waitpid(process, 0)

    def _measured(self, item: pytest.Item) -> tuple[float, bool, set[Origin]]:
        """Run one test; return its CPU seconds, whether it passes, and which words of the part it runs."""
        self.substitute.ran.clear()
        begin = time.process_time()
        passes = self.passes(item)
        seconds = time.process_time() - begin
        return seconds, passes, {one for one in self.substitute.ran if part_of(one) == self.plan.firmware}

    def reaches(self, item: pytest.Item, number: int) -> bool:
        """Return whether the test runs the mutated word."""
        return self.mutants[number].origin in self._words[item]
