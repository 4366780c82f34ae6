"""Breaks modules in small ways, one at a time, and prints the changes that no test notices.

    python tests/house/mutation.py semantic_core/_costs.py --tests tests/kernel/test_costs.py

A change that survives is a rule that no test holds, or it changes nothing. Each changed module is
imported in a process of its own, and its file stays as it is; so a test that starts another
interpreter does not see the change. Tests that do not end have noticed it.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest

PAIRS = [(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot)]
PAIRS += [(ast.In, ast.NotIn), (ast.And, ast.Or), (ast.Add, ast.Sub), (ast.LtE, ast.Gt)]
"""Operators that may stand in each other's place."""
WORDS = [(" <= ", " < "), (" = ", " <> "), (" + ", " - "), (" desc", " asc"), ("min(", "max(")]
WORDS += [("not exists", "exists"), (" is null", " is not null"), ("distinct ", "")]
"""Likewise in SQL; a word is never put where nothing is."""
SQL = re.compile(r"\s*(select|insert|update|delete|exists|not exists|from|where)\b", re.IGNORECASE)
CONDITION = re.compile(
    r"\s(and|or)\s([^()]|\([^()]*\))*?(?=\s(and|or|order|group|limit|on)\s|\)|$)", re.IGNORECASE
)
"""A further condition of a statement."""
HOLE = re.compile("\0(\\d+)\0")
"""A place of an f-string that is not text, by its number."""


def mutants(tree: ast.AST) -> Iterator[Callable[[], None]]:
    """All changes of a tree, each to be called; none of annotations, docstrings and messages."""
    for field, value in ast.iter_fields(tree):
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if field in ("annotation", "returns") or not _may_change(node):
                continue
            for changed in _instead_of(node):
                if isinstance(value, list):
                    yield partial(value.__setitem__, index, changed)
                else:
                    yield partial(setattr, tree, field, changed)
            if not isinstance(node, ast.Raise | ast.JoinedStr):
                yield from mutants(node)


def _may_change(node: object) -> bool:
    if not isinstance(node, ast.AST) or ast.unparse(node).startswith(("logger.", "log.")):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _instead_of(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    for one, other in PAIRS:
        if isinstance(node, one | other):
            yield other() if isinstance(node, one) else one()
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Constant(value=str(value)) if SQL.match(value):
            yield from map(ast.Constant, _other_sql(value))
        case ast.JoinedStr(values=values):
            yield from _other_templates(values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BoolOp(values=values):
            yield from values
        case ast.If(body=body, orelse=[]):
            yield ast.Pass()
            yield ast.If(ast.Constant(True), body, [])
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.Return(value=ast.AST()):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Call(func=ast.Attribute() as func, args=[first, second, *rest]):
            yield ast.Call(func, [second, first, *rest], node.keywords)


def _other_sql(text: str) -> Iterator[str]:
    for word, other in [*WORDS, *((other, word) for word, other in WORDS if other)]:
        for found in re.finditer(re.escape(word), text, re.IGNORECASE):
            yield text[: found.start()] + other + text[found.end() :]
    for condition in CONDITION.finditer(text):
        yield text[: condition.start()] + text[condition.end() :]


def _other_templates(values: list[ast.expr]) -> Iterator[ast.AST]:
    """Other SQL with the same holes for names."""
    parts = []
    for place, value in enumerate(values):
        parts.append(str(value.value) if isinstance(value, ast.Constant) else f"\0{place}\0")
    text = "".join(parts)
    for other in _other_sql(text) if SQL.match(text) else ():
        pieces = enumerate(HOLE.split(other))
        yield ast.JoinedStr([values[int(p)] if n % 2 else ast.Constant(p) for n, p in pieces])


class Changed(SourceFileLoader):
    """Imports one module from a tree instead of its file; it is the finder of it as well."""

    def __init__(self, room: Path, tree: ast.Module) -> None:
        names = [room.stem]
        for folder in room.resolve().parents:
            if not (folder / "__init__.py").exists():
                break
            names.insert(0, folder.name)
        super().__init__(".".join(names), str(room.resolve()))
        self._tree = ast.fix_missing_locations(tree)

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Of this module; None for any other."""
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """Of the tree."""
        return compile(self._tree, self.path, "exec", dont_inherit=True)


def passes(room: Path, tree: ast.Module, tests: list[str], seconds: float) -> bool:
    """Whether these tests pass in time with the module of this tree."""
    child = os.fork()
    if not child:
        os.setsid()
        sys.meta_path.insert(0, Changed(room, tree))  # type: ignore[arg-type]
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        code = 1
        try:
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    done, status = 0, 1
    while not done and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.05)
    if not done:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return bool(done) and not status


def survivors(room: Path, tests: list[str], count: int, seed: int) -> Iterator[str]:
    """The changes of a module that these tests do not notice, of so many that are tried."""
    source = room.read_text()
    begun = time.monotonic()
    if not passes(room, ast.parse(source), tests, 3_600.0):
        raise SystemExit(f"{room}: these tests fail without any change.")
    limit = 60.0 + 3 * (time.monotonic() - begun)
    places = range(len(list(mutants(ast.parse(source)))))
    for place in random.Random(seed).sample(places, min(count, len(places))):
        tree = ast.parse(source)
        before = ast.unparse(tree).splitlines()
        list(mutants(tree))[place]()
        if passes(room, tree, tests, limit):
            changed = ast.unparse(ast.fix_missing_locations(tree)).splitlines()
            lines = difflib.unified_diff(before, changed, str(room), "changed", lineterm="", n=0)
            yield "\n".join(lines)


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("rooms", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", required=True)
    parser.add_argument("--count", type=int, default=50, help="changes to try in each module")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for room in given.rooms:
        for survivor in survivors(room, given.tests, given.count, given.seed):
            sys.stdout.write(f"{survivor}\n\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
