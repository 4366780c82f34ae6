"""The map of the code in guides/inside.md, and the floors in guides/house_style.md, from the code.

``python tests/house/inside.py`` writes both.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from floor_plan import KERNEL, ROOT, diagram

MAP = ROOT / "guides/inside.md"
STYLE = ROOT / "guides/house_style.md"
PACKAGES = (KERNEL, *sorted(ROOT.glob("plugins/*/semantic_core_*")))


def first_sentence(file: Path) -> str:
    """The first sentence of a file's docstring, on one line, for a cell of a table."""
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", paragraph)[0]
    return sentence.replace("``", "`").replace("|", "\\|")


def rooms(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, first sentence) of the modules of one folder; those of packages in it are not among
    them.
    """
    for file in sorted(folder.glob("*.py")):
        if file.name not in ("__init__.py", "__main__.py"):
            yield file.stem, first_sentence(file)


def wings(folder: Path) -> Iterator[Path]:
    """The folder, and the packages below it."""
    yield folder
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").exists():
            yield from wings(inner)


def listing() -> str:
    """A section for each package: what it is, and a row for each of its modules."""
    parts = []
    for package in PACKAGES:
        for wing in wings(package):
            dotted = ".".join(wing.relative_to(package.parent).parts)
            lines = [f"### `{dotted}`", "", first_sentence(wing / "__init__.py"), ""]
            lines += ["| module | what it is |", "|---|---|"]
            lines += [f"| `{name}` | {sentence} |" for name, sentence in rooms(wing)]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def with_part(text: str, mark: str, part: str) -> str:
    """The text with what stands between the two comments of this mark replaced."""
    start = f"<!-- {mark}:start -->\n"
    end = f"<!-- {mark}:end -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"The page has no part {mark!r}.")
    return f"{before}{start}{part}{end}{after}"


def pages() -> dict[Path, str]:
    """The two pages as they have to be."""
    floors = f"```mermaid\n{diagram()}```\n"
    return {
        MAP: with_part(MAP.read_text("utf-8"), "rooms", listing()),
        STYLE: with_part(STYLE.read_text("utf-8"), "floors", floors),
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, "utf-8")
