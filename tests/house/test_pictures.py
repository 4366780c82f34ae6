"""The pictures of the pages: drawn by a script of the repository, one for a light page and one for
a dark one.
"""

from __future__ import annotations

import re
from runpy import run_path
from xml.etree import ElementTree

import pytest
from floor_plan import ROOT

FOLDER = ROOT / "guides" / "pictures"
DRAW = run_path(str(FOLDER / "draw.py"))
THEMES = DRAW["THEMES"]


@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_is_the_one_its_script_draws(theme: str) -> None:
    written = (FOLDER / f"architecture-{theme}.svg").read_text("utf-8")
    assert written == DRAW["picture"](THEMES[theme]), "python guides/pictures/draw.py"


@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_is_whole_and_says_what_it_shows(theme: str) -> None:
    root = ElementTree.parse(FOLDER / f"architecture-{theme}.svg").getroot()  # noqa: S314
    name = "{http://www.w3.org/2000/svg}"
    words = " ".join("".join(text.itertext()) for text in root.iter(f"{name}text"))
    for part in ("ORM tables", "triggers", "Outbox", "after", "Vectors", "Full text", "Hybrid"):
        assert part in words
    assert root.find(f"{name}title").text == DRAW["TITLE"]
    width, height = DRAW["WIDTH"], DRAW["HEIGHT"]
    for box in root.iter(f"{name}rect"):
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height


def test_the_readme_shows_the_dark_one_on_dark_pages_and_else_the_light_one() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"<picture>.*?</picture>", page, re.DOTALL)
    assert re.search(
        r'media="\(prefers-color-scheme: dark\)" srcset="guides/pictures/architecture-dark\.svg"',
        shown,
    )
    assert re.search(r'<img alt="[^"]+" src="guides/pictures/architecture-light\.svg"', shown)
