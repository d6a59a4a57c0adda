"""What a run of `make verify` has found, kept in `verif/results/`, each with the commit that it ran on."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from plan.plans import VERIF

__all__ = ["keep", "kept", "stamp"]

FOLDER = VERIF / "results"


def kept(name: str) -> dict[str, Any]:
    """The results of that name; empty where there was no run."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def keep(name: str, found: dict[str, Any]) -> None:
    """Write `found` in place of what was found before."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def stamp() -> dict[str, str]:
    """Commit and date of what is checked out; the commit says where something was changed since."""
    return {
        "commit": _git("describe", "--always", "--dirty", "--exclude=*"),
        "date": _git("log", "-1", "--format=%cs"),
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(VERIF), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
