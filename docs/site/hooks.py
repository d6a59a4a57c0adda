"""Hooks of the documentation site: pages that are kept outside `docs/`, and the API reference.

A document of this repository links to files as GitHub does, relative to itself. On the site README,
CONTRIBUTING and CHANGELOG are pages like the others, and files that are not documents have no page: links are
rewritten for that.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
#: Documents at the root of the repository, and the pages they become.
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
#: The folder of each package that has a page of the API reference.
PACKAGES = {
    "sealchip": ROOT / "rtl/sealchip",
    **{
        f"meterseal.{wing}": ROOT / "host/meterseal" / wing
        for wing in ("octets", "domain", "protocols", "io", "store", "sim", "systems", "tools")
    },
    "sealboards": ROOT / "boards/sealboards",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_SOURCE = re.compile(r'\b(src|srcset)="(?!https?:)([^"]+)"')


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that have no file in `docs/`."""
    # Imported here, so that the tests can use this file without MkDocs.
    from mkdocs.structure.files import File

    for document, page in ROOT_PAGES.items():
        if (ROOT / document).exists():
            text = with_site_links((ROOT / document).read_text(encoding="utf-8"), document, page)
            files.append(File.generated(config, page, content=text))
    for package, folder in PACKAGES.items():
        files.append(File.generated(config, f"api/{package}.md", content=reference(package, folder)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a document in `docs/`; show the examples, which GitHub shows one by one."""
    if page.file.generated_by:
        return markdown
    if page.file.src_uri == "examples/README.md":
        sources = sorted((ROOT / "docs/examples").glob("*.py"))
        markdown += "".join(f"\n## {it.name}\n\n```python\n{it.read_text()}```\n" for it in sources)
    return with_site_links(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def reference(package: str, folder: Path) -> str:
    """Return the page of a package: every module that exports something, in the order of its path."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        if path.name == "__init__.py" or "__all__" in path.read_text(encoding="utf-8"):
            name = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
            modules.append(f"::: {name.removesuffix('.__init__')}\n")
    return f"# {package}\n\n" + "\n".join(modules)


def with_site_links(text: str, document: str, page: str) -> str:
    """Return the text of `document` as `page` needs it; a link to what has no page becomes plain text."""

    def on_site(target: str) -> str | None:
        path = os.path.normpath(Path(document).parent / target)
        there = ROOT_PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        return there and os.path.relpath(there, Path(page).parent)

    def link(found: re.Match[str]) -> str:
        mark, words, target, anchor = found.groups("")
        if re.match(r"[a-z]+:", target):
            return found[0]
        there = on_site(target)
        return f"{mark}[{words}]({there}{anchor})" if there else words

    def source(found: re.Match[str]) -> str:
        return f'{found[1]}="{on_site(found[2]) or found[2]}"'

    return _SOURCE.sub(source, _LINK.sub(link, text))
