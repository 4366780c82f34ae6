"""Imports go down, in the kernel by floors, and from plugins to public names only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from floor_plan import APART, FLOORS, KERNEL, PUBLIC, ROOT

FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
KERNEL_FILES = sorted(KERNEL.rglob("*.py"))
RUNS_THE_KIT = KERNEL / "cli" / "plugin_test.py"
"""``plugins test`` runs the testing kit for an author, and imports it when it is called."""
PACKAGES = {folder.name for folder in ROOT.glob("plugins/*/semantic_core_*") if folder.is_dir()}
GUEST_FILES = sorted(
    [
        *ROOT.glob("plugins/*/semantic_core_*/**/*.py"),
        *ROOT.glob("adapters_blueprints/**/*.py"),
    ]
)


def shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_of(file: Path) -> str:
    """The kernel module, or the package within the kernel, a file belongs to."""
    return file.relative_to(KERNEL).parts[0].removesuffix(".py")


def imports(source: str, package: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """(line, dotted name) of everything imported, wherever it stands;
    ``from a import b`` gives ``a.b``.

    package: the parts of the package the source is in, for relative imports.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*above, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{start}.{alias.name}") for alias in node.names]
    return found


def is_module(parts: list[str]) -> bool:
    """Whether these parts of a dotted name lead to a module or package of the kernel."""
    place = KERNEL.joinpath(*parts)
    return place.with_suffix(".py").exists() or place.is_dir()


def kernel_module(dotted: str) -> str | None:
    """Which kernel module, with its package, a dotted name is of; "" for a name of the package
    itself; None if it is not of the kernel.
    """
    first, *rest = dotted.split(".")
    if first != KERNEL.name:
        return None
    module: list[str] = []
    for part in rest:
        if not is_module([*module, part]):
            break
        module.append(part)
    return ".".join(module)


def climbs(
    module: str,
    source: str,
    package: tuple[str, ...] = (KERNEL.name,),
    *,
    runs_the_kit: bool = False,
) -> list[str]:
    """Every import of a kernel module that does not go down, as a line to read. runs_the_kit:
    whether the module may import the testing kit.
    """
    wrong = []
    for line, dotted in imports(source, package):
        whole = kernel_module(dotted)
        if whole is None:
            continue
        target = whole.partition(".")[0] or "__init__"
        if target == module:
            continue
        if module == APART:
            allowed = target in FLOOR and FLOOR[target] < len(FLOORS) - 1
        elif target == APART:
            allowed = runs_the_kit
        else:
            allowed = FLOOR[target] < FLOOR[module]
        if not allowed:
            here = "the kit" if module == APART else f"floor {FLOOR[module]}"
            there = f"floor {FLOOR[target]}" if target in FLOOR else "the kit"
            wrong.append(f"line {line}: {module} ({here}) imports {target} ({there})")
    return wrong


def trespasses(own: str, source: str, neighbours: set[str]) -> list[str]:
    """Every import a plugin may not make: private names of the kernel, and other plugins."""
    wrong = []
    for line, dotted in imports(source):
        target = kernel_module(dotted)
        if target is not None and target not in PUBLIC | {""}:
            wrong.append(f"line {line}: {own} imports semantic_core.{target}, which is not public")
        if target == "" and dotted.rpartition(".")[2].startswith("_"):
            wrong.append(f"line {line}: {own} imports {dotted}, which is not public")
        if dotted.split(".")[0] in neighbours - {own}:
            wrong.append(f"line {line}: {own} imports {dotted}; plugins do not know each other")
    return wrong


def test_every_module_stands_on_a_floor() -> None:
    unlisted = {module_of(file) for file in KERNEL_FILES} - FLOOR.keys() - {APART}
    assert not unlisted, f"Put {sorted(unlisted)} on a floor, as low as its imports allow."


def test_the_floor_plan_lists_nothing_that_is_not_there() -> None:
    gone = [name for name in FLOOR if not is_module([name])]
    assert not gone, f"{gone} left the kernel; take them off the floor plan."


