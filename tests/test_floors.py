"""Imports go down. The list below is the floor plan; a module imports lower floors only,
equal floors are strangers.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KERNEL = ROOT / "semantic_core"
PLUGINS = ROOT / "plugins"
BLUEPRINTS = ROOT / "adapters_blueprints"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("_validation", "_interruption", "addresses"),
    ("filters",),
    ("types", "_jobs", "_metering", "_trust"),
    ("protocols",),
    ("hookspecs", "_text", "_memory", "_files", "_vectors", "_no_embedder"),
    ("_embedding", "_costs"),
    ("_plugins", "_config", "batch"),
    ("_ingest", "_search", "_sync"),
    ("core",),
    ("orm", "aio"),
    ("__init__", "cli"),
)
"""From the ground up. A package such as ``cli`` stands on one floor with all its modules,
which may import each other.
"""
APART = "testing"
"""The kit reaches every floor but the last, and nothing of the product imports it."""
PUBLIC = {
    "",
    "addresses",
    "batch",
    "errors",
    "types",
    "filters",
    "protocols",
    "hookspecs",
    "orm",
    "testing",
}
"""What a plugin may import of the kernel; "" is the package itself."""

FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


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


def kernel_module(dotted: str) -> str | None:
    """Which kernel module a dotted name is of; "" for a name of the package itself;
    None if it is not of the kernel.
    """
    first, *rest = dotted.split(".")
    if first != KERNEL.name:
        return None
    is_module = bool(rest) and (
        rest[0] in FLOOR or rest[0] == APART or (KERNEL / f"{rest[0]}.py").exists()
    )
    return rest[0] if is_module else ""


def climbs(module: str, source: str, package: tuple[str, ...] = (KERNEL.name,)) -> list[str]:
    """Every import of a kernel module that does not go down, as a line to read."""
    wrong = []
    for line, dotted in imports(source, package):
        target = kernel_module(dotted)
        if target is None or target == module:
            continue
        target = target or "__init__"
        if module == APART:
            allowed = target in FLOOR and FLOOR[target] < len(FLOORS) - 1
        else:
            allowed = target != APART and FLOOR[target] < FLOOR[module]
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
        if target is not None and target not in PUBLIC:
            wrong.append(f"line {line}: {own} imports semantic_core.{target}, which is not public")
        if target == "" and dotted.rpartition(".")[2].startswith("_"):
            wrong.append(f"line {line}: {own} imports {dotted}, which is not public")
        if dotted.split(".")[0] in neighbours - {own}:
            wrong.append(f"line {line}: {own} imports {dotted}; plugins do not know each other")
    return wrong


KERNEL_FILES = sorted(KERNEL.rglob("*.py"))
PACKAGES = {folder.name for folder in PLUGINS.glob("*/semantic_core_*") if folder.is_dir()}
GUEST_FILES = sorted([*PLUGINS.glob("*/semantic_core_*/**/*.py"), *BLUEPRINTS.rglob("*.py")])


def test_every_module_stands_on_a_floor() -> None:
    unlisted = {module_of(file) for file in KERNEL_FILES} - FLOOR.keys() - {APART}
    assert not unlisted, (
        f"Put {sorted(unlisted)} on a floor in {Path(__file__).name}, as low as its imports allow."
    )


def test_the_floor_plan_lists_nothing_that_is_not_there() -> None:
    gone = {
        name
        for name in FLOOR
        if not (KERNEL / f"{name}.py").exists() and not (KERNEL / name).is_dir()
    }
    assert not gone, f"{sorted(gone)} left the kernel; take them off the floor plan."


@pytest.mark.parametrize("file", KERNEL_FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_of_the_kernel_go_down(file: Path) -> None:
    wrong = climbs(module_of(file), file.read_text("utf-8"), file.relative_to(ROOT).parent.parts)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", GUEST_FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_plugins_import_public_names_only_and_never_each_other(file: Path) -> None:
    own = next((part for part in file.parts if part in PACKAGES), file.stem)
    wrong = trespasses(own, file.read_text("utf-8"), PACKAGES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "from semantic_core.types import Ref"),
        ("_fusion", "from semantic_core._text import fingerprints"),
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
        "from semantic_core import _checks",
        "import semantic_core.core",
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
