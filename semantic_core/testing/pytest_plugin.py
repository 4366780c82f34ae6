"""Pytest fixtures for the tests of applications: an index in memory that is always up to date, and
an embedder without a model.

pytest finds them when this package is installed. They import the rest of the package only when a
test uses one. The guide "Test your application" describes them.

Tested by tests/orm/test_pytest_plugin.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from semantic_core.testing.fakes import SimilarEmbedder
    from semantic_core.testing.settled import SettledCore

MULTI_TENANT = "semantic_multi_tenant"
"""The pytest setting for multi-tenant cores."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the setting ``semantic_multi_tenant``."""
    parser.addini(
        MULTI_TENANT,
        "whether the cores of Semantic Core's fixtures are multi-tenant",
        "bool",
        default=False,
    )


@pytest.fixture
def semantic_embedder() -> SimilarEmbedder:
    """A `SimilarEmbedder`, new for each test: similar strings have similar vectors, and
    ``failing("rate_limit")`` makes it fail.
    """
    from semantic_core.testing.fakes import SimilarEmbedder

    return SimilarEmbedder()


@pytest.fixture
def semantic_test_core(
    semantic_embedder: SimilarEmbedder, pytestconfig: pytest.Config
) -> Iterator[SettledCore]:
    """A `SettledCore`, new and empty for each test, to which every declared index is bound during
    the test.

    Indexes that are not bound yet will be bound to it when the test or a fixture binds them,
    whatever core they get. After the test all indexes are bound as before. If an application has
    several cores, or indexes with and without tenants, there are several of these cores too, and
    the fixture gives the one of the index declared last. ``Article.search.core`` is the core of an
    index.
    """
    from semantic_core.orm import SemanticIndex
    from semantic_core.testing.settled import SettledCore, has_tenants, rebound

    multi_tenant = bool(pytestconfig.getini(MULTI_TENANT))
    declared = list(SemanticIndex.declared())
    if declared:
        _, last = declared[-1]
        multi_tenant = multi_tenant or has_tenants(last)
    core = SettledCore(semantic_embedder, multi_tenant=multi_tenant)
    with rebound(core):
        yield core


@pytest.fixture(scope="session")
def semantic_session_core(pytestconfig: pytest.Config) -> Iterator[SettledCore]:
    """A `SettledCore` for the whole run, for start-up code that binds indexes once. It needs no
    file, no model and no network.
    """
    from semantic_core.testing.fakes import SimilarEmbedder
    from semantic_core.testing.settled import SettledCore

    core = SettledCore(SimilarEmbedder(), multi_tenant=bool(pytestconfig.getini(MULTI_TENANT)))
    yield core
    core.close()
