"""What the blueprints' README says of the files is what they hold, and its code runs
with the models of the recipes.

The recipes themselves run in test_recipes.py.
"""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.testing import HashEmbedder

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BLUEPRINTS = ROOT / "adapters_blueprints"
README = (BLUEPRINTS / "README.md").read_text(encoding="utf-8")


def files_of(page: str) -> dict[str, str]:
    return dict(re.findall(r"```python file=(\S+)\n(.*?)```", page, re.DOTALL))


def recipe(name: str) -> dict[str, str]:
    page = ROOT / "guides" / "integrations" / f"{name}.md"
    return files_of(page.read_text(encoding="utf-8"))


FILES = {"library.py": recipe("sqlalchemy")["library.py"], **files_of(README)}


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def public(file: Path) -> Iterator[str]:
    """The classes and functions of a file, functions with the names of what they take."""
    for each in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield each.name
        elif isinstance(each, FUNCTIONS) and not each.name.startswith("_"):
            names = [argument.arg for argument in (*each.args.args, *each.args.kwonlyargs)]
            if each.args.kwarg is not None:
                names.append(f"**{each.args.kwarg.arg}")
            yield f"{each.name}({', '.join(names)})"


def described(text: str) -> Iterator[str]:
    """The first cells of a table of names, in the same form."""
    for cell in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE):
        yield re.sub(r"=[^,)]+", "", cell)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page, to import from;
    what they declare is forgotten afterwards.
    """
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    declared = list(SemanticIndex._declared)
    yield tmp_path
    SemanticIndex._declared[:] = declared
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def core() -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        yield core


def imported(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


@pytest.mark.parametrize("name", ["Django", "SQLAlchemy", "Tortoise", "Pony"])
def test_the_readme_lists_what_a_file_offers(name: str) -> None:
    file = BLUEPRINTS / f"{name.lower()}_adapter.py"
    wanted = {"SemanticIndex", *public(file)}
    assert set(described(section(name).partition("###")[0])) == wanted


def test_the_readme_lists_methods_an_adapter_has() -> None:
    table = section("How an adapter works").partition("###")[0]
    names = re.findall(r"`(\w+)\(", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert len(names) >= 6
    assert [name for name in names if not hasattr(BaseORMAdapter, name)] == []


def test_the_readme_repeats_no_model_of_the_recipes() -> None:
    assert 'SemanticIndex(["' not in files_of(README)["library_async.py"]
    assert set(files_of(README)) == {"library_async.py", "library_pony.py"}


def test_the_app_of_the_recipe_is_the_one_that_is_migrated_here() -> None:
    shown = recipe("django")["blog/apps.py"].replace("Blog", "Diary").replace("blog", "diary")
    assert (HERE / "diary" / "apps.py").read_text(encoding="utf-8") == shown


def test_the_async_session_of_the_page_is_followed(files: Path, core: SemanticCore) -> None:
    imported("library").Article.__dict__["search"].sync = "background"
    assert asyncio.run(imported("library_async").story(core)) == ["Tasks"]


def test_the_entities_of_the_page_are_found(files: Path, core: SemanticCore) -> None:
    assert imported("library_pony").story(core) == ["Ann"]
