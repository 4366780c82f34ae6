"""What the blueprints' README shows is what runs here;
the files of its Django project run in test_django_project.py.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex
from semantic_core.testing import HashEmbedder

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "adapters_blueprints" / "README.md"
FILES = dict(
    re.findall(r"```python file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page, to import from;
    what they declare is forgotten afterwards.
    """
    for name, text in FILES.items():
        if "/" not in name:
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


def test_the_app_of_the_page_is_the_one_that_is_migrated_here() -> None:
    shown = FILES["blog/apps.py"].replace("Blog", "Diary").replace("blog", "diary")
    assert (HERE / "diary" / "apps.py").read_text(encoding="utf-8") == shown


def test_the_library_of_the_page_finds_its_first_row(files: Path, core: SemanticCore) -> None:
    library = imported("library")
    engine = library.start("sqlite:///library.db", core)
    (row,) = library.first_search(engine)
    assert row.title == "Loops"
    engine.dispose()


def test_the_async_session_of_the_page_is_followed(files: Path, core: SemanticCore) -> None:
    imported("library").Article.__dict__["search"].sync = "background"
    assert asyncio.run(imported("library_async").story(core)) == ["Tasks"]
