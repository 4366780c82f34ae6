"""A blueprint is copied into somebody's project, so it must be short enough to be read there."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "adapters_blueprints"
BLUEPRINTS = sorted(FOLDER.glob("*_adapter.py"))
MOST = 60
"""Lines of code."""
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - docstrings)


def test_there_is_one_for_django_and_one_for_sqlalchemy() -> None:
    assert [path.name for path in BLUEPRINTS] == ["django_adapter.py", "sqlalchemy_adapter.py"]


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.name)
def test_a_blueprint_has_sixty_lines_of_code_at_most(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert lines_of_code(source) <= MOST, f"{path.name} has {lines_of_code(source)} lines"
    assert max(map(len, source.splitlines())) <= 125, "lines that are put together count as more"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    assert not [token.line for token in tokens if token.string == ";"], "two statements are two lines"


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.name)
def test_its_docstring_is_short(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring is not None
    assert len(docstring.splitlines()) <= 3


def test_what_counts_as_code() -> None:
    source = (
        '"""Two\nlines."""\n\nimport os  # why\n# no\n\n\ndef f():\n    """Nothing."""\n    return (\n        1\n    )\n'
    )
    assert lines_of_code(source) == 5
