"""Make the tables of `docs/verification.md` from the plans and the results of the last runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from verif.formal.theorems import THEOREMS
from verif.plans.blocks import blocks, parts
from verif.plans.plan import plans
from verif.plans.results import kept

__all__ = ["TABLES"]

_NO_RUN = ["-", "-", "-", "no run"]


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


def _results(
    kind: str, head: str, cells: Callable[[dict[str, Any]], list[object]], others: Iterable[str] = ()
) -> str:
    """Return a table with a row for each block and each of `others`, even without a run."""
    found = kept(kind)
    width = head.count("|") - 3
    rows = (
        _row(
            [name, *cells(found[name]), _run(found[name])]
            if name in found
            else [name, *["-"] * width, "no run"]
        )
        for name in (*blocks(), *others)
    )
    return _table(head, rows)


def _mutation() -> str:
    def cells(found: dict[str, Any]) -> list[object]:
        equal, proved = len(found["equivalent"]), len(found["refused"])
        counted = found["mutants"] - equal
        score = f"{(found['killed'] + proved) / counted:.0%}" if counted else "-"
        alive = "; ".join(f"{it['place']} {it['mutant']}" for it in found["survivors"]) or "none"
        return [found["mutants"], found["killed"], proved, equal, score, alive]

    head = (
        "| block | mutants | killed by tests | refused by theorems | equivalent | score | survivors | run |"
    )
    return _results("mutation", head, cells, parts())


def _gates() -> str:
    def cells(found: dict[str, Any]) -> list[object]:
        named = [
            ", ".join(f"`{test.rpartition('::')[2]}`" for test in found[key]) for key in ("failed", "inside")
        ]
        return [found["passed"], *(names or "none" for names in named)]

    return _results("gates", "| block | tests that pass on gates | fail | look inside | run |", cells)


def _coverage() -> str:
    def cells(found: dict[str, Any]) -> list[object]:
        shares = [_share(found[f"{kind} reached"], found[kind]) for kind in ("branch", "toggle")]
        return [*shares, len(found["missing"])]

    return _results("coverage", "| block | branches | toggled bits | points not reached | run |", cells)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} of {whole}" if whole else "-"


def _proofs() -> str:
    found = kept("proofs")

    def rows() -> Iterator[str]:
        for it in THEOREMS:
            proof = found.get(it.name)
            cells = [proof["verdict"], proof["covers"], proof["seconds"], _run(proof)] if proof else _NO_RUN
            yield _row([it.name, *cells])

    return _table("| theorem | | covers reached | seconds | run |", rows())


def _verify() -> str:
    rows = (
        _row([name, len(it["jobs"]), ", ".join(it["failed"]) or "none", it["seconds"], _run(it)])
        for name, it in kept("verify").items()
    )
    return _table("| step | jobs | failed | CPU seconds | run |", rows)


def _soak() -> str:
    def rows() -> Iterator[str]:
        for name, it in kept("soak").items():
            times = [it["simulated seal seconds"], it["skipped of them"]]
            yield _row([name, it["seals"], it["calm"], it["events"], *times, _run(it)])

    return _table("| front end | seals | calm | events reported | seal seconds | skipped | run |", rows())


def _row(cells: list[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _run(found: dict[str, Any]) -> str:
    return f"{found['date']}, `{found['commit']}`"


TABLES: dict[str, Callable[[], str]] = {
    "plans": _plans,
    "mutation": _mutation,
    "gates": _gates,
    "coverage": _coverage,
    "proofs": _proofs,
    "soak": _soak,
    "verify": _verify,
}
