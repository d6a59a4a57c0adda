"""Docstrings as Markdown: a port stands on a line of its own, as `name : meaning`, and is shown in a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

_PORT = re.compile(r"^((?:\w+, )*\w+) : ", re.MULTILINE)
_SECTION = re.compile(r"^(\w+)\n-{3,}$", re.MULTILINE)


class Lists(griffe.Extension):
    """Rewrites docstrings for Markdown, which would run such lines together.

    The names of sections become bold: as headings they would fill the table of contents.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class or function."""
        if obj.docstring is not None:
            text = _PORT.sub(r"- `\1`: ", obj.docstring.value)
            obj.docstring.value = _SECTION.sub(r"**\1**\n", text)
