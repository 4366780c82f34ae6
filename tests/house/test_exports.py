"""What a user can reach is meant to be reached: named, documented and typed."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from floor_plan import ROOT

import semantic_core

SHIPPED = [
    ROOT / "semantic_core",
    *sorted(ROOT.glob("plugins/*/semantic_core_*")),
    ROOT / "adapters_blueprints",
]
FILES = sorted(file for folder in SHIPPED for file in folder.rglob("*.py"))
WRITTEN = (".py", ".md", ".toml", ".cfg", ".yml", ".yaml", ".json", ".txt")
"""Suffixes of the files people write; the Makefile and .ci/run are looked at too."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public_modules() -> Iterator[str]:
    """Dotted names of the modules a user may import."""
    for file in FILES:
        parts = (
            file.relative_to(
                next(folder.parent for folder in SHIPPED if file.is_relative_to(folder))
            )
            .with_suffix("")
            .parts
        )
        shown = [part for part in parts if part != "__init__"]
        if shown[0].startswith("semantic_core") and not any(part.startswith("_") for part in shown):
            yield ".".join(shown)


MODULES = sorted(public_modules())


def undocumented(source: str) -> list[str]:
    """Public classes, functions and methods without a docstring,
    or with one that only repeats the name.

    A method of a class whose own docstring names it is documented there; a property of a protocol
    is a field.
    """
    missing: list[str] = []

    def look(node: ast.AST, prefix: str, told: str) -> None:
        for item in getattr(node, "body", []):
            if isinstance(item, ast.If):
                look(item, prefix, told)
            if not isinstance(
                item, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ) or item.name.startswith("_"):
                continue
            marks = {ast.unparse(mark) for mark in item.decorator_list}
            text = ast.get_docstring(item) or ""
            repeated = set(re.findall(r"\w+", text.lower())) <= set(item.name.lower().split("_"))
            excused = (
                "overload" in marks
                or re.search(rf"\b{item.name}\b", told)
                or (marks >= {"property"} and is_stub(item))
            )
            if repeated and not excused:
                missing.append(f"line {item.lineno}: {prefix}{item.name}")
            if isinstance(item, ast.ClassDef):
                look(item, f"{prefix}{item.name}.", text)

    look(ast.parse(source), "", "")
    return missing


def is_stub(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    last = node.body[-1]
    return (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Constant)
        and last.value.value is ...
    )


def by_kind(name: str) -> tuple[bool, bool, str]:
    """Constants, classes, functions; each by name."""
    return not name.isupper(), not name[0].isupper(), name


def test_all_is_in_order_and_every_name_in_it_is_there() -> None:
    wrong = []
    for name in MODULES:
        module: ModuleType = importlib.import_module(name)
        exported = list(getattr(module, "__all__", []))
        if exported != sorted(set(exported), key=by_kind):
            wrong.append(f"{name}: wanted {sorted(set(exported), key=by_kind)}")
        wrong += [f"{name}: no {each}" for each in exported if not hasattr(module, each)]
    assert not wrong, "\n".join(wrong)


def test_the_package_exports_every_public_name_it_holds() -> None:
    held = {
        name
        for name, value in vars(semantic_core).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert held - {"annotations", "TYPE_CHECKING"} <= set(semantic_core.__all__)
    assert {"SemanticCore", "Document", "Ref", "hookimpl"} <= set(semantic_core.__all__)


COPIED = "adapters_blueprints"
"""Blueprints are copied and read as a whole; what their methods do is said by `BaseORMAdapter`."""


def test_public_names_say_what_one_gets() -> None:
    missing = []
    for file in FILES:
        if not file.name.startswith("_") and file.parent.name != COPIED:
            found = undocumented(file.read_text("utf-8"))
            missing += [f"{named(file)}: {each}" for each in found]
    assert not missing, "\n".join(missing)


def test_every_file_says_what_it_is() -> None:
    silent = []
    for file in FILES:
        told = ast.get_docstring(ast.parse(file.read_text("utf-8")))
        if not told and file.name != "__init__.py":
            silent.append(named(file))
    assert not silent, "\n".join(silent)


def test_shipped_code_prints_nothing_past_the_command_line() -> None:
    found = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("print", "breakpoint"):
                found.append(f"{named(file)}:{node.lineno}")
    assert not found, "\n".join(found)


def test_types_are_shipped() -> None:
    packages = [folder for folder in SHIPPED if folder.name.startswith("semantic_core")]
    untyped = [named(folder) for folder in packages if not (folder / "py.typed").exists()]
    assert not untyped, untyped


def test_the_release_is_the_same_everywhere() -> None:
    files = [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    versions = {
        named(file): tomllib.loads(file.read_text("utf-8"))["project"]["version"] for file in files
    }
    assert len(set(versions.values())) == 1, versions


def written_files() -> list[Path]:
    folders = [
        "semantic_core",
        "plugins",
        "adapters_blueprints",
        "tests",
        "benchmarks",
        "guides",
        ".ci",
    ]
    inside = [
        file
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if "__pycache__" not in file.parts
    ]
    return [
        file
        for file in [*ROOT.iterdir(), *inside]
        if file.is_file() and (file.suffix in WRITTEN or file.name in ("Makefile", "run"))
    ]


UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
SOMEONES_MACHINE = re.compile(
    r"(?<![\w.])/(?:root|work|farm|home/\w+|Users/\w+)/|files\.pythonhosted\.org|pypi\.org/simple"
)


def test_nothing_is_left_unfinished_and_nothing_tells_where_it_was_written() -> None:
    found = []
    for file in written_files():
        for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), 1):
            if UNFINISHED.search(line) or SOMEONES_MACHINE.search(line):
                found.append(f"{named(file)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["# TO" + "DO later", "cd /ro" + "ot/x", "open('/ho" + "me/ann/x')"]
)
def test_the_search_for_such_lines_finds_them(line: str) -> None:
    assert UNFINISHED.search(line) or SOMEONES_MACHINE.search(line)


@pytest.mark.parametrize(
    "source",
    [
        "def load(): ...",
        'def load():\n    """Load."""',
        'class Store:\n    """Keeps."""\n    def get(self): ...',
        "class Store: ...",
    ],
)
def test_a_name_without_a_word_about_it_is_seen(source: str) -> None:
    assert len(undocumented(source)) == 1
