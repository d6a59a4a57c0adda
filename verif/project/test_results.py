"""Results that several jobs write at the same time are all kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from verif.plans.plan import VERIF
from verif.plans.results import FOLDER, keep, kept

WRITER = """
import sys
from pathlib import Path
from verif.plans import results
results.stamp = lambda: {"commit": "0"}
folder, writer, number = sys.argv[1:]
for name in range(int(number)):
    results.keep("kind", f"{writer}-{name}", {"found": name}, Path(folder))
"""


def test_nothing_is_lost_between_two_writers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name, "100"], cwd=VERIF.parent) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert kept("kind", tmp_path) == {
        f"{writer}-{name}": {"found": name, "commit": "0"} for writer in ("a", "b") for name in range(100)
    }


def test_a_newer_result_replaces_only_its_own(tmp_path: Path) -> None:
    assert kept("kind", tmp_path) == {}
    keep("kind", "one", {"found": 1, "more": 1}, tmp_path)
    keep("kind", "other", {"found": 2}, tmp_path)
    keep("kind", "one", {"found": 3}, tmp_path)
    found = kept("kind", tmp_path)
    assert (found["one"]["found"], found["other"]["found"]) == (3, 2)
    assert set(found["one"]) == {"found", "commit", "date"}
    assert [path.name for path in tmp_path.iterdir()] == ["kind.json"]


def test_the_files_are_sorted() -> None:
    """A result that is written again changes its own lines and no others."""
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        fresh = json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        assert text == fresh, file.name
