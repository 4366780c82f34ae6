"""The map of the code is the code's own, and every room leads to its test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from floor_plan import ROOT
from inside import PACKAGES, first_sentence, pages, with_part

ROOMS = sorted(
    file
    for package in PACKAGES
    for file in package.rglob("*.py")
    if file.name not in ("__init__.py", "__main__.py")
)


def shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_the_pages_show_the_code_as_it_is() -> None:
    stale = [shown(page) for page, text in pages().items() if page.read_text("utf-8") != text]
    assert not stale, f"{stale}: run python tests/house/inside.py"


def test_every_room_begins_with_a_sentence() -> None:
    silent = [shown(file) for file in ROOMS if not first_sentence(file).endswith((".", "!", "?"))]
    assert not silent, "\n".join(silent)


def test_a_part_is_replaced_and_nothing_else() -> None:
    text = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n"
    assert with_part(text, "x", "new\n") == "a\n<!-- x:start -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="no part 'y'"):
        with_part(text, "y", "new\n")


def test_no_two_classes_of_the_product_have_one_name() -> None:
    """But for those of two stores in rooms of one name, which are the same part of the contract."""
    homes: dict[str, set[str]] = {}
    for file in ROOMS:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name != "Meta":
                homes.setdefault(node.name, set()).add(shown(file))
    twice = {}
    for name, files in homes.items():
        rooms = {Path(file).name for file in files}
        of_plugins = all(file.startswith("plugins/") for file in files)
        if len(files) > 1 and not (of_plugins and len(rooms) == 1):
            twice[name] = sorted(files)
    assert not twice, "\n".join(f"{name}: {', '.join(files)}" for name, files in twice.items())
