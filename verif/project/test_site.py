"""The documentation site has every document, its navigation leads only to pages, and its links are rewritten.

`make site` builds it in strict mode, which finds the rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):
    """Reads `mkdocs.yml`; the functions that it names are left out."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
CONFIG = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)


def _hooks() -> Any:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / CONFIG["hooks"][0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = _hooks()


def pages(entry: Any) -> Iterator[str]:
    """Yield every page of the navigation."""
    if isinstance(entry, str):
        yield entry
    for child in entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else ():
        yield from pages(child)


def test_the_navigation_has_every_document_once() -> None:
    documents = [str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")]
    at_root = [page for document, page in HOOKS.ROOT_PAGES.items() if (ROOT / document).exists()]
    reference = [f"api/{package}.md" for package in HOOKS.PACKAGES]
    assert sorted(pages(CONFIG["nav"])) == sorted([*documents, *at_root, *reference])


def test_every_package_is_in_the_reference() -> None:
    host = ROOT / "host/meterseal"
    wings = {path.parent for path in host.glob("*/__init__.py")} - {host / "i18n"}
    tops = {ROOT / "rtl/sealchip", ROOT / "boards/sealboards"}
    assert set(HOOKS.PACKAGES.values()) == wings | tops


def test_a_page_of_the_reference_names_its_modules() -> None:
    page = HOOKS.reference("meterseal.domain", HOOKS.PACKAGES["meterseal.domain"])
    assert "::: meterseal.domain.record\n" in page


@pytest.mark.parametrize(
    ("document", "page", "written", "on_site"),
    [
        ("README.md", "index.md", "[a](docs/protocol.md#di)", "[a](protocol.md#di)"),
        ("README.md", "index.md", "![a](docs/images/chain.svg)", "![a](images/chain.svg)"),
        ("README.md", "index.md", '<img src="docs/images/a.svg">', '<img src="images/a.svg">'),
        ("README.md", "index.md", "see [LICENSE](LICENSE)", "see LICENSE"),
        ("docs/a.md", "a.md", "[a](../CHANGELOG.md)", "[a](changelog.md)"),
        ("docs/decisions/a.md", "decisions/a.md", "[a](../b.md)", "[a](../b.md)"),
        ("docs/a.md", "a.md", "[a](../rtl/sealchip/chip.py)", "a"),
        ("docs/a.md", "a.md", "[a](https://semver.org/)", "[a](https://semver.org/)"),
        ("docs/a.md", "a.md", "[a](#here)", "[a](#here)"),
    ],
)
def test_links_lead_to_pages_of_the_site(document: str, page: str, written: str, on_site: str) -> None:
    assert HOOKS.with_site_links(written, document, page) == on_site
