"""The command line of campaigns that go block by block: `python -m verif.campaigns.CAMPAIGN [BLOCK …]`."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable

from verif.plans.plan import Plan, plans

__all__ = ["blocks", "each_block", "parser_of", "parts"]


def blocks() -> dict[str, Plan]:
    """Return the plans that are about a component, by name."""
    return {plan.name: plan for plan in plans() if plan.block}


def parts() -> dict[str, Plan]:
    """Return the plans that are about a part of the firmware, by name."""
    return {plan.name: plan for plan in plans() if plan.firmware}


def parser_of(campaign: str, description: str | None) -> ArgumentParser:
    """Return the parser of `python -m verif.campaigns.CAMPAIGN`; `description` is shown by `--help`."""
    return ArgumentParser(
        prog=f"python -m verif.campaigns.{campaign}",
        description=description,
        formatter_class=RawDescriptionHelpFormatter,
    )


def each_block(
    parser: ArgumentParser, check: Callable[[Plan, Namespace], bool], known: dict[str, Plan] | None = None
) -> int:
    """Call `check` for each block that the command line names, or for every one, and return the exit code.

    `known` has the plans that the command line may name: those of all components by default.
    """
    known = blocks() if known is None else known
    parser.add_argument(
        "blocks",
        nargs="*",
        metavar="BLOCK",
        choices=[*known, []],
        help="name of a test plan in verif/data/testplans; all of them by default",
    )
    arguments = parser.parse_args()
    wanted = arguments.blocks or list(known)
    if len(wanted) == 1:
        return int(not check(known[wanted[0]], arguments))
    # Each block gets its own process, so that what one of them has patched cannot reach the next.
    options = [argument for argument in sys.argv[1:] if argument not in wanted]
    command = [sys.executable, "-W", "ignore", *parser.prog.split()[1:], *options]
    return max(subprocess.run([*command, name], check=False).returncode for name in wanted)
