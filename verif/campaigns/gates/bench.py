"""Runs the tests of a block on another form of its design: its gates, its mutants, its source that counts."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import ClassVar

import pytest

from verif.plans.plan import VERIF, Plan

__all__ = ["Timed", "Trial", "tests_of"]

#: A test and the seconds of computing that it took.
Timed = tuple[float, pytest.Item]
#: A file whose tests run single blocks in Amaranth's simulator.
SIMULATES = re.compile(r"from verif\.benches\.block import")
#: One whose tests run parts of the firmware.
RUNS_FIRMWARE = re.compile(r"from verif\.(benches\.(firmware|event_log)|models\.processor) import")


def tests_of(plan: Plan) -> list[str]:
    """The tests of a plan that meet its block, or its part of the firmware."""
    files = {test.partition("::")[0] for test in plan.tests}
    meets = RUNS_FIRMWARE if plan.firmware else SIMULATES
    fit = {file for file in files if plan.in_chip or meets.search((VERIF / file).read_text("utf-8"))}
    return [test for test in plan.tests if test.partition("::")[0] in fit]


@dataclass
class Trial:
    """A pytest plugin: the tests run once, and meet what `verilog` makes of the block.

    A block with tests of its own is met in Amaranth's simulator, one without within the simulated chip.
    Tests that do not meet the block, or are long, are left out of what was found.
    """

    plan: Plan
    #: Tests that passed, and those that did not.
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    #: Whether what the tests reach is counted.
    coverage: ClassVar[bool] = False

    def verilog(self, text: str) -> str:
        """What the tests meet, of RTLIL `text`; module `top` in both."""
        raise NotImplementedError

    def run(self) -> None:
        """Run the tests."""
        tests = [f"{VERIF}/{test}" for test in self.plan.in_brief or tests_of(self.plan)]
        with ExitStack() as self._stack, redirect_stdout(StringIO()):
            pytest.main(["-p", "no:cacheprovider", "-p", "no:cov", "-m", "not long", *tests], plugins=[self])

    def plain(self, tests: Sequence[str]) -> None:
        """Run `tests` as they are."""
        for test in tests:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{VERIF}/{test}"]
            run = subprocess.run(command, capture_output=True, check=False)
            (self.failed if run.returncode else self.passed).append(test)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Everything that the tests build is met by the stand-in."""
        # Not before pytest has started: it rewrites what it imports.
        from hypothesis import Phase, settings

        from verif.benches import block

        self.state = self._stack.enter_context(self._stand_in())
        plain = block.examples
        # The first example that fails is enough; the smallest one is nobody's concern.
        phases = (Phase.explicit, Phase.generate)
        block.examples = lambda number: settings(plain(number), phases=phases)
        return (yield)

    def _stand_in(self) -> AbstractContextManager:
        from verif.campaigns.gates.in_chip import in_chip
        from verif.campaigns.gates.substitute import stand_in_for

        assert self.plan.block is not None
        module, _, name = self.plan.block.rpartition(".")
        component = getattr(importlib.import_module(module), name)
        stand_in = in_chip if self.plan.in_chip else stand_in_for
        return stand_in(component, self.verilog, coverage=self.coverage)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember failures."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what was collected."""
        self.judge(list(self._timed(session.items)))
        return True

    def judge(self, timed: list[Timed]) -> None:
        """What else is to be done with the tests that passed."""

    def _timed(self, items: list[pytest.Item]) -> Iterator[Timed]:
        for item in items:
            self.state.plays, begin = 0, time.process_time()
            passes = self.passes(item)
            if not self.state.plays:
                continue
            (self.passed if passes else self.failed).append(item.nodeid.removeprefix("verif/"))
            if passes:
                yield time.process_time() - begin, item

    def passes(self, item: pytest.Item) -> bool:
        """Run one test."""
        self._failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed
