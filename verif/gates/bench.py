"""Runs the tests of a block on its compiled design."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
from gates.compiled import Port
from plan.plans import VERIF, Plan

__all__ = ["Timed", "Trial", "simulated"]

#: A test and the seconds of computing that it took.
Timed = tuple[float, pytest.Item]
#: A file whose tests run single blocks in Amaranth's simulator.
SIMULATES = re.compile(r"from chip\.(support|log_bench) import")


def simulated(plan: Plan) -> list[str]:
    """The tests of a plan that run a single block."""
    files = {test.partition("::")[0] for test in plan.tests}
    fit = {file for file in files if SIMULATES.search((VERIF / file).read_text(encoding="utf-8"))}
    return [f"{VERIF}/{test}" for test in plan.tests if test.partition("::")[0] in fit]


@dataclass
class Trial:
    """A pytest plugin: the tests run once, all of the block's designs played by what `build` makes.

    Tests that do not meet the block are left out of what was found.
    """

    #: `package.module.Class` of the block.
    component: str
    #: Tests that passed, and those that did not.
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def build(self, text: str, interface: list[Port]) -> Path:
        """The library for RTLIL `text`."""
        raise NotImplementedError

    def run(self, tests: list[str]) -> None:
        """Run `tests`."""
        with ExitStack() as self._stack, redirect_stdout(StringIO()):
            pytest.main(["-p", "no:cacheprovider", "-p", "no:cov", *tests], plugins=[self])

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Everything that the tests build is met by the stand-in."""
        # Not before pytest has started: it rewrites what it imports.
        import chip.support
        from gates.stand_in import stand_in_for
        from hypothesis import Phase, settings

        module, _, name = self.component.rpartition(".")
        component = getattr(importlib.import_module(module), name)
        self.state = self._stack.enter_context(stand_in_for(component, self.build))
        plain = chip.support.examples
        # The first example that fails is enough; the smallest one is nobody's concern.
        phases = (Phase.explicit, Phase.generate)
        chip.support.examples = lambda number: settings(plain(number), phases=phases)
        return (yield)

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
