"""`messages.toml` has every text that a customer or an operator reads, in Chinese and English.

The texts state facts and accuse nobody: a test keeps words of accusation out of the catalogue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["LANGUAGES", "keys", "language", "template", "text"]

#: Languages of the texts; the first one is the default.
LANGUAGES = ("zh", "en")


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    document = tomllib.loads((files("meterseal.i18n") / "messages.toml").read_text(encoding="utf-8"))
    return {
        f"{group}.{name}": entry for group, entries in document.items() for name, entry in entries.items()
    }


def keys(group: str = "") -> list[str]:
    """Return the keys of the catalogue, all or those of one group (`sms`, `alarm`, `state`, …)."""
    return [key for key in _catalogue() if key.startswith(f"{group}." if group else "")]


def language(wanted: str | None) -> str:
    """Return `wanted` if the catalogue has that language, else the default."""
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


def template(key: str, lang: str) -> str:
    """Return the text with its `{places}` still open; `KeyError` names what is missing."""
    try:
        return _catalogue()[key][lang]
    except KeyError:
        raise KeyError(f"messages.toml has no text {key!r} in language {lang!r}") from None


def text(key: str, lang: str, **values: object) -> str:
    """Return the text with `values` in its places."""
    return template(key, lang).format_map(values)
