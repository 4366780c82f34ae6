"""A blueprint is copied into somebody's project and read there, so it is written plainly,
however long that makes it.

(This took the place of a limit of sixty lines, which had made them short and hard to read.)
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "adapters_blueprints"
BLUEPRINTS = sorted(FOLDER.glob("*_adapter.py"))
WIDEST = 100
"""Columns of a line."""


def tricks(source: str) -> list[str]:
    """What makes a reader stop: clever expressions,
    classes that say nothing of themselves, long lines.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Lambda | ast.NamedExpr):
            found.append(f"line {line}: a {type(node).__name__}")
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and isinstance(node.targets[0], ast.Tuple)
        ):
            found.append(f"line {line}: several assignments in one")
        elif isinstance(node, ast.ClassDef) and ast.get_docstring(node) is None:
            found.append(f"line {line}: {node.name} has no docstring")
    found += [
        f"line {number}: {len(line)} columns"
        for number, line in enumerate(source.splitlines(), 1)
        if len(line) > WIDEST
    ]
    return found


def test_there_is_one_for_each_of_these_orms() -> None:
    names = [path.name.removesuffix("_adapter.py") for path in BLUEPRINTS]
    assert names == ["django", "pony", "sqlalchemy", "tortoise"]


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.name)
def test_a_blueprint_is_written_plainly(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert tricks(source) == []
    assert ast.get_docstring(ast.parse(source))


def test_what_counts_as_a_trick() -> None:
    source = "class A:\n    b = lambda self: 1\n\na, b = 1, 2\nif (c := a):\n    pass\n" + "#" * 101
    assert tricks(source) == [
        "line 1: A has no docstring",
        "line 4: several assignments in one",
        "line 5: a NamedExpr",
        "line 2: a Lambda",
        "line 7: 101 columns",
    ]
