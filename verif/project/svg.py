"""Write plain SVG with boxes, words and lines that can be read on a light and on a dark page."""

from __future__ import annotations

from xml.sax.saxutils import escape

__all__ = ["Drawing"]

#: Fonts are the reader's own, and colours follow the reader's preference. The ground is drawn, so that the
#: words can be read even if the page around them has the other preference.
_STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif;
           fill: #1f2933; text-anchor: middle; dominant-baseline: central }
    text.strong { font-weight: 600; font-size: 14px }
    text.code { font: 11px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
                fill: #52606d }
    text.small { font-size: 11.5px; fill: #52606d }
    text.left { text-anchor: start }
    text.right { text-anchor: end }
    text.over { stroke: #f2f5f7; stroke-width: 5; paint-order: stroke }
    .ground { fill: #ffffff }
    .group { fill: #f2f5f7; stroke: #d3dbe2 }
    .box { fill: #ffffff; stroke: #0f766e; stroke-width: 1.5 }
    .line { fill: none; stroke: #0f766e }
    .soft { fill: none; stroke: #7b8794 }
    .line-head { fill: #0f766e }
    .soft-head { fill: #7b8794 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e7eb }
      text.code, text.small { fill: #9aa5b1 }
      text.over { stroke: #1b242d }
      .ground { fill: #12181f }
      .group { fill: #1b242d; stroke: #33414e }
      .box { fill: #12181f; stroke: #2dd4bf }
      .line { stroke: #2dd4bf }
      .soft { stroke: #7b8794 }
      .line-head { fill: #2dd4bf }
    }
"""


class Drawing:
    """Collects elements and writes them as one SVG document; what is added later lies on top."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 6) -> None:
        """Add a rectangle with round corners."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect class="{kind}" {place} rx="{radius:g}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """Add one line of text around a point, or from it on with the kind `left`."""
        of = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{of} x="{x:g}" y="{y:g}">{escape(words)}</text>')

    def path(
        self, commands: str, kind: str = "line", width: float = 1.5, *, start: bool = False, end: bool = False
    ) -> None:
        """Add a line, with heads where it starts and ends."""
        heads = f' marker-start="url(#{kind}-head)"' * start + f' marker-end="url(#{kind}-head)"' * end
        self._parts.append(f'<path class="{kind}" stroke-width="{width:g}" d="{commands}"{heads}/>')

    def document(self) -> str:
        """Return the whole document."""
        size = f'width="{self._width}" height="{self._height}" viewBox="0 0 {self._width} {self._height}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"  <title>{escape(self._title)}</title>",
            f"  <style>{_STYLE}  </style>",
            "  <defs>",
            *(f"    {_head(kind)}" for kind in ("line", "soft")),
            "  </defs>",
            f'  <rect class="ground" width="{self._width}" height="{self._height}" rx="8"/>',
            *(f"  {part}" for part in self._parts),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _head(kind: str) -> str:
    """Return the arrow head of lines of one kind."""
    size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    return (
        f'<marker id="{kind}-head" {size} markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
        f'<path class="{kind}-head" d="M0 0.5 8 4 0 7.5z"/></marker>'
    )
