"""The command line of campaigns that go block by block: `python -m verif.campaigns.CAMPAIGN [BLOCK…]`."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from verif.plans.plan import Plan, plans

__all__ = ["blocks", "each_block", "parts"]


def blocks() -> dict[str, Plan]:
    """The plans that are about a component, by name."""
    return {plan.name: plan for plan in plans() if plan.block}


def parts() -> dict[str, Plan]:
    """The plans that are about a part of the firmware, by name."""
    return {plan.name: plan for plan in plans() if plan.firmware}


def each_block(
    parser: ArgumentParser, judge: Callable[[Plan, Namespace], bool], known: dict[str, Plan] | None = None
) -> int:
    """`judge` each block that the command line names, else every one; the exit code.

    `known`: the plans that it may name; those of all components unless given.
    """
    known = blocks() if known is None else known
    parser.add_argument(
        "blocks", nargs="*", metavar="BLOCK", choices=[*known, []], help="name of a test plan"
    )
    asked = parser.parse_args()
    wanted = asked.blocks or list(known)
    if len(wanted) == 1:
        return int(not judge(known[wanted[0]], asked))
    # A process for each block: what one has patched is none of the next one's business.
    options = [argument for argument in sys.argv[1:] if argument not in wanted]
    command = [sys.executable, "-W", "ignore", "-m", f"verif.campaigns.{parser.prog}", *options]
    return max(subprocess.run([*command, name], check=False).returncode for name in wanted)
