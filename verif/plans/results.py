"""The results of `make verify`, kept in `verif/data/results/`, each with the commit that it ran on.

Each kind of result is one file: a JSON object with an entry for each name. Jobs that run side by side may
write to the same file.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verif.plans.plan import DATA, VERIF

__all__ = ["FOLDER", "cpu_seconds", "keep", "kept", "stamp"]

FOLDER = DATA / "results"
#: Files that the campaigns write themselves: changes to them do not make the tree dirty.
WRITTEN = ("verif/data/results", "docs/verification.md")


def kept(kind: str, folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return the results of one kind, by name; an empty dictionary where there was no run."""
    file = folder / f"{kind}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def keep(kind: str, name: str, found: dict[str, Any], folder: Path = FOLDER) -> None:
    """Replace the entry `name` by `found` and its stamp, and leave all other entries as they are."""
    entry = found | stamp()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        text = json.dumps(kept(kind, folder) | {name: entry}, indent=1, sort_keys=True, ensure_ascii=False)
        # A job can be killed at any moment: the file is either the old or the new one.
        fresh = folder / f"{kind}.json.new"
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(folder / f"{kind}.json")


def stamp() -> dict[str, str]:
    """Return commit and date of what is checked out; the commit ends in `-dirty` if anything has changed."""
    others = [f":(top,exclude){path}" for path in WRITTEN]
    dirty = "-dirty" if _git("status", "--porcelain", "--", ":(top)", *others) else ""
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + dirty,
        "date": _git("log", "-1", "--format=%cs"),
    }


def cpu_seconds() -> int:
    """Return the CPU time of this process and its finished children, which does not depend on the load."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(sum(one.ru_utime + one.ru_stime for one in spent))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock on the results; the kernel releases it when the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(VERIF), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
