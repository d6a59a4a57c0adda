"""The tables of `docs/verification.md`: the plans, and what the last runs have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from plan.plans import plans
from plan.results import kept

__all__ = ["TABLES"]


def _table(head: str, rows: Iterator[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows]) + "\n"


def _plans() -> str:
    def rows() -> Iterator[str]:
        for plan in plans():
            for point in plan.points:
                shown = ", ".join(f"`{name.rpartition('::')[2]}`" for name in (*point.tests, *point.proofs))
                yield f"| {plan.name} | {point.stage} | {point.name}: {point.says} | {shown} |"

    return _table("| plan | stage | what must be shown | shown by |", rows())


def _mutation() -> str:
    def rows() -> Iterator[str]:
        for name, found in kept("mutation").items():
            equal, proved = len(found["equivalent"]), len(found["refused"])
            counted = found["mutants"] - equal
            score = f"{(found['killed'] + proved) / counted:.0%}" if counted else "-"
            alive = "; ".join(f"{it['place']} {it['mutant']}" for it in found["survivors"]) or "none"
            numbers = f"{found['mutants']} | {found['killed']} | {proved} | {equal} | {score}"
            yield f"| {name} | {numbers} | {alive} | {_run(found)} |"

    head = (
        "| block | mutants | killed by tests | refused by theorems | equivalent | score | survivors | run |"
    )
    return _table(head, rows())


def _gates() -> str:
    def rows() -> Iterator[str]:
        for name, found in kept("gates").items():
            inside = ", ".join(f"`{test.rpartition('::')[2]}`" for test in found["inside"]) or "none"
            failed = ", ".join(f"`{test.rpartition('::')[2]}`" for test in found["failed"]) or "none"
            yield f"| {name} | {found['passed']} | {failed} | {inside} | {_run(found)} |"

    return _table("| block | tests that pass on gates | fail | look inside | run |", rows())


def _coverage() -> str:
    def rows() -> Iterator[str]:
        for name, found in kept("coverage").items():
            shares = (_share(found[f"{kind} reached"], found[kind]) for kind in ("branch", "toggle"))
            yield f"| {name} | {' | '.join(shares)} | {len(found['missing'])} | {_run(found)} |"

    return _table("| block | branches | toggled bits | points not reached | run |", rows())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} of {whole}" if whole else "-"


def _verify() -> str:
    rows = (
        f"| {name} | {'passed' if found['passed'] else 'failed'} | {found['seconds']} | {_run(found)} |"
        for name, found in kept("verify").items()
    )
    return _table("| step | | seconds | run |", rows)


def _run(found: dict[str, Any]) -> str:
    return f"{found['date']}, `{found['commit']}`"


TABLES: dict[str, Callable[[], str]] = {
    "plans": _plans,
    "mutation": _mutation,
    "gates": _gates,
    "coverage": _coverage,
    "verify": _verify,
}
