"""Every text that a customer or an operator reads, in Chinese and English, from `messages.toml`.

The system states facts and blames nobody: a test keeps words of accusation out of the catalogue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["LANGUAGES", "keys", "language", "template", "text"]

#: The first one is the default.
LANGUAGES = ("zh", "en")


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    document = tomllib.loads((files("meterseal.i18n") / "messages.toml").read_text(encoding="utf-8"))
    return {
        f"{group}.{name}": entry for group, entries in document.items() for name, entry in entries.items()
    }


def keys(group: str = "") -> list[str]:
    """Keys of the catalogue, all or those of one group (`sms`, `alarm`, `state`, …)."""
    return [key for key in _catalogue() if key.startswith(f"{group}." if group else "")]


def language(wanted: str | None) -> str:
    """`wanted` if the catalogue has it, else the default."""
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


def template(key: str, lang: str) -> str:
    """The text with its `{places}` still open; `KeyError` names what is missing."""
    try:
        return _catalogue()[key][lang]
    except KeyError:
        raise KeyError(f"messages.toml has no text {key!r} in language {lang!r}") from None


def text(key: str, lang: str, **values: object) -> str:
    """The text with `values` in its places."""
    return template(key, lang).format_map(values)
