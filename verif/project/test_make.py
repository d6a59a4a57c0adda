"""`make help` lists every target, and the documents name targets that exist, with the same times."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTS = [path for path in ROOT.glob("**/*.md") if not {".venv", "build"} & set(path.parts)]


def listed() -> dict[str, str]:
    """Return the targets with their times, as `make help` shows them."""
    shown = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    return dict(re.findall(r"^  ([a-z-]+) +(-|\d+ min) +[A-Z]", shown.stdout, re.MULTILINE))


def test_every_target_is_listed() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)
    assert sorted(listed()) == sorted(phony.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_that_are_mentioned_exist(document: Path) -> None:
    named = re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(listed())


def test_times_in_documents_are_those_of_the_list() -> None:
    known = listed()
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `make (.*?)` \| (.*?) min \|", text, re.MULTILINE)
    assert rows
    for targets, times in rows:
        names, minutes = targets.split("`, `"), times.split(", ")
        expected = [f"{it} min" for it in (minutes if len(minutes) > 1 else minutes * len(names))]
        assert [known[name] for name in names] == expected
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target, minutes in re.findall(r"^make (\w+) +# +(\d+) min", readme, re.MULTILINE):
        assert known[target] == f"{minutes} min"
