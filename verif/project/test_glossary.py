"""The names in the glossary exist in code, and retired names stay out of the code."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/glossary.md"
#: Files in which retired names may stand: the list of them, and files that older versions have left.
EXEMPT = ("docs/glossary.md", "verif/data/fixtures/", "verif/project/test_glossary.py")
CODE = re.compile(r"`([^`]+)`")


def rows(section: str) -> list[list[str]]:
    """Return the cells of the table rows under a heading, or of all tables before the old names."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


@cache
def parts() -> tuple[str, str]:
    """Return the glossary proper, and the section of old names."""
    terms, _, old = GLOSSARY.read_text(encoding="utf-8").partition("## Old names")
    return terms, old


def retired() -> list[str]:
    """Return every old name, as a word of code or a phrase."""
    return [name for old, _ in rows(parts()[1])[1:] for name in CODE.findall(old)]


@cache
def sources() -> dict[str, str]:
    """Return every text file of the project that is under version control or about to be."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = {".py", ".md", ".toml", ".h", ".cpp", ".v", ".html", ".yml", ""}
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in names
        if Path(name).suffix in kinds and (ROOT / name).is_file() and not name.startswith(EXEMPT)
    }


def defined() -> Iterator[str]:
    """Yield every name that a Python source of the product defines, and every module, file or package."""
    for name, text in sources().items():
        if name.startswith(("host/", "rtl/", "boards/")) and name.endswith(".py"):
            yield from Path(name).with_suffix("").parts
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield node.name
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
                elif isinstance(node, ast.arg):
                    yield node.arg


def test_names_in_code_exist() -> None:
    known = set(defined())
    named = [name for row in rows(parts()[0]) if len(row) == 4 for name in CODE.findall(row[2])]
    assert named
    assert [name for name in named if name.rpartition(".")[2] not in known] == []


@pytest.mark.parametrize("name", retired())
def test_a_retired_name_stays_out(name: str) -> None:
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    assert [place for place, text in sources().items() if word.search(text)] == []
