"""Databases for the blueprints: prepared once in a process,
and given to each check with nothing in them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import databases as servers
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
for folder in (HERE, ROOT / "adapters_blueprints"):
    if str(folder) not in sys.path:  # as if the blueprints had been copied beside these modules
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def keep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Any], Any]]:
    """``keep(kind, harness)``: databases prepared for a class of harnesses,
    kept as long as the process.
    """
    from kept import Keep

    with ExitStack() as stack:

        @cache
        def kept(kind: str, harness: Any) -> Keep:
            servers.need(kind)
            return Keep(kind, servers, stack, tmp_path_factory.mktemp("kept"), harness.prepare)

        yield kept


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """``open_database(kind)``: a new, empty database for this test."""
    with ExitStack() as stack:

        def open_one(kind: str) -> Any:
            servers.need(kind)
            return stack.enter_context(servers.new_database(kind, tmp_path))

        yield open_one


@pytest.fixture(params=["sqlite3", "postgresql"])
def alias(request: pytest.FixtureRequest, keep: Callable[[str, Any], Any]) -> Iterator[str]:
    """A database of Django's with the tables, where all models live during the test."""
    from django_harness import DjangoHarness
    from django_site import routed

    harness = DjangoHarness(keep(request.param, DjangoHarness))
    try:
        with routed(harness.alias):
            yield harness.alias
    finally:
        harness.close()


@pytest.fixture
def bind(alias: str) -> Iterator[Callable[..., Any]]:
    """``bind(model, **declaration)``: an index of a Django model that is kept inline;
    uninstalled after the test.
    """
    from django_adapter import DjangoAdapter
    from django_site.models import Article

    from semantic_core import SemanticCore
    from semantic_core.testing import HashEmbedder

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        bound = []

        def bind_one(model: type = Article, **said: Any) -> Any:
            given = {"source_fields": ["title", "content"], "sync": "inline", **said}
            index = core.bind(
                model, adapter=DjangoAdapter, adapter_options={"using": alias}, **given
            )
            bound.append(index)
            return index

        yield bind_one
        for index in bound:
            index.uninstall()


@pytest.fixture(name="servers")
def _servers() -> Any:
    """Where servers are, and how a database of a test is made there."""
    return servers


@pytest.fixture(params=["sqlite3", "postgresql", "mysql"])
def engine(request: pytest.FixtureRequest, keep: Callable[[str, Any], Any]) -> Iterator[Any]:
    """An engine of SQLAlchemy on a database with the kit's tables."""
    from alchemy_harness import SQLAlchemyHarness

    harness = SQLAlchemyHarness(keep(request.param, SQLAlchemyHarness))
    try:
        yield harness.engine
    finally:
        harness.close()


@pytest.fixture
def bind_to() -> Iterator[Callable[..., Any]]:
    """``bind_to(engine, model, **declaration)``: an index of a mapped class, kept inline;
    uninstalled after the test.
    """
    from alchemy_models import Article
    from sqlalchemy_adapter import SQLAlchemyAdapter

    from semantic_core import SemanticCore
    from semantic_core.testing import HashEmbedder

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        bound = []

        def bind_one(engine: Any, model: type = Article, **said: Any) -> Any:
            given = {"source_fields": ["title", "content"], "sync": "inline", **said}
            index = core.bind(
                model, adapter=SQLAlchemyAdapter, adapter_options={"engine": engine}, **given
            )
            bound.append(index)
            return index

        yield bind_one
        for index in bound:
            index.uninstall()
