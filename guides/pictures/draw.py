"""The picture of the architecture, for a light and for a dark page.

``python guides/pictures/draw.py`` writes both; a test compares them with this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 880, 340
THEMES: Mapping[str, Mapping[str, str]] = {
    "light": {
        "card": "#ffffff",
        "border": "#d1d9e0",
        "box": "#f6f8fa",
        "line": "#59636e",
        "text": "#1f2328",
        "dim": "#59636e",
        "accent": "#0969da",
        "tint": "#ddf4ff",
    },
    "dark": {
        "card": "#0d1117",
        "border": "#3d444d",
        "box": "#151b23",
        "line": "#9198a1",
        "text": "#f0f6fc",
        "dim": "#9198a1",
        "accent": "#4493f8",
        "tint": "#121d2f",
    },
}
TITLE = (
    "Triggers record each change of a table in an outbox, in the transaction of the application. "
    "After the commit the changes are processed into an index of vectors and full text, which "
    "hybrid search asks."
)


def picture(theme: Mapping[str, str]) -> str:
    """The whole SVG file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{TITLE}</title>",
        _style(theme),
        (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            'markerHeight="8" orient="auto-start-reverse"><path class="tip" d="M0 0 10 5 0 10z"/>'
            "</marker></defs>"
        ),
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>',
        _frame(20, 20, 430, 164, "Your database, in your transaction"),
        _box(40, 64, 170, 96, "ORM tables", "of Django, SQLAlchemy", "or Peewee"),
        _box(292, 64, 140, 96, "Outbox", "pending changes"),
        _arrow("M210 112 H288", "triggers", 249, 102),
        _arrow("M450 112 H502", "after", 478, 86, "commit", 478, 101),
        _box(506, 64, 150, 96, "Processing", "reads the row, splits", "it, embeds passages"),
        _arrow("M656 112 H706"),
        _frame(710, 20, 150, 164, "Index: one file"),
        _box(726, 56, 118, 52, "Vectors", accent=True),
        _box(726, 118, 118, 52, "Full text", accent=True),
        _arrow("M785 184 V268 H660", "both are asked", 722, 258),
        _box(506, 228, 150, 80, "Hybrid search", "one ranking of rows"),
        _box(40, 228, 170, 80, "Your application"),
        _arrow("M125 228 V164", "writes", 156, 208),
        _arrow("M210 254 H502", "Article.search(&quot;vehicle repair&quot;)", 357, 244, code=True),
        _arrow("M506 286 H214", "articles, best first", 357, 304),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style(theme: Mapping[str, str]) -> str:
    return (
        "<style>"
        f"text{{font:15px system-ui,-apple-system,'Segoe UI',sans-serif;fill:{theme['text']};"
        "text-anchor:middle}"
        ".head{font-weight:600}"
        f".dim{{font-size:13px;fill:{theme['dim']}}}"
        ".code{font-family:ui-monospace,Menlo,Consolas,monospace}"
        f".card{{fill:{theme['card']};stroke:{theme['border']}}}"
        f".frame{{fill:none;stroke:{theme['line']};stroke-dasharray:5 4}}"
        f".box{{fill:{theme['box']};stroke:{theme['line']}}}"
        f".accent{{fill:{theme['tint']};stroke:{theme['accent']}}}"
        f".arrow{{fill:none;stroke:{theme['line']};stroke-width:1.5}}"
        f".tip{{fill:{theme['line']}}}"
        "</style>"
    )


def _frame(x: int, y: int, width: int, height: int, name: str) -> str:
    return (
        f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'
        f'<text class="dim" x="{x + width // 2}" y="{y + 22}">{name}</text>'
    )


def _box(
    x: int, y: int, width: int, height: int, name: str, *lines: str, accent: bool = False
) -> str:
    kind = "accent" if accent else "box"
    middle = x + width // 2
    first = y + height // 2 + 5 - 9 * len(lines)
    parts = [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>',
        f'<text class="head" x="{middle}" y="{first}">{name}</text>',
    ]
    for number, line in enumerate(lines, 1):
        parts.append(f'<text class="dim" x="{middle}" y="{first + 2 + 18 * number}">{line}</text>')
    return "".join(parts)


def _arrow(path: str, *labels: str | int, code: bool = False) -> str:
    """labels: text, x and y of each."""
    kind = "dim code" if code else "dim"
    parts = [f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>']
    for place in range(0, len(labels), 3):
        text, x, y = labels[place : place + 3]
        parts.append(f'<text class="{kind}" x="{x}" y="{y}">{text}</text>')
    return "".join(parts)


def main() -> None:
    """Write both files."""
    for name, theme in THEMES.items():
        (FOLDER / f"architecture-{name}.svg").write_text(picture(theme), encoding="utf-8")


if __name__ == "__main__":
    main()
