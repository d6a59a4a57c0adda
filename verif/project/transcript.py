"""Play the demo once and write its output into `docs/demo.md`: `python -m verif.project.transcript`.

All excerpts there, between `<!-- run: NAME -->` and `<!-- end -->`, come from that one run; the words around
them are written by hand. `make transcript` calls this module, and `test_transcript.py` checks the document.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from verif.plans.results import stamp

__all__ = ["DOCUMENT", "EXCERPT", "excerpts", "main"]

DOCUMENT = Path(__file__).parents[2] / "docs/demo.md"
EXCERPT = re.compile(r"<!-- run: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
#: Lines to leave out: polls that find nothing new, and the dialogues with the modems.
_CHATTER = re.compile(r" at [rt]x |seal journal, bounds|terminal cover openings")
#: Lines that a forged record causes: events, alarms, and the verdict on its way down.
_CONSEQUENCE = re.compile(r" (event|alarm) |verdict on a seal record")


def main() -> int:
    """Write the document and return the exit code of the demo."""
    command = [sys.executable, "-m", "meterseal", "demo", "--headless"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        return run.returncode
    found = excerpts(run.stdout)
    head = stamp()
    found["source"] = f"Version `{head['commit']}` of {head['date']}.\n"
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = EXCERPT.sub(lambda it: f"<!-- run: {it[1]} -->\n{found[it[1]]}<!-- end -->", text)
    DOCUMENT.write_text(fresh, encoding="utf-8")
    return 0


def excerpts(printed: str) -> dict[str, str]:
    """Return the parts of a run that the document shows, by name."""
    lines = re.sub(r"/\S*/meterseal-\w+", "…", printed).splitlines()
    summary = lines.index(next(line for line in lines if line.startswith("What each link saw")))
    return {
        "commands": _fenced([line.removeprefix("== ") for line in lines if line.startswith("== meterseal ")]),
        "opening": _fenced(_opening(lines)),
        "forgery": _fenced(_forgery(lines)),
        "summary": _fenced(lines[summary:]),
    }


def _opening(lines: list[str]) -> list[str]:
    """Return the lines from the opening of the seal to the utility's message on the customer's phone."""
    story = _from(lines, "== open seal")
    notified = next(n for n, line in enumerate(story) if re.search("customer  message .*供电局", line))
    return [line for line in story[: notified + 1] if not _CHATTER.search(line)]


def _forgery(lines: list[str]) -> list[str]:
    """Return the lines from the forged record to the next action."""
    head, *story = _from(lines, "== attack: forged record")
    end = next(n for n, line in enumerate(story) if line.startswith("== "))
    return [head, *(line for line in story[:end] if _CONSEQUENCE.search(line))]


def _from(lines: list[str], start: str) -> list[str]:
    return lines[next(n for n, line in enumerate(lines) if line.startswith(start)) :]


def _fenced(lines: list[str]) -> str:
    return "```\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    sys.exit(main())
