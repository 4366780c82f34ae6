"""Every module of the product names the tests that hold it, and these tests import it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from floor_plan import KERNEL, ROOT
from pages import for_each, shown

MODULES = sorted([*KERNEL.rglob("*.py"), *ROOT.glob("plugins/*/semantic_core_*/**/*.py")])
NAMED = re.compile(r"[\w/-]+/test_\w+\.py")


def dotted(file: Path) -> str:
    """The name a module is imported by."""
    base = ROOT if file.is_relative_to(KERNEL) else ROOT / Path(*file.relative_to(ROOT).parts[:2])
    parts = file.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


BY_NAME = {dotted(file): file for file in MODULES}
NAMES, FILES = frozenset(BY_NAME), frozenset(MODULES)
BY_PYTEST = {"semantic_core.testing.pytest_plugin"}
"""pytest itself imports it, by its entry point."""
SHARED: dict[str, list[Path]] = {}
"""The plain modules of the tests by name, and each conftest by its folder."""
for shared in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")]:
    if shared.name == "conftest.py":
        SHARED[f"{shared.parent}/conftest"] = [shared]
    elif not shared.name.startswith("test_"):
        SHARED.setdefault(shared.stem, []).append(shared)


def named_tests(file: Path) -> list[Path]:
    """The tests a module names, as paths from the root of the repository or of its plugin."""
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    _, _, named = docstring.partition("Tested by ")
    plugin = ROOT / Path(*file.relative_to(ROOT).parts[:2])
    found = []
    for name in NAMED.findall(named):
        in_plugin = plugin / name
        found.append(in_plugin if in_plugin.exists() else ROOT / name)
    return found


def named_in(text: str, file: Path) -> set[str]:
    """Modules that a string names: a program that a test runs, or a table of later imports."""
    found = set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))
    name = text.partition(":")[0]
    found |= NAMES & {name, f"{name}.__main__"}
    if file in FILES:
        package = dotted(file if file.name == "__init__.py" else file.with_name("__init__.py"))
        found |= NAMES & {f"{package}.{name}"}
    return found


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules a file imports, at its top or later, and the names it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= named_in(node.value, file)
    return frozenset(found)


def helpers(file: Path) -> Iterator[Path]:
    """The plain modules of the tests that a test uses, and what its folders share."""
    for name in imports(file):
        yield from SHARED.get(name, ())
    for folder in file.parents:
        yield from SHARED.get(f"{folder}/conftest", ())


@cache
def reached(test: Path) -> set[str]:
    """Names of modules, and of what is in them, that a test imports itself or by its helpers."""
    seen: set[Path] = set()
    waiting = [test]
    names: set[str] = set()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            names |= imports(file)
            waiting += helpers(file)
    return names


def opens(names: set[str], room: str) -> bool:
    """Whether who imports these names has the room: itself, or what its wing takes from it."""
    package = room if BY_NAME[room].name == "__init__.py" else room.rpartition(".")[0]
    wing = package.removesuffix(".stores").removesuffix(".adapters")
    inside = {name for name in BY_NAME if name == wing or name.startswith(f"{wing}.")}
    packages = {name.rpartition(".")[0] for name in names}
    known = (names | packages) & inside
    waiting = list(known)
    while waiting:
        more = imports(BY_NAME[waiting.pop()]) & inside - known
        known |= more
        waiting += more
    return room in known


@for_each(MODULES)
def test_every_module_names_tests_that_exist(file: Path) -> None:
    named = named_tests(file)
    assert named, 'its docstring ends with "Tested by tests/...", it names none'
    missing = [shown(test) for test in named if not test.exists()]
    assert not missing, f"there is no {', '.join(missing)}"


@for_each(file for file in MODULES if dotted(file) not in BY_PYTEST)
def test_the_first_test_a_module_names_imports_it(file: Path) -> None:
    for test in named_tests(file)[:1]:
        assert opens(reached(test), dotted(file)), f"{shown(test)} never imports it"
