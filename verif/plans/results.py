"""What a run of `make verify` has found, kept in `verif/data/results/`, each with the commit that it ran on.

One file for each block of each kind of result, so that several can be found at the same time.
"""

from __future__ import annotations

import json
import resource
import subprocess
from typing import Any

from verif.plans.plan import DATA, VERIF

__all__ = ["cpu_seconds", "keep", "kept", "stamp"]

FOLDER = DATA / "results"
#: What a run itself writes: it does not make the tree another one.
WRITTEN = ("verif/data/results", "docs/verification.md")


def kept(kind: str) -> dict[str, dict[str, Any]]:
    """The results of that kind, by name; empty where there was no run."""
    files = sorted((FOLDER / kind).glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def keep(kind: str, name: str, found: dict[str, Any]) -> None:
    """Write `found`, with its stamp, in place of what was found before."""
    (FOLDER / kind).mkdir(parents=True, exist_ok=True)
    text = json.dumps(found | stamp(), indent=1, sort_keys=True, ensure_ascii=False)
    (FOLDER / kind / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def stamp() -> dict[str, str]:
    """Commit and date of what is checked out; the commit says where something was changed since."""
    others = [f":(top,exclude){path}" for path in WRITTEN]
    dirty = "-dirty" if _git("status", "--porcelain", "--", ":(top)", *others) else ""
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + dirty,
        "date": _git("log", "-1", "--format=%cs"),
    }


def cpu_seconds() -> int:
    """Computing time of this process and of those that it has waited for: the same on a busy machine."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(sum(one.ru_utime + one.ru_stime for one in spent))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(VERIF), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