def test_imports_of_the_kernel_go_down() -> None:
    wrong = [
        f"{shown(file)}: {fault}"
        for file in KERNEL_FILES
        for fault in climbs(
            module_of(file),
            file.read_text("utf-8"),
            file.relative_to(ROOT).parent.parts,
            runs_the_kit=file == RUNS_THE_KIT,
        )
    ]
    assert not wrong, "\n".join(wrong)


def test_plugins_import_public_names_only_and_never_each_other() -> None:
    wrong = []
    for file in GUEST_FILES:
        own = next((part for part in file.parts if part in PACKAGES), file.stem)
        faults = trespasses(own, file.read_text("utf-8"), PACKAGES)
        wrong += [f"{shown(file)}: {fault}" for fault in faults]
    assert not wrong, "\n".join(wrong)


def module_name(file: Path) -> str:
    """The dotted name of a shipped file; that of its package for an ``__init__``."""
    folder = (
        KERNEL if file.is_relative_to(KERNEL) else ROOT / Path(*file.relative_to(ROOT).parts[:3])
    )
    parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_at_once(source: str) -> set[str]:
    """What a module imports while it is itself being imported: not within functions, and not for a
    type checker alone.
    """
    found = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name for _, name in imports(ast.unparse(node))}
        waiting += ast.iter_child_nodes(node)
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The circles one meets who follows the arrows; each once."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
            return
        if name in done:
            return
        for following in sorted(arrows.get(name, ())):
            walk(following, [*way, name])
        done.add(name)

    for start in sorted(arrows):
        walk(start, [])
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = [*KERNEL_FILES, *ROOT.glob("plugins/*/semantic_core_*/**/*.py")]
    modules = {module_name(file): file for file in files}
    arrows: dict[str, set[str]] = {}
    for name, file in modules.items():
        if file.name == "__init__.py":
            continue  # a package's front page names its rooms
        targets = set()
        for dotted in imported_at_once(file.read_text("utf-8")):
            owner = dotted.rpartition(".")[0]
            targets.add(dotted if dotted in modules else owner)
        arrows[name] = {
            target
            for target in targets
            if target in modules and modules[target].name != "__init__.py"
        }
    assert circles(arrows) == []


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "from semantic_core.types import Ref"),
        ("_memory", "from semantic_core._text import fingerprints"),
        ("_search", "import semantic_core._ingest"),
        ("core", "from semantic_core import Ref"),
        ("core", "def f():\n    from semantic_core.cli import main"),
        ("types", "from . import protocols"),
        ("core", "from semantic_core.testing import store_checks"),
        ("testing", "from semantic_core.cli import main"),
    ],
)
def test_an_import_that_climbs_is_seen(module: str, source: str) -> None:
    assert len(climbs(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core", "from semantic_core import types"),
        ("_search", "from .types import Ref\nimport numpy"),
        (
            "cli",
            (
                "from semantic_core.cli._output import write\n"
                "from semantic_core.core import SemanticCore"
            ),
        ),
        ("testing", "from semantic_core.core import SemanticCore"),
    ],
)
def test_an_import_that_goes_down_is_fine(module: str, source: str) -> None:
    assert climbs(module, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from semantic_core._text import fingerprints",
        "from semantic_core import _validation",
        "import semantic_core.core",
        "from semantic_core.orm.sync import SyncCoordinator",
        "from semantic_core import __version__",
        "import semantic_core_other",
    ],
)
def test_a_plugin_that_reaches_inside_is_seen(source: str) -> None:
    assert (
        len(trespasses("semantic_core_mine", source, {"semantic_core_mine", "semantic_core_other"}))
        == 1
    )


def test_a_plugin_may_use_what_is_public() -> None:
    source = (
        "from semantic_core import Document, hookimpl, types\n"
        "from semantic_core.testing import store_checks\nimport numpy"
    )
    assert (
        trespasses("semantic_core_mine", source, {"semantic_core_mine", "semantic_core_other"})
        == []
    )
