"""Runs the tests of a block, or of a part of the firmware, on each of its mutants.

The tests are collected, and the designs of a block compiled, once with all mutants in them. First the tests
run on what it is: those that pass are the ones that count. Then each mutant gets a process of its own, forked
from there, in which they run until one fails; those that kill most in their time first.
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
from verif.campaigns.mutation.words import Change, Origin, part_of, play, sample

__all__ = ["FirmwareHunt", "Hunt"]

#: Computing time that one mutant may cost; tests that would exceed it are not run on mutants.
SECONDS = 25
#: How a process ends whose mutant has survived; any other number is that of the test that failed.
SURVIVED = 255


@dataclass
class Hunt(Trial):
    """A pytest plugin; afterwards, what was found."""

    number: int = 60
    seed: int = 1
    jobs: int = 2
    mutants: Sequence[Mutant | Change] = ()
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
        # The number of a test is how a process ends.
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
            self.state.mutant = number + 1
            for place in self._order(number, timed):
                seconds, item = timed[place]
                # The signal ends the process: a mutant that stands still is as dead as one that fails.
                signal.setitimer(signal.ITIMER_VIRTUAL, 1 + 3 * seconds)
                if not self.passes(item):
                    os._exit(place)
            os._exit(SURVIVED)
        return process

    def _order(self, number: int, timed: list[Timed]) -> list[int]:
        """The tests for a mutant: what has killed most for its time comes first."""
        fit = [place for place, (_, item) in enumerate(timed) if self.meets(item, number)]
        spent = accumulate(timed[place][0] for place in fit)
        quick = [place for place, sum_ in zip(fit, spent, strict=True) if sum_ < SECONDS] or fit[:1]
        return sorted(quick, key=lambda place: timed[place][0] / (1 + self._kills[place]))

    def meets(self, item: pytest.Item, number: int) -> bool:
        """Whether a test can notice the n-th mutant."""
        return True

    def _wait(self, running: dict[int, int], timed: list[Timed]) -> None:
        process, status = os.wait()
        number, code = running.pop(process), os.waitstatus_to_exitcode(status)
        if code != SURVIVED:
            self.killers[number] = timed[code][1].nodeid if code >= 0 else "hangs"
        if 0 <= code < SURVIVED:
            self._kills[code] += 1


@dataclass
class FirmwareHunt(Hunt):
    """The same for a part of the firmware.

    A mutant is in what is assembled in its process, so no test may assemble anything while it is collected.
    """

    #: The words that each test runs.
    _met: dict[pytest.Item, set[Origin]] = field(default_factory=dict)

    def _stand_in(self) -> AbstractContextManager:
        assert self.plan.firmware is not None
        self.mutants = sample(self.plan.firmware, self.number, self.seed)
        return play(self.mutants)

    def _timed(self, items: list[pytest.Item]) -> Iterator[Timed]:
        """In a process of its own: what tests keep of the firmware, no mutant's process inherits."""
        here, there = Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            there.send([self._told(item) for item in items])
            os._exit(0)
        there.close()
        for item, (seconds, passes, met) in zip(items, here.recv(), strict=True):
            if met:
                (self.passed if passes else self.failed).append(item.nodeid.removeprefix("verif/"))
            if met and passes:
                self._met[item] = met
                yield seconds, item
        os.waitpid(process, 0)

    def _told(self, item: pytest.Item) -> tuple[float, bool, set[Origin]]:
        """Of one test: seconds, whether it passes, and which words of the part it runs."""
        self.state.met.clear()
        begin = time.process_time()
        passes = self.passes(item)
        seconds = time.process_time() - begin
        return seconds, passes, {one for one in self.state.met if part_of(one) == self.plan.firmware}

    def meets(self, item: pytest.Item, number: int) -> bool:
        """Whether it runs the word."""
        return self.mutants[number].origin in self._met[item]
