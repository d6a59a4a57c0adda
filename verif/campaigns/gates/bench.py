"""Run the tests of a block on another form of its design: its gates, its mutants, its instrumented source."""

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

#: CPU seconds of a test, and the test.
Timed = tuple[float, pytest.Item]
#: Marks a file whose tests run single blocks in Amaranth's simulator.
SIMULATES = re.compile(r"from verif\.benches\.block import")
#: Marks a file whose tests run parts of the firmware.
RUNS_FIRMWARE = re.compile(r"from verif\.(benches\.(firmware|event_log)|models\.processor) import")


def tests_of(plan: Plan) -> list[str]:
    """Return the tests of a plan that run its block, or its part of the firmware."""
    files = {test.partition("::")[0] for test in plan.tests}
    marks = RUNS_FIRMWARE if plan.firmware else SIMULATES
    fit = {file for file in files if plan.in_chip or marks.search((VERIF / file).read_text("utf-8"))}
    return [test for test in plan.tests if test.partition("::")[0] in fit]


@dataclass
class Trial:
    """Runs the tests once as a pytest plugin, with the block replaced by what `verilog` makes of it.

    The substitute stands in Amaranth's simulator if the block has tests of its own, else within the simulated
    chip. Tests that are long, or that never run the block, do not count.
    """

    plan: Plan
    #: Names of the tests, by their result.
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    #: Whether the substitute counts the points that the tests reach.
    coverage: ClassVar[bool] = False

    def verilog(self, text: str) -> str:
        """Return the substitute for the design `text`, which is RTLIL; the module is `top` in both."""
        raise NotImplementedError

    def run(self) -> None:
        """Run the tests."""
        tests = [f"{VERIF}/{test}" for test in self.plan.in_brief or tests_of(self.plan)]
        with ExitStack() as self._stack, redirect_stdout(StringIO()):
            pytest.main(["-p", "no:cacheprovider", "-p", "no:cov", "-m", "not long", *tests], plugins=[self])

    def plain(self, tests: Sequence[str]) -> None:
        """Run `tests` without a substitute."""
        for test in tests:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{VERIF}/{test}"]
            run = subprocess.run(command, capture_output=True, check=False)
            (self.failed if run.returncode else self.passed).append(test)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Substitute the block in everything that the tests build."""
        # These imports must wait until pytest has started, since it rewrites the modules that it imports.
        from hypothesis import Phase, settings

        from verif.benches import block

        self.substitute = self._stack.enter_context(self._substituted())
        plain = block.examples
        # The first failing example is enough: shrinking it would only take time.
        phases = (Phase.explicit, Phase.generate)
        block.examples = lambda number: settings(plain(number), phases=phases)
        return (yield)

    def _substituted(self) -> AbstractContextManager:
        from verif.campaigns.gates.in_chip import in_chip
        from verif.campaigns.gates.substitute import in_simulator

        assert self.plan.block is not None
        module, _, name = self.plan.block.rpartition(".")
        component = getattr(importlib.import_module(module), name)
        substituted = in_chip if self.plan.in_chip else in_simulator
        return substituted(component, self.verilog, coverage=self.coverage)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether the test has failed."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the collected tests."""
        self.evaluate(list(self._timed(session.items)))
        return True

    def evaluate(self, timed: list[Timed]) -> None:
        """Do the rest of the campaign's work with the tests that passed."""

    def _timed(self, items: list[pytest.Item]) -> Iterator[Timed]:
        for item in items:
            self.substitute.uses, begin = 0, time.process_time()
            passes = self.passes(item)
            if not self.substitute.uses:
                continue
            (self.passed if passes else self.failed).append(item.nodeid.removeprefix("verif/"))
            if passes:
                yield time.process_time() - begin, item

    def passes(self, item: pytest.Item) -> bool:
        """Run one test and return whether it passes."""
        self._failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed
