"""How dense the product's code is written: ``python -m benchmarks.density [FILE or FOLDER ...]``.

Prints a table, one row a package or argument. Counted are lines of code alone, without docstrings,
comments and blank lines. Nothing fails: the figures say where a reader has to slow down.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "semantic_core",
    "plugins/semantic-core-peewee/semantic_core_peewee",
    "plugins/semantic-core-files/semantic_core_files",
    "plugins/semantic-core-gemini/semantic_core_gemini",
    "plugins/semantic-core-languages/semantic_core_languages",
    "plugins/semantic-core-markdown/semantic_core_markdown",
    "plugins/semantic-core-mcp/semantic_core_mcp",
    "plugins/semantic-core-onnx/semantic_core_onnx",
    "plugins/semantic-core-openai/semantic_core_openai",
    "plugins/semantic-core-use/semantic_core_use",
    "plugins/semantic-core-wagtail/semantic_core_wagtail",
    "plugins/semantic-core-wordllama/semantic_core_wordllama",
    "adapters_blueprints",
)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
WIDE = 100
"""Columns a line may have."""


class Density(NamedTuple):
    """What was counted in some files. characters: of the lines of code, without indentation."""

    files: int
    lines: int
    characters: int
    comprehensions: int
    tuple_assignments: int
    lambdas: int
    walruses: int
    wide_lines: int


def density(files: Iterable[Path]) -> Density:
    """The counts over these files."""
    total = Density(0, 0, 0, 0, 0, 0, 0, 0)
    for file in files:
        counted = counts(file.read_text("utf-8"))
        total = Density(*map(sum, zip(total, counted, strict=True)))
    return total


def counts(source: str) -> Density:
    """The counts of one file."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    lines = source.splitlines()
    numbers = code_lines(source) - docstring_lines(nodes)
    return Density(
        files=1,
        lines=len(numbers),
        characters=sum(len(lines[number - 1].strip()) for number in numbers),
        comprehensions=sum(isinstance(node, COMPREHENSIONS) for node in nodes),
        tuple_assignments=sum(is_tuple_assignment(node) for node in nodes),
        lambdas=sum(isinstance(node, ast.Lambda) for node in nodes),
        walruses=sum(isinstance(node, ast.NamedExpr) for node in nodes),
        wide_lines=sum(len(line) > WIDE for line in lines),
    )


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code or a string, from 1."""
    numbers: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            numbers.update(range(token.start[0], token.end[0] + 1))
    return numbers


def docstring_lines(nodes: Iterable[ast.AST]) -> set[int]:
    """Numbers of the lines of strings that stand alone."""
    numbers: set[int] = set()
    for node in nodes:
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str):
            numbers.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return numbers


def is_tuple_assignment(node: ast.AST) -> bool:
    """Whether several names get several values in one statement: ``a, b = x, y``."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    return any(isinstance(target, ast.Tuple) for target in node.targets)


def python_files(path: Path) -> Iterator[Path]:
    """The file itself, or all Python files below a folder."""
    return path.rglob("*.py") if path.is_dir() else iter([path])


def row(name: str, counted: Density) -> str:
    thousands = counted.lines / 1_000
    figures = [
        counted.comprehensions,
        counted.tuple_assignments,
        counted.lambdas,
        counted.walruses,
        counted.wide_lines,
    ]
    shares = "".join(f"{figure / thousands:9.1f}" for figure in figures)
    width = counted.characters / counted.lines
    return f"{name:58}{counted.files:6}{counted.lines:8}{width:7.1f}{shares}"


def main(arguments: list[str]) -> None:
    paths = arguments or list(PACKAGES)
    print(f"{'':58}{'files':>6}{'lines':>8}{'chars':>7}", end="")
    print(f"{'compr.':>9}{'a,b=x,y':>9}{'lambda':>9}{':=':>9}{'>100':>9}   per 1,000 lines")
    everything: list[Path] = []
    for path in paths:
        files = sorted(python_files(ROOT / path))
        everything += files
        print(row(path, density(files)))
    print(row("all", density(everything)))


if __name__ == "__main__":
    main(sys.argv[1:])
